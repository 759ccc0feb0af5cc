"""Tests and the main job: `nox` runs all tests, `nox -s compare` the comparison, `nox -s jax` one framework alone.

Installs come from the package index with pip, at the versions of constraints.txt, each once: .nox/base holds what everything
needs, .nox/pytorch and its three siblings hold their framework and look into base, so that no implementation can lean on another's,
and .nox/all holds nothing and looks into all five. Together they fill 4.5 GB of disk.
"""

import functools
import hashlib
import os
import shutil
import sys
import sysconfig
import tomllib
from pathlib import Path

import nox

BACKENDS = ("pytorch", "tensorflow", "paddle", "jax")
ENVIRONMENTS = Path(__file__).parent / ".nox"
KEPT = (
    "pytest",
    "hypothesis",
    "ruff",
    "scipy",
    "scikit-learn",
    "statsmodels",
    "matplotlib",
)  # whatever a framework's release

nox.options.default_venv_backend = "none"  # sessions share environments, which `environment` makes
nox.options.sessions = [
    "lint",
    "test-spec",
    "test-pytorch",
    "test-tensorflow",
    "test-paddle",
    "test-jax",
    "test-parity",
]


def environment(session, name, *packages, sees=(), constraints="constraints.txt"):
    """.nox/`name` with `packages`, where they are not found in the environments that it `sees`; put on the path.

    pip takes what it sees for installed, and installs another version next to it if that does not fit. It is asked again
    when the versions wanted have changed.
    """
    folder = ENVIRONMENTS / name
    python, site = (_of(folder, place) / end for place, end in (("scripts", "python"), ("purelib", "")))
    wanted = b"".join(Path(file).read_bytes() for file in ("pyproject.toml", constraints))
    wanted = hashlib.sha256(f"{sys.version} {packages} {sees}".encode() + wanted).hexdigest()
    done = folder / "installed"
    if not done.exists() or done.read_text() != wanted:
        session.run(sys.executable, "-m", "venv", str(folder), external=True)
        (site / "seen.pth").write_text("".join(f"{_of(ENVIRONMENTS / other, 'purelib')}\n" for other in sees))
        session.run(str(python), "-m", "pip", "install", "-c", str(constraints), *packages, external=True)
        done.write_text(wanted)
    session.env["PATH"] = os.pathsep.join((str(python.parent), os.environ["PATH"]))
    session.env["VIRTUAL_ENV"] = str(folder)


def _of(folder, place):
    """A folder of the virtual environment in `folder`, by sysconfig's name for it."""
    return Path(sysconfig.get_path(place, "venv", vars={"base": str(folder), "platbase": str(folder)}))


def base(session):
    environment(session, "base", "-e", ".[test]")


def backend_alone(session, backend):
    base(session)
    environment(session, backend, "-e", f".[{backend},test]", sees=("base",))


def all_backends(session):
    for backend in BACKENDS:
        backend_alone(session, backend)
    environment(session, "all", "-e", ".[all,test]", sees=("base", *BACKENDS))


def run(session, program, *arguments):
    """A program of the environment that was made last."""
    session.run(shutil.which(program, path=session.env["PATH"]), *arguments, external=True)


def pytest(session, *arguments):
    # Two processes with a file each: fixtures of a module are made once.
    run(session, "python", "-m", "pytest", "-n", "2", "--dist", "loadfile", *arguments, *session.posargs)


@nox.session
def lint(session):
    """Style and obvious errors."""
    environment(session, "lint", "ruff")
    run(session, "ruff", "check", ".")
    run(session, "ruff", "format", "--check", ".")


@nox.session(name="test-spec")
def test_spec(session):
    """Specifications, oracle, data and command line, with no framework installed."""
    base(session)
    pytest(session, "tests/spec")


def test_backend(session, backend):
    backend_alone(session, backend)
    tests_of(session, backend)


def tests_of(session, backend):
    differences = sorted(map(str, Path("tests/differences").glob(f"test_{backend}*.py")))
    folders = ("tests/backend", "tests/probes", "tests/workers/test_stages.py")
    pytest(session, *folders, *differences, "--backend", backend)


@nox.session(name="test-pytorch")
def test_pytorch(session):
    """The PyTorch implementation against the oracle."""
    test_backend(session, "pytorch")


@nox.session(name="test-tensorflow")
def test_tensorflow(session):
    """The TensorFlow implementation against the oracle."""
    test_backend(session, "tensorflow")


@nox.session(name="test-paddle")
def test_paddle(session):
    """The Paddle implementation against the oracle."""
    test_backend(session, "paddle")


@nox.session(name="test-jax")
def test_jax(session):
    """The JAX implementation against the oracle."""
    test_backend(session, "jax")


def test_release(session, backend, which):
    base(session)
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    least = project["project"]["optional-dependencies"][backend]
    # What a framework asks for by itself is left to it.
    kept = [line for line in Path("constraints.txt").read_text(encoding="utf-8").splitlines() if line.startswith(KEPT)]
    lines = kept + [one.partition(",")[0].replace(">=", "==") for one in least if which == "oldest"]
    file = ENVIRONMENTS / f"{backend}-{which}.txt"
    file.write_text("".join(f"{line}\n" for line in lines))
    environment(session, f"{backend}-{which}", "-e", f".[{backend},test]", sees=("base",), constraints=file)
    tests_of(session, backend)


