"""`heads`: made heads in grey, turned, tilted and lit by known angles, in the manner of the 3-D faces of the InfoGAN paper.

Chen et al., "InfoGAN", 2016, section 7.2, which takes them from Paysan et al., "A 3D Face Model for Pose and Illumination
Invariant Face Recognition", 2009; no such model is free to use here. A head is a deformed sphere: a skull with brows, eyes,
nose, lips, chin and ears, whose points are lit by Lambert's law and drawn through a depth buffer, in parallel projection.
"""

import math
from pathlib import Path

import numpy as np

from common.data import Dataset, made, wanted
from common.noise import stream
from common.specs.layers import Shape

VERSION = 1  # of the pictures that one key stands for
TRAIN, TEST = 10_000, 1_000
SAMPLES = 2  # a pixel is the mean of 2 × 2
FACTORS = {  # uniform in these ranges; angles in degrees
    "azimuth": (-90.0, 90.0),  # of the face, to the viewer's right
    "elevation": (-30.0, 30.0),  # of the viewer
    "lighting": (-80.0, 80.0),  # azimuth of the light, to the viewer's right, which stands 20 degrees high
    "width": (0.75, 1.25),  # times the mean
    # What tells one head from another:
    "jaw": (0.1, 0.4),  # how much narrower the chin is
    "nose": (0.15, 0.35),  # how far it stands out
    "eyes": (0.24, 0.34),  # half their distance
    "mouth": (0.22, 0.38),  # half its width
    "ears": (0.04, 0.16),
    "skin": (0.65, 1.0),  # how bright
    "hair": (0.1, 0.9),  # how bright, times the skin
    "hairline": (0.35, 0.8),  # how high
}
HEIGHT = 20.0  # of the light, in degrees
AMBIENT, DIFFUSE, GROUND = 0.22, 0.75, 0.05
SCALE, SHIFT = 0.74, -0.08  # of the picture's half for a head's; up


def load(data_dir: Path | None = None, picture: Shape | None = None) -> Dataset:
    """10,000 training and 1,000 test heads in `picture`; a factor's table holds all that a head was made from.

    Labels are the quarter of the azimuth's range, 0 to 3, from the left.
    """
    picture = wanted("heads", picture, (1, 32, 32))
    side, count = picture[1], TRAIN + TEST
    key = {"v": VERSION, "side": side, "seed": 0}
    parts = made.kept(
        "heads",
        key,
        made.folders(data_dir),
        lambda: made.in_chunks(f"{count:,} heads", count, lambda numbers: make(numbers, side)),
    )
    return made.dataset("heads", f"{count:,} made heads at {side}×{side}", parts, range(TRAIN, count), picture)


def make(numbers: range, side: int, seed: int = 0) -> made.Parts:
    """The heads of these numbers: "images" uint8 (N, 1, side, side), "labels" uint8 (N,), and the factors."""
    low, high = np.array(list(FACTORS.values())).T
    table = np.stack([stream(seed, "batches", "heads", k).uniform(low, high) for k in numbers])
    factors = dict(zip(FACTORS, table.T.copy(), strict=True))
    sphere = Sphere(side * 3)
    images = np.stack([draw(sphere, dict(zip(FACTORS, row, strict=True)), side) for row in table.tolist()])
    quarter = (factors["azimuth"] - low[0]) / (high[0] - low[0]) * 4
    return {"images": images[:, None], "labels": np.minimum(quarter, 3).astype(np.uint8), **factors}


