"""What `nox -s versions` makes of what it finds; the releases themselves are run by that session."""

import itertools
import json
import subprocess
import sys

import pytest

from backends import TITLES
from common.environment import ROOT
from common.errors import UsageError
from common.tools.site import guide
from common.tools.site.languages import CHINESE, ENGLISH
from tests import versions

MEASURED = json.loads((ROOT / "docs" / "versions.json").read_text(encoding="utf-8"))["releases"]
SINCE = {ENGLISH: "since {}", CHINESE: "从 {} 起"}

FOUND = {
    "backend": "jax",
    "versions": {"jax": "0.9.2", "flax": "0.12.8", "optax": "0.2.8"},
    "parity": {
        "test_parity.py::test_stages[vae-float64]": "passed",
        "test_parity.py::test_stages[gan-float64]": "failed: AssertionError",
        "test_parity.py::x": "skipped",
    },
    "differences": {
        "test_jax.py::test_optax_corrects_its_bias_in_the_default_float": "failed: AssertionError",
        "test_jax.py::test_optax_adam_defaults": "passed",
        "test_jax.py::test_that_no_entry_names[1]": "failed: AssertionError",
    },
    "time": {"ms": 3.25, "pinned_ms": 3.0},
}


def test_a_failed_test_is_told_by_its_entry():
    first, second = versions.changed(FOUND)
    assert first.startswith(
        "[Where Adam adds ε, and through which precision its numbers pass](differences.md#where-adam-adds"
    )
    assert second == "`test_jax.py::test_that_no_entry_names[1]`"
    assert versions.changed(FOUND | {"differences": {"test_jax.py::test_optax_adam_defaults": "passed"}}) == []


def test_the_page():
    missing = {"backend": "pytorch", "missing": "its build for this machine brings CUDA along (14 packages)"}
    text = versions.page(
        {
            "environment": {"processor": "a processor", "cores": 2},
            "releases": {"torch==2.15.0": missing, "jax==0.9.2": FOUND},
        }
    )
    (row,) = [line for line in text.splitlines() if line.startswith("| JAX")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[0] == "JAX: jax 0.9.2 (flax 0.12.8, optax 0.2.8)"
    assert cells[1] == "1 of 2"
    assert cells[2].count(";") == 1
    assert cells[3] == "3.25 (3.00)"
    assert "- torch 2.15.0: its build for this machine brings CUDA along (14 packages)" in text


@pytest.mark.parametrize("framework", versions.RELEASES)
def test_the_framework_itself_is_free(framework):
    kept = versions.constraints()
    names = {line.partition("==")[0] for line in kept.splitlines()}
    assert not names & {one.partition("==")[0] for one in versions.RELEASES[framework]}
    assert "pytest" in names
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert any(f"\n{one}\n" in f"\n{pinned}" for one in versions.RELEASES[framework])  # the pinned one is among them


@pytest.mark.parametrize("language", SINCE, ids=["en", "zh"])
def test_the_guide_says_for_which_releases_it_holds(language):
    text = (ROOT / language.document(guide.PATH)).read_text(encoding="utf-8")
    for backend, releases in versions.RELEASES.items():
        found = [one.partition("==")[2] for one in releases if "missing" not in MEASURED[one]]
        to = "{} to {}" if language is ENGLISH else "{} 到 {}"
        assert f"{TITLES[backend]} {to.format(found[0], found[-1]) if len(found) > 1 else found[0]}" in text


def moved():
    """(test, release from which on it passes) of all that fail in the release before."""
    for releases in versions.RELEASES.values():
        had = [one for one in releases if "missing" not in MEASURED[one]]
        for before, after in itertools.pairwise(had):
            for test, how in MEASURED[before]["differences"].items():
                if how.startswith("failed") and MEASURED[after]["differences"][test] == "passed":
                    yield test.partition("::")[2], after.partition("==")[2]


@pytest.mark.parametrize("language", SINCE, ids=["en", "zh"])
@pytest.mark.parametrize(("test", "release"), list(moved()))
def test_an_entry_says_since_when_it_holds(language, test, release):
    """And a report to the maintainers, since when it is so."""
    if "[" in test:
        report = ROOT / "docs" / "upstream" / f"{test.partition('[')[2][:-1]}.md"
        assert f"since {release}" in report.read_text(encoding="utf-8")
    else:
        entry = next(one for one in guide.entries(language) if test in one.text)
        assert SINCE[language].format(release) in entry.text


def test_a_release_of_nothing_is_refused():
    with pytest.raises(
        UsageError, match=r"'caffe==1.0' is of no framework here; expected NAME==VERSION of one of: torch, "
    ):
        versions.backend_of("caffe==1.0")
    done = subprocess.run(
        [sys.executable, "-m", "tests.versions", "--release", "caffe==1.0", "--out", "x.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: --release: 'caffe==1.0'")
    assert not (ROOT / "x.json").exists()
