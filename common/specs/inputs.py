"""The records of what a training step is given of a data set, by name: images, labels, images whose labels are known.

Each is gathered from the data set by index, on the device, and made what the model sees: pixels in its range, or one-hot
classes. Inputs of the same `rows` are of the same images.
"""

from dataclasses import dataclass
from typing import Any

from common.specs.layers import Shape

ROWS = ("all", "labelled")  # every training image; those whose labels may be used


@dataclass(frozen=True)
class Images:
    """Pictures (C, H, W), whose uint8 values are scaled to the range `pixels` and given as `shape`, in the order C, H, W."""

    shape: Shape
    pixels: tuple[float, float]
    picture: Shape
    name: str = "images"
    rows: str = "all"
    source = "images"

    def scale(self, values: Any) -> Any:
        """0..255 to the model's range, with the same two operations in every backend."""
        low, high = self.pixels
        return values / 255 * (high - low) + low


@dataclass(frozen=True)
class Labels:
    """One of so many classes: 1 there, 0 elsewhere."""

    classes: int
    name: str = "labels"
    rows: str = "all"
    source = "labels"

    @property
    def shape(self) -> Shape:
        return (self.classes,)


Input = Images | Labels