class Sphere:
    """The points of a unit sphere, `rows` × 2 `rows`, of which every head is made: x right, y up, z and its columns' middle front."""

    def __init__(self, rows: int):
        polar = (np.arange(rows) + 0.5) * (math.pi / rows)
        around = (np.arange(2 * rows) + 0.5 - rows) * (math.pi / rows)
        around = around - 0.6 * np.sin(around)  # closer in front, for the nose
        grid = (np.sin(polar)[:, None] * np.sin(around), np.cos(polar)[:, None] + 0 * around,
                np.sin(polar)[:, None] * np.cos(around))  # fmt: skip
        self.x, self.y, self.z = (one.astype(np.float32) for one in grid)
        self.front = (slice(rows // 8, None), slice(rows // 3, 2 * rows - rows // 3))


def draw(sphere: Sphere, head: dict[str, float], side: int) -> np.ndarray:
    """uint8 (side, side): one head, of the factors `head`."""
    seen = []
    lamp, up = math.radians(head["lighting"]), math.radians(HEIGHT)
    light = (math.sin(lamp) * math.cos(up), math.sin(up), math.cos(lamp) * math.cos(up))
    for points, albedo in (neck(sphere, head), skull(sphere, head)):
        points = turn(points, head["azimuth"], head["elevation"])
        x, y, z, inverse = _normals(points)
        lit = (light[0] * x + light[1] * y + light[2] * z) * inverse
        facing = z > 0
        shade = albedo * (AMBIENT + DIFFUSE * np.maximum(lit, 0))
        seen.append([one[facing] for one in (*points, shade)])
    return splat(*np.concatenate(seen, axis=1), side)


def skull(sphere: Sphere, head: dict[str, float]) -> tuple[list[np.ndarray], np.ndarray]:
    """x, y and z (rows, columns) of the head that looks along z, and how bright its skin is there."""
    x, y, z = sphere.x, sphere.y, sphere.z
    below, behind = np.maximum(-y, 0), np.maximum(-z, 0)
    hair = y > head["hairline"] - 1.1 * np.maximum(behind - 0.05, 0) - 0.2 * np.abs(x)
    albedo = np.where(hair, np.float32(head["skin"] * head["hair"]), np.float32(head["skin"]))
    size = np.where(hair, np.float32(1.04), np.float32(1))
    ear = head["ears"] * _bump((y - 0.05) / 0.24, (z + 0.12) / 0.16)
    px = 0.72 * size * x * (1 - head["jaw"] * below * below - 0.25 * below * behind) + np.sign(x) * ear
    py = (0.98 + 0.06 * below) * size * y + 0.35 * below * behind
    pz = size * z * (0.9 + 0.14 * np.sign(behind) * behind - 0.15 * below) - 0.5 * ear

    # The face, in the coordinates of the unit sphere seen from the front.
    part = sphere.front
    x, y, out, skin = x[part], y[part], pz[part], albedo[part]
    side, eyes, mouth = np.abs(x), head["eyes"], head["mouth"]
    from_eye, above = side - eyes, y - 0.12
    out -= 0.08 * _bump(from_eye / 0.24, above / 0.16)  # sockets
    eye = _bump(from_eye / 0.13, above / 0.08)
    out += 0.05 * eye
    out += 0.05 * _bump(x / 0.75, (y - 0.34) / 0.17)  # brows
    out += 0.05 * _bump((side - 0.46) / 0.3, (y + 0.18) / 0.28)  # cheeks
    along = np.clip((0.28 - y) / 0.56, 0, 1)  # 0 at the nose's root, 1 at its tip
    tip = np.clip((y + 0.4) / 0.16, 0, 1)
    out += head["nose"] * along * tip * _bump(side / (0.075 + 0.085 * along))
    lips, gap = _bump(x / mouth, (y + 0.55) / 0.11), _bump(x / mouth, (y + 0.55) / 0.035)
    out += 0.06 * lips - 0.05 * gap + 0.08 * _bump(x / 0.36, (y + 0.88) / 0.26)  # and the chin
    skin *= 1 - 0.3 * np.minimum(lips * 2, 1) - 0.4 * np.minimum(2 * gap, 1)
    skin *= 1 - 0.65 * np.minimum(3 * _bump(from_eye / 0.2, (y - 0.32 + 0.05 * from_eye) / 0.06), 1)
    skin += np.minimum(eye * 3, 1) * (1.1 - skin)  # the white
    skin *= 1 - 0.9 * np.minimum(4 * _bump(from_eye / 0.07, above / 0.07), 1)  # and the iris
    px *= head["width"]
    return [px, py, pz], albedo


def neck(sphere: Sphere, head: dict[str, float]) -> tuple[list[np.ndarray], np.ndarray]:
    """Likewise: a tube that leaves the picture below."""
    part = (slice(None), slice(None, None, 2))
    ring = np.sqrt(1 - sphere.y[part] ** 2)
    x, z = sphere.x[part] / ring, sphere.z[part] / ring
    down = np.linspace(-0.5, -1.9, len(x), dtype=np.float32)[:, None]
    points = [head["width"] * 0.4 * x, down + 0 * x, 0.4 * z - 0.2 + 0.1 * (down + 0.5)]
    return points, np.full(x.shape, np.float32(0.85 * head["skin"]))


def turn(points: list[np.ndarray], azimuth: float, elevation: float) -> list[np.ndarray]:
    """x, y and z, turned to the viewer's right by `azimuth`, and seen from `elevation`, both in degrees."""
    a, e = math.radians(azimuth), math.radians(elevation)
    x, y, z = points
    x, z = x * math.cos(a) + z * math.sin(a), z * math.cos(a) - x * math.sin(a)
    return [x, y * math.cos(e) - z * math.sin(e), y * math.sin(e) + z * math.cos(e)]


def splat(x: np.ndarray, y: np.ndarray, z: np.ndarray, shade: np.ndarray, side: int) -> np.ndarray:
    """uint8 (side, side): the nearest of the points (N,) on the ground; x right, y up, z near."""
    fine = side * SAMPLES
    column, row = (np.floor((one + 1) * (fine / 2)).astype(np.int32) for one in (SCALE * x, SHIFT - SCALE * y))
    inside = (column >= 0) & (column < fine) & (row >= 0) & (row < fine)
    place, z, shade = (row * fine + column)[inside], z[inside], shade[inside]
    nearest = np.full(fine * fine, -np.inf, np.float32)
    np.maximum.at(nearest, place, z)
    picture = np.full(fine * fine, GROUND)
    first = z == nearest[place]
    picture[place[first]] = shade[first]
    picture = picture.reshape(side, SAMPLES, side, SAMPLES).mean(axis=(1, 3))
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _bump(*distances):
    """1 where all distances are 0, 0 where their squares sum to 1 or more; smooth."""
    rest = np.maximum(1 - sum(d * d for d in distances), 0)
    return rest * rest


def _normals(points):
    """x, y and z (rows, columns) of outward vectors, by differences along the sphere's circles, and 1 / their length."""
    (ax, dx), (ay, dy), (az, dz) = ((_around(one), _down(one)) for one in points)
    x, y, z = dy * az - dz * ay, dz * ax - dx * az, dx * ay - dy * ax
    return x, y, z, 1 / np.sqrt(x * x + y * y + z * z + np.float32(1e-30))


def _around(one):
    """To the next column from the one before, in a circle."""
    found = np.empty_like(one)
    np.subtract(one[:, 2:], one[:, :-2], out=found[:, 1:-1])
    found[:, 0], found[:, -1] = one[:, 1] - one[:, -1], one[:, 0] - one[:, -2]
    return found


def _down(one):
    """To the next row from the one before; at the ends to or from itself."""
    found = np.empty_like(one)
    np.subtract(one[2:], one[:-2], out=found[1:-1])
    found[0], found[-1] = one[1] - one[0], one[-1] - one[-2]
    return found
