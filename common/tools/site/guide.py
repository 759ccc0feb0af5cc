"""The entries of the field guide, docs/differences.md."""

import re
from dataclasses import dataclass, replace

from backends import KNOWN
from common.errors import UsageError
from common.tools import sections
from common.tools.pages import slug
from common.tools.site.languages import ENGLISH, Language
from common.tools.site.pages import read

PATH = "docs/differences.md"
# By what words an entry is about a framework.
WORDS = {name: backend.words for name, backend in KNOWN.items()}


# What stands behind it are places, as `paddle/exact.py::number` or a file alone.
COLUMNS = re.compile(r"\n(?:In the columns:|各栏中：)")
ANCHOR = re.compile(r'\s*<a id="[^"]+"></a>\s*$')  # of the next heading, which has the anchor of the English one


@dataclass(frozen=True)
class Place:
    """Where an implementation handles a difference; a file alone has no lines."""

    path: str
    name: str
    lines: tuple[int, int] | None

    @property
    def owner(self) -> str:
        """The backend whose file it is, or "common"."""
        return self.path.split("/")[1] if self.path.startswith("backends/") else "common"


@dataclass(frozen=True)
class Entry:
    """One difference: its heading, the group that it stands in, what is said of it, where the implementations handle it, its
    anchor and the group's, and the frameworks that it speaks of. Those three are the same in every language."""

    title: str
    group: str
    text: str
    places: tuple[Place, ...]
    anchor: str
    group_anchor: str
    frameworks: frozenset[str]

    def about(self, backend: str) -> bool:
        """Whether its heading or text names the framework. The names of files and tests do not count."""
        return backend in self.frameworks


def entries(language: Language = ENGLISH) -> list[Entry]:
    """Every entry, in order. Raises UsageError where a place is not found, or where a language has other entries."""
    english = _parsed(PATH)
    if language is ENGLISH:
        return english
    path = language.document(PATH)
    found = _parsed(path)
    if [entry.places for entry in found] != [entry.places for entry in english]:
        raise UsageError(
            f"{path}: expected the entries of {PATH}, each with the same places; tests/spec/test_chinese.py says more"
        )
    same = [{name: getattr(entry, name) for name in ("anchor", "group_anchor", "frameworks")} for entry in english]
    return [replace(entry, **values) for entry, values in zip(found, same, strict=True)]


def _parsed(path):
    found = []
    for group in read(path).split("\n## ")[1:]:
        name, *parts = re.split(r"\n### ", group)
        name = name.splitlines()[0].strip()
        for part in parts:
            title, _, text = ANCHOR.sub("", part).partition("\n")
            text, *places = COLUMNS.split(text, maxsplit=1)
            spans = re.findall(r"`([^`]+)`", "".join(places))
            title, text = title.strip(), text.strip()
            found.append(
                Entry(title, name, text, tuple(map(_place, spans)), slug(title), slug(name), _frameworks(title, text))
            )
    return found


def _frameworks(title, text):
    prose = re.sub(r"`[\w/]*(?:\.py)?(?:::)?test_\w+`|`[\w/]+\.py(?:::[\w.]+)?`", "", f"{title}\n{text}")
    return frozenset(backend for backend, words in WORDS.items() if re.search(words, prose))


def lines(found: list[Entry]) -> dict[str, list[Place]]:
    """{anchor of an entry: the places whose lines stand with it}: each with the first entry that names it, linked from the others."""
    seen, shown = set(), {}
    for entry in found:
        fresh = dict.fromkeys(place for place in entry.places if place.lines and place not in seen)
        shown[entry.anchor] = list(fresh)
        seen |= set(fresh)
    return shown


def _place(span):
    path, _, name = span.partition("::")
    path = path if path.startswith("common/") else f"backends/{path}"
    return Place(path, name, sections.find(read(path), name, path) if name else None)
