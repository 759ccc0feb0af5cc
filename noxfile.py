"""Tests and the main job, each in an environment of its own: `nox` runs all tests, `nox -s compare` the comparison.

Installs come from the package index with pip, at the versions of constraints.txt. A backend's session installs that
framework alone, so that no column can lean on another's. Where CI is set, as CI services do, a test environment is
deleted after its session passed: all of them together fill 11 GB of disk, the largest alone 4.5.
"""

import os
import shutil

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = [
    "lint",
    "test-spec",
    "test-pytorch",
    "test-tensorflow",
    "test-paddle",
    "test-jax",
    "test-parity",
]


def install(session, extras):
    session.install("-c", "constraints.txt", "-e", f".[{extras}]")


def pytest(session, *arguments):
    # Two processes with a file each: fixtures of a module are made once.
    session.run("pytest", "-n", "2", "--dist", "loadfile", *arguments, *session.posargs)
    if os.environ.get("CI"):
        shutil.rmtree(session.virtualenv.location)


@nox.session
def lint(session):
    """Style and obvious errors."""
    session.install("-c", "constraints.txt", "ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(name="test-spec")
def test_spec(session):
    """Specifications, oracle, data and command line, with no framework installed."""
    install(session, "test")
    pytest(session, "tests/spec")


def test_backend(session, backend):
    install(session, f"{backend},test")
    pytest(session, "tests/backend", f"tests/differences/test_{backend}.py", "--backend", backend)


@nox.session(name="test-pytorch")
def test_pytorch(session):
    """The PyTorch column against the oracle."""
    test_backend(session, "pytorch")


@nox.session(name="test-tensorflow")
def test_tensorflow(session):
    """The TensorFlow column against the oracle."""
    test_backend(session, "tensorflow")


@nox.session(name="test-paddle")
def test_paddle(session):
    """The Paddle column against the oracle."""
    test_backend(session, "paddle")


@nox.session(name="test-jax")
def test_jax(session):
    """The JAX column against the oracle."""
    test_backend(session, "jax")


@nox.session(name="test-parity")
def test_parity(session):
    """All four columns in one environment: against each other, and the `compare` command."""
    install(session, "all,test")
    pytest(session, "tests/parity")


@nox.session(name="test-portable")
def test_portable(session):
    """The bars with the frameworks held to other instruction sets and threads, over five seeds: hours; docs/portable.md."""
    install(session, "all,test")
    session.run("python", "-m", "tests.portable", *session.posargs)


@nox.session
def site(session):
    """The pages that show the four columns side by side, with the results that are there; site/index.html."""
    session.install("-c", "constraints.txt", "-e", ".")
    session.run("tetrapla", "site", *session.posargs)


@nox.session(name="test-site")
def test_site(session):
    """Every page of the site in headless Chromium, which must be installed: not among the default."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        session.error("no Chromium on the path; install it first (Debian: apt-get install chromium)")
    install(session, "test")
    session.install("-c", "constraints.txt", "playwright")  # without a browser of its own
    session.env["CHROMIUM"] = browser
    pytest(session, "tests/site")


@nox.session(name="test-kill")
def test_kill(session):
    """Training of every model in every backend, killed and resumed: a quarter of an hour, so not among the default."""
    install(session, "all,test")
    for backend in ("pytorch", "tensorflow", "paddle", "jax"):
        session.run("pytest", "tests/backend/test_kill.py", "--thorough", "--backend", backend, *session.posargs)


@nox.session
def compare(session):
    """The main job: all models in all four frameworks on the bundled digits; report in runs/compare/report.html."""
    install(session, "all")
    session.run("tetrapla", "compare", "--overwrite", *session.posargs)


@nox.session
def reproduce(session):
    """An article's models on MNIST in its original framework, with its figures and checks: `nox -s reproduce -- gan`."""
    install(session, "all")
    session.run("tetrapla", "reproduce", *session.posargs)


@nox.session
def results(session):
    """Test metrics of every model in all four frameworks over three seeds, into docs/results.md: an hour or two."""
    install(session, "all")
    session.run("tetrapla", "results", "--page", "docs/results.md", *session.posargs)


@nox.session
def bench(session):
    """Training steps and sampling of every model in all four frameworks, timed in turn; runs/bench/result.json."""
    install(session, "all")
    session.run("tetrapla", "bench", *session.posargs)