def test_releases():
    """`nox -s "test-jax(oldest)"`: at the least versions of pyproject.toml; `(newest)`: at the newest on the index."""
    for backend in BACKENDS:
        for which in ("oldest", "newest"):
            function = functools.partial(test_release, backend=backend, which=which)
            function.__name__ = f"test_{backend}_{which}"
            function.__doc__ = f"As test-{backend}, at the {which} release of its framework."
            function.__module__ = __name__
            nox.session(function, name=f"test-{backend}({which})")


test_releases()


@nox.session
def versions(session):
    """Releases of the frameworks: proof, entries of the field guide, time; an hour and a half; docs/versions.md."""
    for backend in BACKENDS:
        if "--only" not in session.posargs or backend in session.posargs:
            backend_alone(session, backend)  # the pinned release, for the time; it stays on the path
    run(session, "python", "-m", "tests.versions", *session.posargs)


@nox.session(name="test-parity")
def test_parity(session):
    """All four implementations in one environment: against each other, the `compare` command, and `diff`."""
    all_backends(session)
    pytest(session, "tests/parity", "tests/diff", "-m", "not long")


@nox.session(name="test-workers")
def test_workers(session):
    """Several processes that train one model, in every framework, one after another: against the oracle, killed, refused, resumed."""
    all_backends(session)
    for backend in BACKENDS:
        run(session, "python", "-m", "pytest", "tests/workers", "--backend", backend, *session.posargs)


@nox.session(name="test-full")
def test_full(session):
    """The largest models, which the other sessions prove by their narrow twins, at full width, and every model as a file of its own, one
    backend after another."""
    all_backends(session)
    for backend in BACKENDS:
        tests = ("tests/backend/test_parity.py", "-k", "test_stages", "--thorough", "--backend", backend)
        run(session, "python", "-m", "pytest", *tests, *session.posargs)
        tests = ("tests/backend/test_take.py", "--thorough", "--backend", backend)
        run(session, "python", "-m", "pytest", *tests, *session.posargs)


@nox.session(name="test-diff")
def test_diff(session):
    """Pairs of well-known networks, every mistake that is planted in a network, and what `tetrapla diff` finds: half an hour; docs/diff-planted.json, docs/diff.md."""
    all_backends(session)
    run(session, "python", "-m", "pytest", "tests/diff", "-m", "long")
    out = ("--again", "--out", "docs/diff-planted.json", "--publish", "docs/diff.md")
    run(session, "python", "-m", "tests.diff.planted", *out, *session.posargs)


@nox.session(name="test-portable")
def test_portable(session):
    """The bars with the frameworks held to other instruction sets and threads, over five seeds: an hour; docs/portable.md."""
    all_backends(session)
    run(session, "python", "-m", "tests.portable", *session.posargs)


@nox.session
def site(session):
    """The pages that show the four implementations side by side, with the results that are there; site/index.html."""
    base(session)
    run(session, "tetrapla", "site", *session.posargs)


@nox.session(name="test-site")
def test_site(session):
    """Every page of the site in headless Chromium, which must be installed: not among the default."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        session.error("no Chromium on the path; install it first (Debian: apt-get install chromium)")
    base(session)
    environment(session, "site", "-e", ".[test]", "playwright", sees=("base",))  # without a browser of its own
    session.env["CHROMIUM"] = browser
    pytest(session, "tests/site")


@nox.session(name="test-kill")
def test_kill(session):
    """Training of every model in every backend, alone and with two workers, killed and resumed: half an hour, so not among the
    default."""
    all_backends(session)
    for backend in BACKENDS:
        arguments = (
            "tests/backend/test_kill.py",
            "tests/workers/test_kill.py",
            "-s",
            "--thorough",
            "--backend",
            backend,
        )
        run(session, "python", "-m", "pytest", *arguments, *session.posargs)


@nox.session
def compare(session):
    """The main job: all models in all four frameworks on the bundled digits; report in runs/compare/report.html."""
    all_backends(session)
    run(session, "tetrapla", "compare", "--overwrite", *session.posargs)


def one_framework(session, backend):
    backend_alone(session, backend)
    model = session.posargs[0] if session.posargs else "vae"
    out = Path("runs") / backend
    run(session, "tetrapla", "compare", model, "--backend", backend, "--overwrite", "--out", str(out / "compare"))
    train = ("train", model, "--backend", backend, "--epochs", "50", "--overwrite", "--out", str(out / model))
    run(session, "tetrapla", *train)
    session.log(f"proof: {out / 'compare' / 'report.html'}; pictures: {out / model / 'figures'}")


@nox.session
def pytorch(session):
    """PyTorch alone: `vae`, or another (`nox -s pytorch -- gan`), proven against the oracle, and trained; with pictures."""
    one_framework(session, "pytorch")


@nox.session
def tensorflow(session):
    """TensorFlow alone, likewise."""
    one_framework(session, "tensorflow")


@nox.session
def paddle(session):
    """Paddle alone, likewise."""
    one_framework(session, "paddle")


@nox.session
def jax(session):
    """JAX alone, likewise."""
    one_framework(session, "jax")


@nox.session
def reproduce(session):
    """An article's models on MNIST in its original framework, with its figures and checks: `nox -s reproduce -- gan`."""
    all_backends(session)
    run(session, "tetrapla", "reproduce", *session.posargs)


@nox.session
def results(session):
    """Test metrics of every model in all four frameworks over 5 to 20 seeds, judged, into docs/results.md: an hour and a half."""
    all_backends(session)
    run(session, "tetrapla", "results", "--page", "docs/results.md", *session.posargs)


@nox.session
def bench(session):
    """Training steps and sampling of every model in all four frameworks, timed in turn; runs/bench/result.json."""
    all_backends(session)
    run(session, "tetrapla", "bench", *session.posargs)
