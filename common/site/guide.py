"""The entries of the field guide, docs/differences.md."""

import re
from dataclasses import dataclass

from common.site.pages import read, slug

PATH = "docs/differences.md"
# By what words an entry is about a framework.
WORDS = {
    "pytorch": r"PyTorch|`torch|`nn\.",
    "tensorflow": r"TensorFlow|Keras|`tf\.",
    "paddle": r"Paddle",
    "jax": r"JAX|Flax|Optax|nnx",
}


@dataclass(frozen=True)
class Entry:
    """One difference: its heading, the group that it stands in, and the anchor of its heading on the page."""

    title: str
    group: str
    text: str

    @property
    def anchor(self) -> str:
        return slug(self.title)

    def about(self, backend: str) -> bool:
        """Whether its heading or text names the framework. The names of files and tests do not count."""
        prose = re.sub(r"`[\w/]*(?:\.py)?(?:::)?test_\w+`|`[\w/]+\.py(?:::[\w.]+)?`", "", f"{self.title}\n{self.text}")
        return bool(re.search(WORDS[backend], prose))


def entries() -> list[Entry]:
    """Every entry, in order."""
    found = []
    for group in read(PATH).split("\n## ")[1:]:
        name, *parts = re.split(r"\n### ", group)
        for part in parts:
            title, _, text = part.partition("\n")
            found.append(Entry(title.strip(), name.splitlines()[0].strip(), text.strip()))
    return found
