"""`chairs`: chairs and stools from a folder of OBJ meshes, in grey on white, each seen from 62 sides.

As the set that the InfoGAN paper takes from Aubry et al., "Seeing 3D Chairs", 2014, has 62 views of each of its chairs. The
meshes are Debian's package sweethome3d-furniture, whose catalogues say which are chairs, or all of another folder. trimesh
reads them and Embree follows the rays, in parallel projection; nothing of a folder is executed, and no texture is read.
Embree's last bits may depend on the processor, so that here and there a pixel at an edge may differ by a grey level.
"""

import hashlib
import io
import math
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.data import Dataset, label_type, made, wanted
from common.errors import DataError, MissingFramework
from common.noise import stream
from common.specs.layers import Shape

VERSION = 1  # of the pictures that one key stands for
PACKAGE, FOLDER = "sweethome3d-furniture", Path("/usr/share/sweethome3d/furniture")  # Debian's, and where it puts them
INSTALL = f"install Debian's package {PACKAGE}, or name a folder of OBJ files with --data-dir"
WANTED, OTHERS = (
    re.compile("chair|stool", re.I),
    re.compile("ottoman|wheelchair", re.I),
)  # by their names in a catalogue
LARGEST = 64 << 20  # bytes of a mesh
AZIMUTHS, ELEVATIONS = 31, (20.0, 30.0)  # 62 views
HELD_OUT = 6  # views of each chair
SAMPLES = 4  # a pixel is the mean of 4 × 4
FILL = 0.94  # of the picture's half, at most, in every view
LIGHT = np.array([-0.45, 0.75, 0.5]) / math.sqrt(0.45**2 + 0.75**2 + 0.5**2)  # from the viewer's upper left
AMBIENT, DIFFUSE, GROUND = 0.2, 0.66, 1.0


@dataclass(frozen=True)
class Mesh:
    """An OBJ file's content, and the rotation with which a catalogue makes it stand and look to the front."""

    name: str
    content: bytes
    rotation: tuple[float, ...]


def load(data_dir: Path | None = None, picture: Shape | None = None) -> Dataset:
    """Every chair of the folder from 62 views in `picture`; labels are the chairs.

    Factors: chair, azimuth (degrees, 31 of a full turn), elevation (of the viewer, 20 or 30 degrees), width (of the mesh, in
    its heights). Held out are 6 views of each chair, drawn once, so that every chair and every angle is trained on: what is
    measured by factor is measured on views that no training picture shows. Raises DataError where there are no meshes, or one
    cannot be read.
    """
    picture = wanted("chairs", picture, (1, 64, 64))
    side, meshes, views = picture[1], find(data_dir or FOLDER), AZIMUTHS * len(ELEVATIONS)
    parts = made.kept(
        "chairs",
        {"v": VERSION, "side": side, "meshes": digest(meshes)[:16]},
        made.folders(None),
        lambda: made.in_chunks(
            f"{len(meshes)} chairs", len(meshes) * views, lambda rows: make(meshes, rows, side), chunk=views
        ),
    )
    held = [k * views + stream(0, "batches", "chairs", k).permutation(views)[:HELD_OUT] for k in range(len(meshes))]
    found = f"{len(meshes)} chairs of {data_dir or PACKAGE}, {views} views each at {side}×{side}"
    return made.dataset("chairs", found, parts, np.concatenate(held), picture)


def find(folder: Path) -> list[Mesh]:
    """The chairs of the catalogues (.sh3f) in a folder, or else all its OBJ files, at any depth, by name."""
    if not folder.is_dir():
        raise DataError(f"chairs: {folder}: no such folder; {INSTALL}")
    archives = sorted(folder.rglob("*.sh3f"))
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".obj" and path.is_file())
    meshes = [mesh for path in archives for mesh in _of_archive(path)]
    meshes = meshes or [Mesh(str(path.relative_to(folder)), _content(path), ()) for path in files]
    if not meshes:
        raise DataError(f"chairs: {folder}: expected OBJ meshes, found none; {INSTALL}")
    return meshes


def digest(meshes: list[Mesh]) -> str:
    """SHA-256 of the meshes: what pictures of them depend on."""
    found = hashlib.sha256()
    for mesh in meshes:
        found.update(f"{len(mesh.content)} {mesh.rotation} ".encode())
        found.update(mesh.content)
    return found.hexdigest()


