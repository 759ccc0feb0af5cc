"""Backends under test are named on the command line: `pytest tests/backend --backend paddle`.

A backend that was named and cannot be imported fails its tests; nothing is skipped.
"""

import contextlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

# BLAS and OpenMP threads spin while they wait; with more threads than free cores a test takes a hundred times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What JAX has compiled is kept for the many processes that tests start, and for the next session; with a bound on its size
# JAX locks the folder.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(1 << 30))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

# A shell that starts the tests in the background has these ignored, which children would inherit.
for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(ignored) == signal.SIG_IGN:
        signal.signal(ignored, signal.default_int_handler if ignored == signal.SIGINT else signal.SIG_DFL)

from backends import BACKENDS  # noqa: E402
from common.data import digits  # noqa: E402
from common.environment import ROOT  # noqa: E402
from common.specs import SPECS  # noqa: E402
from common.tools import cli  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--backend", action="append", choices=BACKENDS, help="backend to test; repeat for several")
    parser.addoption(
        "--thorough",
        action="store_true",
        help="kill training more often, in every model; the largest models at full width",
    )


def pytest_generate_tests(metafunc):
    if "backend" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("backend")
        if not chosen:
            raise pytest.UsageError("tests/backend needs --backend pytorch|tensorflow|paddle|jax")
        metafunc.parametrize("backend", chosen, scope="session")


def tetrapla(*arguments, cwd=ROOT):
    """The command line in a process of its own; whatever it is asked, it answers without a traceback."""
    command = [sys.executable, "-P", "-m", "common.tools.cli", *map(str, arguments)]
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True)
    assert "Traceback" not in result.stderr, result.stderr
    return result


def write_idx(folder, count):
    """Four files in MNIST's format: `count` training images of noise, half as many test images."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for prefix, n in (("train", count), ("t10k", count // 2)):
        for kind, array in (("images-idx3", random.integers(0, 256, (n, 28, 28))), ("labels-idx1", np.arange(n) % 10)):
            header = bytes((0, 0, 8, array.ndim)) + b"".join(size.to_bytes(4, "big") for size in array.shape)
            (folder / f"{prefix}-{kind}-ubyte").write_bytes(header + array.astype(np.uint8).tobytes())


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A user's folder, the current one, whose own modules have the names of ours and of libraries; each ends in an error."""
    folder = tmp_path / "user"
    for name in (
        "common/tools/cli",
        "common/__init__",
        "backends/__init__",
        "benchmarks/worker",
        "numpy",
        "torch",
        "jax",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").write_text("raise SystemExit('imported from the folder of the user')")
    monkeypatch.chdir(folder)
    return folder


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


# At full width the oracle alone takes minutes of each: they are proven by their narrow twins, and themselves by `nox -s test-full`.
LARGE = ("vae_gan", "vae_gan_mnist", "gan_conv", "infogan_svhn", "infogan_celeba", "infogan_faces", "infogan_chairs")


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
