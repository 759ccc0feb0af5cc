"""The reports of docs/upstream, run as they stand: what their code prints is what they say."""

import re
import subprocess
import sys
from pathlib import Path

from common.environment import ROOT

FOLDER = ROOT / "docs" / "upstream"
# Errors of rounding, which are others where a processor adds in another order.
ROUNDED = ("keras-synchronized-moments", "jax-attention-softmax-float32", "optax-bias-correction")
RACES = ("paddle-detach-overwritten",)  # seen in most runs, and in no run for certain


def reports(*projects: str) -> list[Path]:
    """The reports for these projects, by which their names begin."""
    found = sorted(p for project in projects for p in FOLDER.glob(f"{project}-*.md") if p.stem not in RACES)
    assert found, projects
    return found


def parts(report: Path) -> tuple[str, str]:
    """Its code, and what that prints by what it says."""
    text = report.read_text(encoding="utf-8")
    blocks = [re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) for kind in ("python", "text")]
    ((code,), (found,)) = blocks
    return code, found


def check(report: Path, folder: Path) -> None:
    """Runs its code in a process of its own, in an empty folder, as whoever reads the report would."""
    code, expected = parts(report)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    found, expected = ([line.rstrip() for line in text.splitlines()] for text in (done.stdout, expected))
    if report.stem in ROUNDED:
        assert found[0] == expected[0], done.stderr
        assert 0.25 < error(*found) / error(*expected) < 4, done.stdout
        return
    assert found == expected, done.stderr


def error(expected: str, found: str) -> float:
    """How far the last number of the line found is from that of the line expected."""
    numbers = [float(re.findall(r"[-+.\d]+(?:e[-+]?\d+)?", line)[-1]) for line in (expected, found)]
    return abs(numbers[1] - numbers[0])
