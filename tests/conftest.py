"""Backends under test are named on the command line: `pytest tests/backend --backend paddle`.

A backend that was named and cannot be imported fails its tests; nothing is skipped.
"""

import contextlib
import io
import os
import signal
import subprocess
import sys

import pytest

# BLAS and OpenMP threads spin while they wait; with more threads than free cores a test takes a hundred times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from backends import BACKENDS  # noqa: E402
from common.data import digits  # noqa: E402
from common.environment import ROOT  # noqa: E402
from common.specs import SPECS  # noqa: E402
from common.tools import cli  # noqa: E402


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
    """The command line in this process: as a process of its own a command takes seconds for its imports alone.

    An error that is not answered in a line is raised here, and so is a warning.
    """
    command, output, errors = ["tetrapla", *map(str, arguments)], io.StringIO(), io.StringIO()
    handler, argv = signal.getsignal(signal.SIGINT), sys.argv
    try:
        sys.argv = command
        with contextlib.chdir(ROOT), contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            cli.main()
    except SystemExit as end:
        return subprocess.CompletedProcess(command, end.code or 0, output.getvalue(), errors.getvalue())
    finally:
        sys.argv = argv
        signal.signal(signal.SIGINT, handler)
    raise AssertionError("the command line returned without an exit code")


def tetrapla_process(*arguments):
    """The command line in a process of its own, where that is what is tested: settings that a framework reads when it is
    imported, what the framework itself writes. Whatever it is asked, it answers without a traceback."""
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
    return data.train_images
