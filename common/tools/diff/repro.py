"""A few lines of Python that show the difference of two layers without us: the two frameworks, NumPy, and the numbers."""

import textwrap
from dataclasses import dataclass

import numpy as np

from common.probing import Arrays
from common.tools.diff.sides import Side

HEAD = '''"""{title}

Python with {frameworks} and NumPy; the numbers are in repro.npz next to this file, in PyTorch's layout.
"""

from pathlib import Path

import numpy as np

data = dict(np.load(Path(__file__).with_name("repro.npz")))
'''
LAST = """
print("largest difference of two elements:", np.abs(reference(data) - port(data)).max())
"""


@dataclass
class Repro:
    """The layer `path`, `other` in the port, at `stage`, called with `inputs` (canonical), its canonical tensors."""

    stage: str
    path: str
    other: str
    training: bool
    inputs: list[np.ndarray]
    tensors: Arrays

    def written(self, reference: Side, port: Side) -> tuple[str, Arrays] | None:
        """(Python, {name: array}), or None where one of the layers cannot be written down."""
        parts = []
        for side, path, name in ((reference, self.path, "reference"), (port, self.other, "port")):
            lines, _ = side.ask("source", path=path, training=self.training)
            if not lines:
                return None
            body = textwrap.indent("\n".join([*lines, "return y"]), "    ")
            parts.append(f"\n\ndef {name}(data):\n{body}\n")
        title = f"{self.path} of the reference and {self.other} of the port, on the same input with the same weights."
        text = HEAD.format(title=title, frameworks="both frameworks") + "".join(parts) + "\n" + LAST
        return text, self.tensors | {f"x{k}": value for k, value in enumerate(self.inputs)}
