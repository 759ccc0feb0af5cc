"""The Chinese pages hold what the English ones hold: the same sections in the same order, and in each the same code, links, tables
and numbers. What one language lacks is named, whichever it is."""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt

from common.environment import ROOT
from common.tools.pages import slug

PAGES = ("README.md", "docs/diff.md", "docs/differences.md")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e-?\d+)?")


@dataclass
class Section:
    """A heading and what stands below it, up to the next one of any level. `anchor`: the id directly above the heading."""

    level: str
    title: str
    anchor: str
    blocks: list[str] = field(default_factory=list)  # fenced code, without the words of its comments
    rows: list[tuple] = field(default_factory=list)  # of tables: for each cell its code, links and numbers
    code: Counter = field(default_factory=Counter)
    links: Counter = field(default_factory=Counter)  # with pictures
    numbers: Counter = field(default_factory=Counter)
    items: int = 0
    text: str = ""


def chinese(path: str) -> str:
    return f"{path.removesuffix('.md')}.zh.md"


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def inside(token) -> tuple[Counter, Counter, Counter, str]:
    """(code spans, links and pictures, numbers outside of both, text) of one line of Markdown."""
    code = Counter(one.content for one in token.children if one.type == "code_inline")
    targets = [
        one.attrGet("href") or one.attrGet("src") for one in token.children if one.type in ("link_open", "image")
    ]
    text = " ".join(one.content for one in token.children if one.type == "text")
    return code, Counter(targets), Counter(NUMBER.findall(text)), text


def in_either(targets: Counter) -> Counter:
    """A link to a page is the same link in both languages."""
    return Counter(target.replace(".zh.md", ".md") for target in targets.elements())


def sections(text: str) -> list[Section]:
    found, anchor, cells = [], "", None
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "inline" and before.type == "heading_open":
            title = "".join(one.content for one in token.children if one.type in ("text", "code_inline"))
            found.append(Section(before.tag, title, anchor))
        if token.type == "inline":
            alone = re.fullmatch(r'<a id="(.+)"></a>', token.content)
            anchor = alone[1] if alone else ""
            code, links, numbers, words = inside(token)
            section = found[-1]
            section.code += code
            section.links += links
            section.numbers += numbers
            section.text += words + "\n"
            if cells is not None:
                cells.append((code, in_either(links), numbers))
        elif token.type == "fence":
            found[-1].blocks.append(re.sub(r"(?<!\S)# .*", "#", token.content))
        elif token.type == "tr_open":
            cells = []
        elif token.type == "tr_close":
            found[-1].rows.append(cells)
            cells = None
        elif token.type == "list_item_open":
            found[-1].items += 1
    return found


def lacking(english: str, translated: str) -> list[str]:
    """One line for each thing that one language has and the other has not. A Chinese heading's id is the English anchor, and pairs
    the two; a title has none."""
    left = {"" if one.level == "h1" else slug(one.title): one for one in sections(english)}
    right = {one.anchor: one for one in sections(translated)}
    lines = [
        f"{one.title!r}: no section in Chinese has the id {key!r}" for key, one in left.items() if key not in right
    ]
    lines += [
        f"{one.title!r}: no section in English has the anchor {key!r}" for key, one in right.items() if key not in left
    ]
    both = [key for key in left if key in right]
    if both != [key for key in right if key in left]:
        lines.append("the sections stand in another order")
    for key in both:
        for what in ("level", "blocks", "rows", "code", "links", "numbers", "items"):
            a, b = getattr(left[key], what), getattr(right[key], what)
            if what == "links":
                a, b = in_either(a), in_either(b)
            if a == b:
                continue
            if isinstance(a, Counter):
                a, b = sorted((a - b).elements()), sorted((b - a).elements())
            elif isinstance(a, list):
                a, b = [one for one in a if one not in b], [one for one in b if one not in a]
            lines.append(f"{left[key].title!r}, {what}: in English {a}, in Chinese {b}")
    return lines


@pytest.mark.parametrize("page", PAGES)
def test_both_languages_have_the_same_sections_code_links_and_numbers(page):
    assert lacking(read(page), read(chinese(page))) == []


