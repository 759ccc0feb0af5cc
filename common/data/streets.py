"""`streets`: made house numbers in colour, in the manner of SVHN's cropped digits: the middle digit of a number, with its
neighbours cut at the edges.

SVHN: Netzer et al., "Reading Digits in Natural Images with Unsupervised Feature Learning", 2011. The digits are the bundled
ones (digits.py), so that nothing is downloaded; those of the test pictures are in no training picture.
"""

import math
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from common.data import Dataset, digits, made, wanted
from common.noise import stream
from common.specs.layers import Shape

VERSION = 1  # of the pictures that one key stands for
TRAIN, TEST = 20_000, 2_000
INKS = {  # red, green, blue
    "white": (0.95, 0.95, 0.92),
    "black": (0.08, 0.08, 0.09),
    "red": (0.78, 0.12, 0.12),
    "gold": (0.85, 0.64, 0.22),
    "blue": (0.12, 0.22, 0.62),
    "green": (0.10, 0.42, 0.22),
}
GROUNDS = {
    "plaster": (0.86, 0.82, 0.74),
    "brick": (0.60, 0.31, 0.24),
    "slate": (0.27, 0.30, 0.34),
    "wood": (0.45, 0.30, 0.18),
    "grey": (0.58, 0.59, 0.60),
    "navy": (0.13, 0.18, 0.36),
    "leaf": (0.33, 0.45, 0.30),
    "cream": (0.93, 0.89, 0.70),
}
TEXTURES = ("plain", "bricks", "boards", "plate")
FACTORS = {  # uniform in these ranges
    "x": (-0.12, 0.12),  # of the digit's middle, to the right, in widths of the picture
    "y": (-0.08, 0.08),  # down
    "scale": (0.72, 1.0),  # the digit's height, in heights of the picture
    "angle": (-12.0, 12.0),  # degrees, clockwise
    "contrast": (0.6, 1.0),  # how much of the ink covers the ground
    "brightness": (0.65, 1.1),
    "blur": (0.3, 0.9),  # deviation, in pixels of a picture of 32
}
LEAST = 0.25  # difference of luminance between an ink and the grounds that it is used on
WEIGHTS = np.array([0.299, 0.587, 0.114])  # of luminance, ITU-R BT.601


def load(data_dir: Path | None = None, picture: Shape | None = None) -> Dataset:
    """20,000 training and 2,000 test pictures in `picture`; labels are the middle digits.

    Factors: digit, ink, ground, texture (places in INKS, GROUNDS and TEXTURES), and those of FACTORS.
    """
    picture = wanted("streets", picture, (3, 32, 32))
    side, count = picture[1], TRAIN + TEST
    parts = made.kept(
        "streets",
        {"v": VERSION, "side": side, "seed": 0},
        made.folders(data_dir),
        lambda: made.in_chunks(f"{count:,} streets", count, Maker(side).make),
    )
    return made.dataset(
        "streets", f"{count:,} made house numbers at {side}×{side}", parts, range(TRAIN, count), picture
    )


def pairs() -> list[tuple[int, int]]:
    """The inks and grounds that are used together."""
    inks, grounds = (np.array(list(colours.values())) @ WEIGHTS for colours in (INKS, GROUNDS))
    return [(i, g) for i, a in enumerate(inks) for g, b in enumerate(grounds) if abs(a - b) >= LEAST]


