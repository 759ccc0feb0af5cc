"""The entries of the field guide, docs/differences.md."""

import re
from dataclasses import dataclass

from backends import KNOWN
from common.tools import sections
from common.tools.pages import slug
from common.tools.site.pages import read

PATH = "docs/differences.md"
# By what words an entry is about a framework.
WORDS = {name: backend.words for name, backend in KNOWN.items()}


COLUMNS = "\nIn the columns:"  # what stands behind it are places, as `paddle/exact.py::number` or a file alone


@dataclass(frozen=True)
class Place:
    """Where a column handles a difference; a file alone has no lines."""

    path: str
    name: str
    lines: tuple[int, int] | None

    @property
    def owner(self) -> str:
        """The backend whose file it is, or "common"."""
        return self.path.split("/")[1] if self.path.startswith("backends/") else "common"


@dataclass(frozen=True)
class Entry:
    """One difference: its heading, the group that it stands in, what is said of it, and where the columns handle it."""

    title: str
    group: str
    text: str
    places: tuple[Place, ...]

    @property
    def anchor(self) -> str:
        return slug(self.title)

    def about(self, backend: str) -> bool:
        """Whether its heading or text names the framework. The names of files and tests do not count."""
        prose = re.sub(r"`[\w/]*(?:\.py)?(?:::)?test_\w+`|`[\w/]+\.py(?:::[\w.]+)?`", "", f"{self.title}\n{self.text}")
        return bool(re.search(WORDS[backend], prose))


def entries() -> list[Entry]:
    """Every entry, in order. Raises UsageError where a place is not found."""
    found = []
    for group in read(PATH).split("\n## ")[1:]:
        name, *parts = re.split(r"\n### ", group)
        for part in parts:
            title, _, text = part.partition("\n")
            text, _, places = text.partition(COLUMNS)
            found.append(
                Entry(
                    title.strip(),
                    name.splitlines()[0].strip(),
                    text.strip(),
                    tuple(_place(span) for span in re.findall(r"`([^`]+)`", places)),
                )
            )
    return found


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