@pytest.mark.parametrize("page", PAGES)
def test_links_stay_in_the_language(page):
    """But for the line below the title, which leads to the other one."""
    name, other = Path(page).name, Path(chinese(page)).name
    ours, theirs = [sections(read(path)) for path in (page, chinese(page))]
    assert re.match(rf"English \| \[简体中文\]\({re.escape(other)}\)$", read(page).splitlines()[2])
    assert re.match(rf"\[English\]\({re.escape(name)}\) \| 简体中文$", read(chinese(page)).splitlines()[2])
    english = Counter(target for section in ours for target in section.links.elements() if ".zh.md" in target)
    assert english == Counter([other])
    translated = {(ROOT / one).resolve() for one in PAGES}
    folder = (ROOT / page).parent
    found = [target for section in theirs for target in section.links.elements() if "://" not in target]
    assert [one for one in found if (folder / one.partition("#")[0]).resolve() in translated] == [name]


@pytest.mark.parametrize("path", [*PAGES, *map(chinese, PAGES)])
def test_links_and_their_anchors_resolve(path):
    for target in (target for section in sections(read(path)) for target in section.links):
        if re.match(r"\w+:", target):
            assert target.startswith("https://github.com/"), target
            continue
        file, _, anchor = target.partition("#")
        assert (ROOT / path).parent.joinpath(file).exists(), target
        if anchor:
            there = sections((ROOT / path).parent.joinpath(file).read_text(encoding="utf-8"))
            assert unquote(anchor) in {slug(one.title) for one in there} | {one.anchor for one in there}, target


@pytest.mark.parametrize("page", PAGES)
def test_no_mark_of_bold_type_is_left_over(page):
    """Between Chinese characters and punctuation ** may stand for itself."""
    assert [section.title for section in sections(read(chinese(page))) if "**" in section.text] == []


# What is named, the page, what is replaced (in each language that has it), by what.
PLANTED = [
    ("no section in Chinese", "docs/differences.md", r'<a id="reductions">.*?(?=<a id=)', ""),
    ("no section in English", "docs/differences.md", r"### Reductions\n.*?(?=\n##)", ""),
    ("no section in Chinese", "README.md", r'<a id="use-it">.*?(?=<a id=)', ""),
    ("no section in Chinese", "docs/differences.md", r'<a id="reductions"></a>', ""),
    ("another order", "docs/diff.md", r'(<a id="real-threads">.*?)(<a id="what-it-does">.*?)(?=<a id=)', r"\2\1"),
    ("level", "docs/differences.md", r"\n## 损失", "\n### 损失"),
    ("level", "docs/differences.md", r"\n## Losses", "\n### Losses"),
    ("rows", "README.md", r"\| 2\.3e-15 \|", "| 2.4e-15 |"),
    ("rows", "docs/diff.md", r"\| 99\.0% \|", "| 99.1% |"),
    ("rows", "docs/diff.md", r"\| `name` \| 2 \| 2 \|", "| `name` | 2 |  |"),
    ("rows", "docs/diff.md", r"\n\| [^|]+ \| `alpha` [^\n]+", ""),
    ("blocks", "README.md", r"```sh\n.*?```\n", ""),
    ("blocks", "README.md", r"tetrapla sample runs", "tetrapla samples runs"),
    ("code", "docs/diff.md", r"`ZeroPadding2D\(1\)`", "ZeroPadding2D(1)"),
    ("links", "docs/diff.md", r"\(images/diff-keras-19291\.png\)", "(images/site.png)"),
    ("links", "docs/differences.md", r"\]\(articles/aae/README\.md\)", "]"),
    ("numbers", "docs/differences.md", r"2\.7e-2", "2.7e-3"),
    ("items", "docs/diff.md", r"\n7\. [^\n]*", ""),
]


@pytest.mark.parametrize("named, page, mistake, by", PLANTED)
def test_a_planted_mistake_is_named_in_whichever_language_it_stands(named, page, mistake, by):
    texts, planted = [read(page), read(chinese(page))], 0
    for place, text in enumerate(texts):
        wrong = re.sub(mistake, by, text, count=1, flags=re.DOTALL)
        if wrong != text:
            planted += 1
            assert any(named in line for line in lacking(*texts[:place], wrong, *texts[place + 1 :]))
    assert planted
