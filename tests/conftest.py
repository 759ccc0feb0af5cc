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
    """The command line in a process of its own; whatever it is asked, it answers without a traceback."""
    command = [sys.executable, "-m", "common.tools.cli", *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "Traceback" not in result.stderr, result.stderr
    return result


def tetrapla_here(*arguments):
    """The command line in this process, where nothing of what is tested needs one of its own, which takes seconds for its
    imports. An error that is not answered in a line is raised here, and so is a warning."""
    output, errors = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        pytest.raises(SystemExit) as end,
    ):
        patch.chdir(ROOT)
        patch.setattr(sys, "argv", ["tetrapla", *map(str, arguments)])
        patch.setattr(sys, "unraisablehook", sys.unraisablehook)
        handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
        try:
            cli.main()
        finally:
            for number, handler in handlers.items():
                if signal.getsignal(number) != handler:
                    signal.signal(number, handler)
    return subprocess.CompletedProcess(arguments, end.value.code or 0, output.getvalue(), errors.getvalue())


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
