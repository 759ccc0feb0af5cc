"""Which releases of the frameworks pass the proof, what of the field guide changed between them, and how fast they are.

    python -m tests.versions [--release jax==0.10.0]... [--out docs/versions.json] [--again]
    python -m tests.versions --only jax --newest          # exit code 1 if the newest release moved anything

Each release gets an environment of its own in .nox/versions, which looks into .nox/base; it is removed again. There the model
stages are held to the oracle (float64 and float32, PROVEN), the tests of the field guide's entries are run, and `vae` is timed
beside the pinned release, turn by turn. What is found is kept in OUT after each release, so that an interrupted run goes on
where it stopped, and OUT with the ending .md holds the table.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

from backends import BACKENDS, TITLES
from common import environment
from common.checkpoint import write_atomically, write_json
from common.environment import ROOT
from common.errors import UsageError
from common.tools.site import guide

# Release by release, the oldest first; of JAX, jaxlib's is the same.
RELEASES = {
    "pytorch": ["torch==2.11.0", "torch==2.12.1", "torch==2.13.0", "torch==2.14.1", "torch==2.15.0"],
    "tensorflow": ["tensorflow==2.19.1", "tensorflow==2.20.0", "tensorflow==2.21.0"],
    "paddle": [
        "paddlepaddle==3.0.0",
        "paddlepaddle==3.1.1",
        "paddlepaddle==3.2.0",
        "paddlepaddle==3.2.2",
        "paddlepaddle==3.3.0",
        "paddlepaddle==3.3.1",
    ],
    "jax": ["jax==0.8.3", "jax==0.9.2", "jax==0.10.0", "jax==0.10.1", "jax==0.10.2"],
}
# What goes with a framework, in the release that its own requirements choose.
WITH = {"pytorch": [], "tensorflow": ["keras"], "paddle": [], "jax": ["flax", "optax"]}
PROVEN = ("vae", "conv_autoencoder", "gan", "aae_style", "infogan")
KEPT = ("pytest", "hypothesis", "scipy", "scikit-learn", "statsmodels", "matplotlib")  # whatever a framework's release
CUDA = re.compile(r"nvidia[-_]\S+|triton")  # gigabytes, which are not fetched
ROUNDS, STEPS = 5, 200  # of the timing
TIME = """
import json, sys, time
import numpy as np
import backends
from common.data import digits
from common.data.batches import batch_indices, row_sets
from common.parameters import initial_parameters
from common.specs import get
spec, data = get("vae"), digits.load()
column = backends.create(sys.argv[1], spec, initial_parameters(spec, 0), dtype="float32")
column.upload(data.train)
rows = batch_indices(row_sets(spec, data.train, 0), 128, 0, range(100))
column.train_steps(rows)
for line in sys.stdin:
    began = time.perf_counter()
    for _ in range(int(line) // 100):
        column.train_steps(rows)
    print(json.dumps((time.perf_counter() - began) / int(line)), flush=True)
"""


def backend_of(release: str) -> str:
    """Raises UsageError where no backend has it."""
    name = release.partition("==")[0]
    for backend, releases in RELEASES.items():
        if name == releases[0].partition("==")[0]:
            return backend
    known = ", ".join(releases[0].partition("==")[0] for releases in RELEASES.values())
    raise UsageError(f"--release: {release!r} is of no framework here; expected NAME==VERSION of one of: {known}")


def constraints() -> str:
    """Of constraints.txt what tests and measures; all else a framework's own requirements decide."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return "".join(f"{line}\n" for line in lines if line.startswith(KEPT))


def make(release: str, backend: str, folder: Path) -> str | None:
    """An environment with the release in `folder`; None, or why it cannot be had."""
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    where = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    base = next((ROOT / ".nox" / "base" / "lib").glob("python*/site-packages"))
    Path(where.stdout.strip(), "seen.pth").write_text(f"{base}\n")
    (folder / "constraints.txt").write_text(constraints())
    wanted = [release, *([release.replace("jax==", "jaxlib==")] if backend == "jax" else []), *WITH[backend]]
    command = [str(python), "-m", "pip", "install", "-c", str(folder / "constraints.txt"), *wanted]
    plan = subprocess.run([*command, "--dry-run", "--report", "-", "--quiet"], capture_output=True, text=True)
    if plan.returncode:
        return _error(plan.stderr)
    names = [one["metadata"]["name"] for one in json.loads(plan.stdout)["install"]]
    if found := [name for name in names if CUDA.fullmatch(name)]:
        return f"its build for this machine brings CUDA along ({len(found)} packages); no build for processors on the index"
    done = subprocess.run([*command, "--quiet"], capture_output=True, text=True)
    return _error(done.stderr) if done.returncode else None


def _error(text):
    lines = [line for line in text.splitlines() if line.startswith("ERROR")] or text.splitlines()[-1:] or ["pip failed"]
    return lines[0].removeprefix("ERROR: ")[:300]


def _reason(failure):
    lines = [line for line in (failure.text or "").splitlines() if line.startswith("E  ")]
    line = " ".join((lines or [failure.get("message") or "?"])[-1].removeprefix("E").split())
    return re.sub(r"(/[\w.+-]+){3,}", lambda path: path[0].rpartition("/")[2], line)[:200]  # places are of this machine


def variables() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def tested(python: Path, out: Path, *arguments: str) -> dict[str, str]:
    """{test: "passed" | "skipped" | "failed: why"} of a pytest of these arguments."""
    report = out / "report.xml"
    report.unlink(missing_ok=True)
    command = [
        str(python),
        "-m",
        "pytest",
        "-q",
        "-o",
        f"cache_dir={out / 'cache'}",
        f"--junitxml={report}",
        *arguments,
    ]
    done = subprocess.run(command, cwd=ROOT, env=variables(), capture_output=True, text=True)
    if not report.exists():
        return {"pytest": f"failed: {_error(done.stderr or done.stdout)}"}
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        failure = next((one for one in case if one.tag in ("failure", "error")), None)
        name = f"{case.get('classname').rpartition('.')[2]}.py::{case.get('name')}"
        if failure is not None:
            found[name] = f"failed: {_reason(failure)}"
        else:
            found[name] = "skipped" if case.find("skipped") is not None else "passed"
    return found


def timed(python: Path, pinned: Path, backend: str) -> dict[str, float]:
    """Milliseconds of an update of `vae` in this release and the pinned one, medians of turns; {} if one does not run."""
    workers = [
        subprocess.Popen(
            [str(one), "-P", "-c", TIME, backend],
            cwd=ROOT,
            env=variables(),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for one in (python, pinned)
    ]
    found = [[], []]
    try:
        for _ in range(ROUNDS):
            for worker, own in zip(workers, found, strict=True):
                worker.stdin.write(f"{STEPS}\n")
                worker.stdin.flush()
                own.append(1000 * json.loads(worker.stdout.readline()))
    except (OSError, ValueError):
        return {}
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    return {"ms": statistics.median(found[0]), "pinned_ms": statistics.median(found[1])}


def measure(release: str) -> dict:
    """What is found of one release."""
    backend, began = backend_of(release), time.perf_counter()
    folder = ROOT / ".nox" / "versions" / release.replace("==", "-")
    pinned = ROOT / ".nox" / backend / "bin" / "python"
    try:
        if why := make(release, backend, folder):
            return {"backend": backend, "missing": why}
        python = folder / "bin" / "python"
        listed = subprocess.run(
            [str(python), "-m", "pip", "list", "--format", "json"], capture_output=True, text=True, check=True
        )
        versions = {one["name"]: one["version"] for one in json.loads(listed.stdout)}
        kept = [release.partition("==")[0], *WITH[backend]]
        stages = [
            f"tests/backend/test_parity.py::test_stages[{model}-{backend}-{dtype}]"
            for model in PROVEN
            for dtype in ("float64", "float32")
        ]
        differences = sorted(str(path) for path in (ROOT / "tests" / "differences").glob(f"test_{backend}*.py"))
        return {
            "backend": backend,
            "versions": {name: versions.get(name) for name in kept},
            "parity": tested(python, folder, *stages, "--backend", backend),
            "differences": tested(python, folder, *differences, "--backend", backend),
            "time": timed(python, pinned, backend),
            "seconds": round(time.perf_counter() - began),
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def changed(found: dict) -> list[str]:
    """The field guide's entries whose tests failed, with the tests that no entry names."""
    titles, entries = [], guide.entries()
    for test in [name for name, how in found["differences"].items() if how.startswith("failed")]:
        name = test.partition("::")[2].partition("[")[0]
        entry = next((one for one in entries if name and name in one.text), None)
        if entry:
            titles.append(f"[{entry.title}](differences.md#{entry.anchor})")
        elif report := re.search(r"test_a_report_says_what_is_found\[(.+)\]", test):
            titles.append(f"[a report](upstream/{report[1]}.md)")
        else:
            titles.append(f"`{test}`")
    return list(dict.fromkeys(titles))


def page(value: dict) -> str:
    """docs/versions.md."""
    rows = [
        "| release | proof | entries of the field guide that do not hold | `vae`, ms an update (pinned) |",
        "|---|---|---|---|",
    ]
    missing = []
    for release, found in value["releases"].items():
        title = f"{TITLES[found['backend']]}: {release.replace('==', ' ')}"
        if "missing" in found:
            missing.append(f"- {release.replace('==', ' ')}: {found['missing']}")
            continue
        others = ", ".join(f"{name} {version}" for name, version in list(found["versions"].items())[1:] if version)
        passed = sum(how == "passed" for how in found["parity"].values())
        ran = sum(how != "skipped" for how in found["parity"].values())
        times = found["time"]
        shown = f"{times['ms']:.2f} ({times['pinned_ms']:.2f})" if times else "does not run"
        titles = changed(found)
        held = sum(how == "passed" for how in found["differences"].values())
        text = (
            "; ".join(titles)
            if 0 < len(titles) <= 12
            else f"{len(titles)} entries"
            if titles
            else f"none; {held} tests"
        )
        rows.append(f"| {title}{f' ({others})' if others else ''} | {passed} of {ran} | {text} | {shown} |")
    machine = value["environment"]
    return "\n".join(
        [
            "# Releases of the frameworks",
            "",
            "Made by `nox -s versions`; every test by name: [versions.json](versions.json). The pinned releases are those of `constraints.txt`; those that `pyproject.toml` admits have to pass the proof; of a release that is not here nothing is known.",
            "",
            f"**Proof**: the stages up to a few updates in float64 and float32, against the oracle, of `vae`, `conv_autoencoder`, `gan`, `aae_style`, `infogan`. **Entries**: the tests of [the field guide](differences.md), which hold for the releases whose row does not name them. **Milliseconds**: medians of {ROUNDS} turns of {STEPS} updates, in turns with the pinned release, one thread; the row of the pinned release itself shows what chance makes of it.",
            "",
            *rows,
            "",
            *(["Could not be had here:", "", *missing, ""] if missing else []),
            f"Measured on {machine['processor']}, {machine['cores']} cores.",
            "",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.versions", description=__doc__.partition("\n")[0])
    parser.add_argument("--release", action="append", help="NAME==VERSION; default: all of RELEASES")
    parser.add_argument("--only", action="append", choices=BACKENDS)
    parser.add_argument("--newest", action="store_true", help="the newest on the index alone")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "versions.json")
    parser.add_argument("--again", action="store_true", help="those that are in OUT too")
    given = parser.parse_args()
    chosen = given.only or list(BACKENDS)
    wanted = given.release or [one for backend in chosen for one in RELEASES[backend]]
    if given.newest:
        wanted = [newest(backend) for backend in chosen]
    value = {"environment": environment.describe(), "releases": {}}
    if given.out.exists():
        value["releases"] = json.loads(given.out.read_text(encoding="utf-8"))["releases"]
    moved = False
    for release in wanted:
        if release in value["releases"] and not given.again:
            continue
        print(release, flush=True)
        value["releases"][release] = found = measure(release)
        order = [one for releases in RELEASES.values() for one in releases]
        value["releases"] = dict(
            sorted(
                value["releases"].items(),
                key=lambda item: (
                    list(BACKENDS).index(item[1]["backend"]),
                    order.index(item[0]) if item[0] in order else len(order),
                ),
            )
        )
        write_json(given.out, value)
        write_atomically(given.out.with_suffix(".md"), page(value).encode())
        failed = [
            name
            for kind in ("parity", "differences")
            for name, how in found.get(kind, {}).items()
            if how.startswith("failed")
        ]
        moved |= bool(failed)
        for title in changed(found) if failed else []:
            print(f"  does not hold: {title}")
        for name in failed:
            print(f"  {name} {(found['parity'] | found['differences'])[name]}")
    return int(moved and given.newest)


def newest(backend: str) -> str:
    """NAME==VERSION of the newest release on the index."""
    name = RELEASES[backend][0].partition("==")[0]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "index", "versions", name], capture_output=True, text=True, check=True
    )
    found = re.search(r"\((.+?)\)", done.stdout)
    return f"{name}=={found[1].partition('+')[0]}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UsageError as error:
        sys.exit(f"error: {error}")
