"""What `nox -s versions` makes of what it finds; the releases themselves are run by that session."""

import subprocess
import sys

import pytest

from common.environment import ROOT
from common.errors import UsageError
from tests import versions

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
