"""What the documents promise exists: every test that the field guide names, every file that a page links to."""

import re

import pytest

from common import specs
from common.environment import ROOT
from common.tools.articles import ARTICLES
from common.tools.diff import causes
from common.tools.diff.conventions import layers, updates
from common.tools.pages import slug

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_every_test_that_the_field_guide_names_exists():
    named = set(re.findall(r"\btest_\w+(?!\w|\.py)", (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")))
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"^def (test_\w+)", code, re.MULTILINE))
    modules = {path.stem for path in (ROOT / "tests").rglob("test_*.py")} | {"test_"}
    assert len(named - modules) > 40
    assert named - modules <= defined


def test_a_test_that_several_frameworks_have_is_in_each_of_their_files():
    """Where the field guide says `test_x` (PyTorch, JAX)."""
    folder = ROOT / "tests" / "differences"
    text = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")
    found = re.findall(r"`(test_\w+)`\s\(((?:PyTorch|TensorFlow|Paddle|JAX)[\w, ]*)\)", text)
    assert len(found) > 10
    for name, frameworks in found:
        for framework in frameworks.split(", "):
            files = [path.read_text(encoding="utf-8") for path in folder.glob(f"test_{framework.lower()}*.py")]
            assert sum(f"\ndef {name}(" in text for text in files) == 1, (name, framework)


def test_every_entry_of_the_field_guide_says_where_the_columns_handle_it():
    """What stands there is looked up when the site is built."""
    entries = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8").split("\n### ")[1:]
    assert [entry.splitlines()[0] for entry in entries if "\nIn the columns: `" not in entry] == []


def test_every_entry_of_the_field_guide_points_at_a_test():
    entries = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8").split("\n### ")[1:]
    without = [entry.splitlines()[0] for entry in entries if "test_" not in entry]
    assert without == ["TF32"]  # which only a GPU could show


def test_every_cause_that_diff_knows_has_an_entry_in_the_field_guide():
    """What `tetrapla diff` names as a guide is a heading, for each setting of the catalogue, and each rule of an optimiser."""
    headings = re.findall(r"^### (.+)$", (ROOT / "docs" / "differences.md").read_text(encoding="utf-8"), re.MULTILINE)
    named = {knob.anchor for knobs in layers.KNOBS.values() for knob in knobs.values()}
    named |= {updates.anchor({"name": rule}, knob) for rule in updates.RULES for knob in updates.KNOBS}
    named |= {*causes.LOSSES.values()}
    assert len(named) > 25
    assert sorted(named - {*headings}) == []


OUTSIDE = ("https://github.com/", "https://colab.research.google.com", "https://aistudio.baidu.com")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith(OUTSIDE) or (page.parent / target).exists(), target


def test_every_report_for_a_framework_is_listed_and_shown_with_the_versions_that_the_tests_run_with():
    folder = ROOT / "docs" / "upstream"
    listed = re.findall(r"^\|.*\]\(([\w-]+\.md)\) \|", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in folder.glob("*.md") if path.name != "README.md")
    pinned = set(re.findall(r"^(\S+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    for name in listed:
        (shown,) = re.findall(r"^Shown with: (.*), Python", (folder / name).read_text(encoding="utf-8"), re.MULTILINE)
        assert {tuple(version.split()) for version in shown.split(", ")} <= pinned, name


def test_every_entry_that_the_reports_name_exists():
    anchors = {
        slug(title)
        for title in re.findall(
            r"^### (.+)$", (ROOT / "docs" / "differences.md").read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    named = set(
        re.findall(r"differences\.md#([^)]+)\)", (ROOT / "docs" / "upstream" / "README.md").read_text(encoding="utf-8"))
    )
    assert len(named) > 5
    assert named <= anchors


def test_the_guide_to_reproductions_has_a_row_of_every_article_and_of_every_variant():
    text = (ROOT / "docs" / "reproducing.md").read_text(encoding="utf-8")
    first = [row.partition(" | ")[0] for row in text.splitlines() if row.startswith("| `")]
    named = {name for cell in first for name in re.findall(r"`(\w+)`", cell)}
    assert {*ARTICLES, *specs.VARIANTS} <= named
