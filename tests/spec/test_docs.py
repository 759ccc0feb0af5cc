"""What the documents promise exists: every test that the field guide names, every file that a page links to."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_every_test_that_the_field_guide_names_exists():
    named = set(re.findall(r"\btest_\w+(?!\w|\.py)", (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")))
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"^def (test_\w+)", code, re.MULTILINE))
    modules = {path.stem for path in (ROOT / "tests").rglob("test_*.py")} | {"test_"}
    assert len(named - modules) > 40
    assert named - modules <= defined


def test_every_entry_of_the_field_guide_points_at_a_test():
    entries = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8").split("\n### ")[1:]
    without = [entry.splitlines()[0] for entry in entries if "test_" not in entry]
    assert without == ["TF32"]  # which only a GPU could show


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