def make(meshes: list[Mesh], rows: range, side: int) -> made.Parts:
    """The pictures of these numbers, 62 of each mesh in turn: "images" uint8 (N, 1, side, side), "labels" (N,), the factors."""
    kept, images, factors = None, [], []
    for row in rows:
        chair, view = divmod(row, AZIMUTHS * len(ELEVATIONS))
        if kept != chair:
            triangles = read(meshes[chair])
            width, height, _ = np.ptp(triangles.reshape(-1, 3), axis=0)
            kept, scene = chair, Scene(triangles)
        elevation, azimuth = ELEVATIONS[view // AZIMUTHS], view % AZIMUTHS * (360 / AZIMUTHS)
        images.append(scene.draw(azimuth, elevation, side))
        factors.append((chair, azimuth, elevation, width / height))
    table = dict(zip(("chair", "azimuth", "elevation", "width"), np.array(factors).T.copy(), strict=True))
    labels = table["chair"].astype(label_type(len(meshes)))
    return {"images": np.stack(images)[:, None], "labels": labels, **table}


def read(mesh: Mesh) -> np.ndarray:
    """Triangles (N, 3, 3): x right, y up, z front. Raises DataError if it is no mesh."""
    trimesh, _ = _libraries()
    try:
        found = trimesh.load_mesh(io.BytesIO(mesh.content), file_type="obj", process=False, skip_materials=True)
        triangles = np.asarray(found.triangles, np.float64)
    except Exception as error:  # whatever the library happens to run into
        raise DataError(
            f"chairs: {mesh.name}: expected an OBJ mesh, which cannot be read ({type(error).__name__})"
        ) from error
    if not len(triangles) or not np.isfinite(triangles).all() or not np.ptp(triangles[..., 1]) > 0:
        raise DataError(
            f"chairs: {mesh.name}: expected an OBJ mesh of triangles with a height, found {len(triangles)} triangles"
        )
    return triangles @ np.array(mesh.rotation).reshape(3, 3).T if mesh.rotation else triangles


class Scene:
    """One mesh in the middle of a picture's plane, as large as all views of it allow."""

    def __init__(self, triangles: np.ndarray):
        trimesh, intersector = _libraries()
        points = triangles.reshape(-1, 3)
        points = points - (points.min(axis=0) + points.max(axis=0)) / 2
        around, tilts = np.sqrt(points[:, 0] ** 2 + points[:, 2] ** 2), np.radians(ELEVATIONS)
        tall = np.abs(points[:, 1, None]) * np.cos(tilts) + around[:, None] * np.sin(tilts)
        points *= FILL / max(around.max(), tall.max())
        a, b, c = np.moveaxis(points.reshape(-1, 3, 3), 1, 0)
        normals = np.cross(b - a, c - a)
        self.normals = normals / np.sqrt(np.maximum((normals**2).sum(axis=1, keepdims=True), 1e-60))
        faces = np.arange(len(points)).reshape(-1, 3)
        self.rays = intersector(trimesh.Trimesh(points, faces, process=False), scale_to_box=False)

    def draw(self, azimuth: float, elevation: float, side: int) -> np.ndarray:
        """uint8 (side, side): turned to the viewer's right by `azimuth`, and seen from `elevation`, both in degrees."""
        a, e = math.radians(azimuth), math.radians(elevation)
        turn = np.array([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
        turn = np.array([[1, 0, 0], [0, math.cos(e), -math.sin(e)], [0, math.sin(e), math.cos(e)]]) @ turn
        line = (np.arange(side * SAMPLES) + 0.5) / (side * SAMPLES) * 2 - 1
        x, y = np.meshgrid(line, -line)
        from_ = np.stack([x.ravel(), y.ravel(), np.full(x.size, 4.0)], axis=1) @ turn
        face = self.rays.intersects_first(from_, np.broadcast_to(turn[2] * -1.0, from_.shape).copy())
        normals = self.normals[face] @ turn.T
        normals *= np.where(normals[:, 2:] < 0, -1, 1)  # a face has two sides
        shade = AMBIENT + DIFFUSE * np.maximum(normals @ LIGHT, 0)
        picture = np.where(face < 0, GROUND, shade).reshape(side, SAMPLES, side, SAMPLES).mean(axis=(1, 3))
        return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _of_archive(path):
    """The chairs that a catalogue of Sweet Home 3D names, in its order."""
    try:
        with zipfile.ZipFile(path) as archive:
            lines = archive.read("PluginFurnitureCatalog.properties").decode("latin-1").splitlines()
            fields = [re.fullmatch(r"(\w+)#(\d+)\s*=\s*(.*?)\s*", line) for line in lines]
            table = {(one[1], int(one[2])): one[3] for one in fields if one}
            chosen = [
                n
                for (field, n), name in table.items()
                if field == "name" and WANTED.search(name) and not OTHERS.search(name)
            ]
            found = []
            for number in sorted(chosen):
                place = table.get(("model", number), "").lstrip("/")
                if place.lower().endswith(".obj"):
                    if archive.getinfo(place).file_size > LARGEST:
                        raise DataError(f"chairs: {path}: {place}: expected at most {LARGEST >> 20} MiB")
                    rotation = tuple(map(float, table.get(("modelRotation", number), "").split()))
                    found.append(Mesh(f"{path.name}/{place}", archive.read(place), rotation))
            return found
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError) as error:
        raise DataError(
            f"chairs: {path}: expected a catalogue of Sweet Home 3D, which cannot be read ({error})"
        ) from error


def _content(path):
    if path.stat().st_size > LARGEST:
        raise DataError(f"chairs: {path}: expected at most {LARGEST >> 20} MiB, found {path.stat().st_size >> 20}")
    return path.read_bytes()


def _libraries():
    try:
        import trimesh
        from trimesh.ray.ray_pyembree import RayMeshIntersector
    except ImportError as error:
        raise MissingFramework(
            f"chairs: {error.name} is not installed; install it with: pip install -e '.[meshes]'"
        ) from error
    return trimesh, RayMeshIntersector