class Maker:
    """Pictures of one side; those from number TRAIN on are of the digits that are held out."""

    def __init__(self, side: int, seed: int = 0):
        self.side, self.seed, self.pairs = side, seed, pairs()
        line = ((np.arange(2 * side) + 0.5) / (2 * side) - 0.5).astype(np.float32)
        self.places = np.meshgrid(line, line)  # a pixel is the mean of 2 × 2
        data = digits.load()
        self.glyphs = [(_glyphs(data.train_images), data.train_labels), (_glyphs(data.test_images), data.test_labels)]

    def make(self, numbers: range) -> made.Parts:
        """The pictures of these numbers: "images" uint8 (N, 3, side, side), "labels" uint8 (N,), and the factors."""
        rows, images = [], []
        for number in numbers:
            row, image = self._one(number)
            rows.append(row)
            images.append(image)
        factors = {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]}
        return {"images": np.stack(images), "labels": factors["digit"].astype(np.uint8), **factors}

    def _one(self, number):
        random = stream(self.seed, "batches", "streets", number)
        glyphs, labels = self.glyphs[number >= TRAIN]
        chosen = random.integers(len(glyphs), size=3)  # the middle one, left, right
        beside = random.uniform(size=2) < 0.7
        ink, ground = self.pairs[random.integers(len(self.pairs))]
        texture = int(random.integers(len(TEXTURES)))
        low, high = np.array(list(FACTORS.values())).T
        values = dict(zip(FACTORS, random.uniform(low, high).tolist(), strict=True))
        wall = Wall(random)
        x, y = self.places

        # From the picture's place to the digit's, turned and scaled about its middle; 1 is the digit's height.
        a = math.radians(values["angle"])
        dx, dy = x - values["x"], y - values["y"]
        u = (dx * math.cos(a) + dy * math.sin(a)) / values["scale"]
        v = (dy * math.cos(a) - dx * math.sin(a)) / values["scale"]
        cover = _ink(glyphs[chosen[0]], u, v)
        for there, glyph, shift in zip(beside, chosen[1:], (-wall.gap, wall.gap), strict=True):
            if there:
                cover = np.maximum(cover, _ink(glyphs[glyph], u - shift, v))
        shadow = np.roll(cover, (self.side // 16, self.side // 16), (0, 1)) * wall.shadow

        colour = np.array(list(GROUNDS.values())[ground], np.float32)[:, None, None]
        colour = colour * (wall.texture(TEXTURES[texture], u, v, x, y) * (1 - 0.5 * shadow))
        mark = np.array(list(INKS.values())[ink], np.float32)[:, None, None]
        cover = cover * np.float32(values["contrast"])
        picture = (colour + (mark - colour) * cover) * wall.light(x, y) * np.float32(values["brightness"])
        picture = (picture[:, ::2] + picture[:, 1::2]) / 2
        picture = (picture[:, :, ::2] + picture[:, :, 1::2]) / 2
        for axis in (1, 2):
            picture = gaussian_filter1d(picture, values["blur"] * self.side / 32, axis, mode="nearest", truncate=3)
        image = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
        return {"digit": labels[chosen[0]], "ink": ink, "ground": ground, "texture": texture, **values}, image


class Wall:
    """What a number hangs on: a grain, a pattern, a light across it. None of it is among the factors but the pattern's name."""

    def __init__(self, random: np.random.Generator):
        self.grain = random.uniform(-1, 1, (9, 9)).astype(np.float32)  # at the corners of 8 × 8 fields
        self.fine = random.uniform(-1, 1, (33, 33)).astype(np.float32)
        self.rough, self.gap, self.shadow = random.uniform((0.03, 0.68, 0), (0.15, 0.82, 0.8)).tolist()
        self.size, self.offset, self.tilt_x, self.tilt_y = random.uniform(
            (0.16, 0, -0.5, -0.5), (0.3, 1, 0.5, 0.5)
        ).tolist()

    def light(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Times the colour: brighter at one side."""
        return 1 + self.tilt_x * x + self.tilt_y * y

    def texture(self, name: str, u: np.ndarray, v: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Times the colour, at the places (x, y) of the picture, which are (u, v) of the number."""
        value = 1 + self.rough * (_field(self.grain, x, y) + 0.7 * _field(self.fine, x, y))
        if name == "bricks":
            row = v / self.size + self.offset
            course = np.floor(row)
            along = u / (2 * self.size) + 0.5 * (course % 2) + self.offset
            joint = np.minimum(_edge(row, self.size), _edge(along, 2 * self.size))
            stone = (course * 7 + np.floor(along) * 3) % 5  # bricks differ
            value *= (0.88 + 0.06 * stone) * (1.25 - 0.25 * joint)
        elif name == "boards":
            row = v / self.size + self.offset
            value *= (0.6 + 0.4 * _edge(row, self.size)) * (0.9 + 0.05 * (np.floor(row) % 3))
        elif name == "plate":
            inside = np.maximum(np.abs(v) / (0.5 + self.size), np.abs(u) / (1.2 + self.size)) < 1
            value = np.where(inside, 1.05 + 0.2 * (value - 1), 0.55 * value)
        return value


def _glyphs(images):
    """float32 (N, 30, 30): uint8 images (N, 28, 28) with a rim that is empty."""
    return np.pad(images.astype(np.float32) / 255, ((0, 0), (1, 1), (1, 1)))


def _ink(glyph, u, v):
    """How far ink covers the places (u, v) of a digit that is 1 high: its strokes, with their edges made sharp."""
    value = _between(glyph, (v + 0.5) * 28 + 0.5, (u + 0.5) * 28 + 0.5)
    t = np.clip((value - 0.38) / 0.25, 0, 1)
    return t * t * (3 - 2 * t)


def _field(corners, x, y):
    return _between(corners, (y + 0.5) * (len(corners) - 1), (x + 0.5) * (len(corners) - 1))


def _between(grid, row, column):
    """Between the values of `grid`, whose first stands at 0; outside of it that of its rim."""
    last = len(grid) - 1
    row, column = np.clip(row, 0, last), np.clip(column, 0, last)
    r, c = (np.minimum(one.astype(np.int32), last - 1) for one in (row, column))
    place = r * len(grid) + c
    row, column, values = row - r, column - c, grid.reshape(-1)
    upper = values[place] * (1 - column) + values[place + 1] * column
    lower = values[place + len(grid)] * (1 - column) + values[place + len(grid) + 1] * column
    return upper * (1 - row) + lower * row


def _edge(position, size):
    """0 at whole numbers, 1 from 0.02 pictures on; `size` is 1's length there."""
    to = np.abs(position - np.rint(position)) * size
    return np.minimum(to / 0.02, 1)
