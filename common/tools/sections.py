"""A Python file in named sections, and the sections of several files level with each other.

The sections of a file follow each other without a gap, so that every line is in exactly one of them.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from common.errors import UsageError

BANNER = re.compile(r"# -{10,} (.+)$")
CALLS = ("forward", "call", "__call__")  # what PyTorch and Paddle, Keras, and nnx name the same method


@dataclass(frozen=True)
class Section:
    """Lines `first` to `last` of a file, counted from 1, both included, with the blank lines that follow."""

    name: str  # "Encoder.forward"; "head" is what stands before the first definition: docstring and imports
    kind: str  # "head" | "banner" | "statements" | "function" | "class" | "method"
    first: int
    last: int

    @property
    def key(self) -> str:
        """What sections of several files must share to stand level."""
        owner, dot, member = self.name.rpartition(".")
        return f"{owner}.{CALLS[0]}" if dot and member in CALLS else self.name


def split(source: str) -> list[Section]:
    """The sections of a file in their order: its head, banners (`# ------ networks`), functions, classes up to their
    first method, methods, and what other statements stand between. Equal names get a number."""
    lines, nodes = lines_of(source), ast.parse(source).body
    marks, end = [], 0  # (first line, names, kind), and the last line of what was read
    for node in nodes:
        marks += _banners(lines, end, _top(node) - 1)
        kind = _kind(node, first=node is nodes[0])
        if kind == "head" and marks and marks[-1][2] != "head":
            kind = "statements"
        if kind in ("head", "statements") and marks and marks[-1][2] == kind:
            marks[-1][1].extend(defined(node))
        else:
            marks.append((_start(lines, node), defined(node), kind))
        if kind == "class":
            methods = [part for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
            marks += [(_start(lines, method), [f"{node.name}.{method.name}"], "method") for method in methods]
        end = node.end_lineno
    marks += _banners(lines, end, len(lines))
    if lines and not marks:
        marks = [(1, [], "head")]
    starts, seen, sections = [1, *(mark[0] for mark in marks[1:]), len(lines) + 1], Counter(), []
    for number, (_, names, kind) in enumerate(marks):
        name = ", ".join(names) or kind
        seen[name] += 1
        name += f" ({seen[name]})" if seen[name] > 1 else ""
        sections.append(Section(name, kind, starts[number], starts[number + 1] - 1))
    return sections


def text_of(source: str, name: str) -> str:
    """The section of that name, without the blank lines that follow."""
    section = next(one for one in split(source) if one.name == name)
    return "\n".join(lines_of(source)[section.first - 1 : section.last]).rstrip() + "\n"


def lines_of(source: str) -> list[str]:
    """The lines of a file as Python counts them; str.splitlines would also break at form feeds."""
    return source.removesuffix("\n").split("\n") if source else []


def align(columns: Mapping[str, Iterable[Section]]) -> list[dict[str, Section]]:
    """Rows {column: section} in which each column keeps its order and sections of one key share a row.

    Where the orders of two columns contradict each other, both cannot be had, and the order is kept.
    """
    left, rows = {column: list(sections) for column, sections in columns.items()}, []
    while any(left.values()):
        fronts = [sections[0].key for sections in left.values() if sections]
        waiting = {section.key for sections in left.values() for section in sections[1:]}
        key = next((key for key in fronts if key not in waiting), fronts[0])
        row = {column: sections[0] for column, sections in left.items() if sections and sections[0].key == key}
        for column in row:
            left[column].pop(0)
        rows.append(row)
    return rows


def find(source: str, name: str, path: str = "the file") -> tuple[int, int]:
    """(first, last) line of what defines `name`, such as "losses", "Column.restore" or "LAYOUTS", with its decorators and
    the comment above it. Raises UsageError if nothing does; `path` is for its message."""
    nodes = ast.parse(source).body
    for part in name.split("."):
        node = next((node for node in nodes if part in defined(node)), None)
        if node is None:
            raise UsageError(f"{path}: expected a definition of {name!r}, which a page of the site shows")
        nodes = getattr(node, "body", [])
    return _start(lines_of(source), node), node.end_lineno


def defined(node: ast.stmt) -> list[str]:
    """The names that a statement defines: a function's or class's, or those that are assigned to."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]


def _kind(node, first):
    if isinstance(node, ast.ClassDef):
        return "class"
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return "function"
    docstring = first and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return "head" if docstring or isinstance(node, ast.Import | ast.ImportFrom) else "statements"


def _top(node):
    """The first line of a node, decorators included."""
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])


def _start(lines, node):
    """The first line of a node with the comment that stands directly above it."""
    first = _top(node)
    while first > 1 and lines[first - 2].lstrip().startswith("#") and not BANNER.match(lines[first - 2]):
        first -= 1
    return first


def _banners(lines, after, until):
    found = ((number, BANNER.match(lines[number - 1])) for number in range(after + 1, until + 1))
    return [(number, [match[1]], "banner") for number, match in found if match]
