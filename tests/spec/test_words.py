"""What users read is in the field's words: documents, templates, the help of commands, output, errors, labels of plots.

Words that mean something here alone, or mean it nowhere else, are found by pattern. Names in code are free: a document's code spans, a
template's expressions, keys and docstrings are left out. The site's templates have their own tests.
"""

import ast
import re
from collections.abc import Iterator

import pytest

from common.environment import ROOT
from common.tools.cli import app

# What is not to be read, and what the field says.
OURS = {
    r"columns?": "implementation",
    r"floors?": "lower bound; of a comparison: expected rounding error",
    r"beside": "next to, with, compared with",
    r"parts (?:from|at|within|over)|part from|(?:they|runs|courses|losses|port) part|parted": "diverge",
    r"house(?! numbers?\b)": "rules, layout",
}
# Where such a word is meant as everybody means it, or is a name, and why.
ALLOWED = {
    r"\brows?\b.*?\bcolumns?\b|\bcolumns?\b.*?\brows?\b": "of a picture, a matrix or a grid of pictures",
    r"\bin (?:parallel )?columns\b": "of text, side by side on a page",
    r"^In the columns: |\(\"In the columns\":": "begins the places of an entry of the field guide, whose head explains it",
    r"steps column export|worker, floor, yardstick": "modules, in CONTRIBUTING.md's map of the folders",
}
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
TEMPLATES = sorted(path for path in (ROOT / "common/tools/templates").iterdir() if path.suffix in (".html", ".md"))
MODULES = [
    path
    for path in (ROOT / "noxfile.py", *sorted(one for top in ("common", "backends", "benchmarks") for one in (ROOT / top).rglob("*.py")))
    if not path.is_relative_to(ROOT / "common/tools/site") and "printed" not in path.parts  # an article's own program
]  # fmt: skip


def found(lines: list[str]) -> list[str]:
    """'the word in its surroundings -> what the field says' for each that is not allowed."""
    wrong = []
    for line in lines:
        for pattern in ALLOWED:
            line = re.sub(pattern, lambda hit: "·" * len(hit[0]), line, flags=re.IGNORECASE)
        for pattern, word in OURS.items():
            for hit in re.finditer(rf"\b(?:{pattern})\b", line, re.IGNORECASE):
                wrong.append(f"{line[max(0, hit.start() - 40) : hit.end() + 40].strip()!r} -> {word}")
    return wrong


def document(text: str) -> list[str]:
    """Its lines, fenced code with them, without code spans, comments and where links lead."""
    return re.sub(r"`[^`\n]+`|<!--.*?-->|<a id=\"[^\"]*\"></a>|\]\([^)]*\)", "", text, flags=re.DOTALL).splitlines()


def page(text: str) -> list[str]:
    """The words of a template: of its expressions and statements the strings alone."""
    text = re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    return re.sub(
        r"{[{%].*?[%}]}", lambda code: " ".join(re.findall(r"\"[^\"]*\"|'[^']*'", code[0])), text
    ).splitlines()


def said(tree: ast.AST) -> Iterator[str]:
    """The strings of a module that a user may come to read: those of several words and those that name something in a plot or
    table; of docstrings those of commands and nox sessions. In the place of a value stands {}."""
    own, named = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body:
            made = [ast.unparse(one) for one in getattr(node, "decorator_list", [])]
            first = node.body[0]
            if isinstance(first, ast.Expr) and not any(one.startswith(("app.", "nox.")) for one in made):
                own.add(first.value)
        elif isinstance(node, ast.JoinedStr):
            own |= {*node.values}
        elif isinstance(node, ast.keyword) and node.arg in ("label", "title", "help", "xlabel", "ylabel"):
            named |= {*ast.walk(node.value)}
    for node in ast.walk(tree):
        if node in own:
            continue
        if isinstance(node, ast.JoinedStr):
            text = "".join(one.value if isinstance(one, ast.Constant) else "{}" for one in node.values)
        else:
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if " " in text.strip() or node in named:
            yield text.replace("\n", " ")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents(path):
    assert found(document(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates(path):
    assert found(page(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_help_output_and_errors(path):
    assert found([*said(ast.parse(path.read_text(encoding="utf-8")))]) == []


def test_the_help_of_every_command_is_among_what_is_read():
    read = {*said(ast.parse((ROOT / "common/tools/cli.py").read_text(encoding="utf-8")))}
    assert len(app.registered_commands) > 10
    assert [one.callback.__name__ for one in app.registered_commands if one.callback.__doc__ not in read] == []


# Each reads as it would if it came back, and as it is meant.
PLANTED = {
    "document": (document, "Where the columns agree", "`the columns` of [x](the/columns.md)", "its four files in columns"),
    "output": (document, "```\n✗ different: they part at layer 0\n```", "a part at its end is part of it"),
    "heading": (document, "## Where does your port part from its original?", "a part of its origin"),
    "link": (document, "[the floor of the benchmarks](benchmarks.md)", "[the lower bound](benchmarks.md#the-floor)"),
    "folders": (document, "**The house.** Rules:", "made house numbers"),
    "figure": (document, "a column gets no number", "A row is one z; a column, a digit."),
    "template": (page, '{{ "ok" if passed else "see each column" }}', "{% for column in columns %}{{ column }}{% endfor %}"),
    "template's text": (page, "<p>how many times its floor\nthat is</p>", "<p>{{ row.floor }} of {{ beside(row) }}</p>"),
    "error": (lambda text: [*said(ast.parse(text))], 'raise E(f"{b}: parts from the oracle")', 'row["floor"] = "beside"'),
    "label": (lambda text: [*said(ast.parse(text))], 'plot(x, label="floor")', 'def f():\n    """Beside the floor."""'),
    "help": (lambda text: [*said(ast.parse(text))], '@app.command()\ndef f():\n    """Beside all."""', '"""Beside all."""'),
}  # fmt: skip


@pytest.mark.parametrize("case", PLANTED)
def test_a_word_that_comes_back_is_caught(case):
    read, wrong, *right = PLANTED[case]
    assert len(found(read(wrong))) == 1
    assert [found(read(text)) for text in right] == [[]] * len(right)
