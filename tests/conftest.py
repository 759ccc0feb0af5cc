"""Backends under test are named on the command line: `pytest tests/backend --backend paddle`.

A backend that was named and cannot be imported fails its tests; nothing is skipped.
"""

import os
import subprocess
import sys

import pytest

# BLAS and OpenMP threads spin while they wait; with more threads than free cores a test takes a hundred times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from backends import BACKENDS  # noqa: E402
from common.data import digits  # noqa: E402
from common.environment import ROOT  # noqa: E402
from common.specs import SPECS  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--backend", action="append", choices=BACKENDS, help="backend to test; repeat for several")
    parser.addoption("--thorough", action="store_true", help="kill training more often, in every model")


def pytest_generate_tests(metafunc):
    if "backend" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("backend")
        if not chosen:
            raise pytest.UsageError("tests/backend needs --backend pytorch|tensorflow|paddle|jax")
        metafunc.parametrize("backend", chosen, scope="session")


def tetrapla(*arguments):
    """The command line in a process of its own; whatever it is asked, it answers without a traceback."""
    command = [sys.executable, "-m", "common.tools.cli", *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "Traceback" not in result.stderr, result.stderr
    return result


@pytest.fixture(params=SPECS.values(), ids=SPECS, scope="session")
def spec(request):
    """Every specification in turn."""
    return request.param


@pytest.fixture(scope="session")
def data():
    return digits.load()


@pytest.fixture(scope="session")
def images(data):
    """uint8 (1437, 28, 28)."""
    return data.train_images


@pytest.fixture(scope="session")
def train(data):
    """{"images", "labels"} to train on."""
    return data.train
