"""The reports of docs/upstream, run as they stand: what their code prints is what they say."""

import re
import subprocess
import sys
from pathlib import Path

from common.environment import ROOT

FOLDER = ROOT / "docs" / "upstream"


def reports(*projects: str) -> list[Path]:
    """The reports for these projects, by which their names begin."""
    found = sorted(path for project in projects for path in FOLDER.glob(f"{project}-*.md"))
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
    assert found == expected, done.stderr
