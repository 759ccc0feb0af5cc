"""MNIST as four IDX files: found on disk, else downloaded; every byte checked before it is used.

The checksums are of the uncompressed content, because mirrors compress differently.
"""

import gzip
import hashlib
import math
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pooch

from common.data import Dataset
from common.data.places import places
from common.errors import DataError
from common.terminal import ERR

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
FILES = tuple(SHA256)
GZIP_RATIO = 1032  # the most that one byte of deflate can stand for


def load(data_dir: Path | None = None) -> Dataset:
    """MNIST from `data_dir`, else $TETRAPLA_DATA, else the user cache; what is missing is downloaded to the first of them.

    Raises DataError if a file differs from MNIST's or no mirror answers.
    """
    folders = places("mnist", data_dir)
    paths = [_find(folders, name) or download(name, folders[0]) for name in FILES]
    return _dataset("mnist", "MNIST, 60,000 training and 10,000 test images", paths, list(SHA256.values()))


def is_in(folder: Path) -> bool:
    """Whether one of the four files is there, by its name."""
    return any(_find([folder], name) for name in FILES)


def load_folder(folder: Path) -> Dataset:
    """Any data set in MNIST's format: the same four file names, any number of 28×28 images."""
    paths = [_find([folder], name) for name in FILES]
    missing = [name for name, path in zip(FILES, paths, strict=True) if path is None]
    if missing:
        raise DataError(f"{folder}: expected the four IDX files of MNIST (.gz or not), missing: {', '.join(missing)}")
    return _dataset(folder.name, f"IDX files in {folder}", paths)


def read_idx(path: Path, sha256: str | None = None) -> np.ndarray:
    """The uint8 array in an IDX file of images (N, 28, 28) or labels (N,), gzipped or not.

    `sha256` is that of the uncompressed content, if it is known.
    Raises DataError naming the file, what was expected and what was found.
    """
    dimensions = 3 if "images" in path.name else 1
    header = 4 + 4 * dimensions
    magic = bytes((0, 0, 8, dimensions))  # 8: unsigned bytes
    start = _content(path, header)
    if start[:4] != magic:
        raise DataError(f"{path}: expected IDX magic number {magic.hex()}, found {start[:4].hex() or 'an empty file'}")
    if len(start) < header:
        raise DataError(f"{path}: expected an IDX header of {header} bytes, found {len(start)} bytes")
    shape = tuple(int.from_bytes(start[4 + 4 * k : 8 + 4 * k], "big") for k in range(dimensions))
    if dimensions == 3 and shape[1:] != (28, 28):
        raise DataError(f"{path}: expected images of 28×28 pixels, found {shape[1]}×{shape[2]}")
    expected = header + math.prod(shape)
    # No more is read than the header announces, and no header is believed that announces more than the file can hold.
    possible = path.stat().st_size * (GZIP_RATIO if path.suffix == ".gz" else 1)
    content = _content(path, min(expected, possible) + 1)
    if len(content) != expected:
        found = f"more than {expected - header}" if len(content) > expected else str(len(content) - header)
        raise DataError(f"{path}: expected {expected - header} bytes for shape {shape}, found {found}")
    digest = hashlib.sha256(content).hexdigest()
    if sha256 not in (None, digest):
        raise DataError(
            f"{path}: expected MNIST's file with SHA-256 {sha256[:12]}… (uncompressed), found {digest[:12]}…; delete it "
            "to download it again, or give its folder as --data to train on it as it is"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def download(name: str, folder: Path, mirrors: tuple[str, ...] = MIRRORS) -> Path:
    """Fetch one file from the first mirror that delivers it whole, check it, and move it to `folder` in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    failures = []
    for mirror in mirrors:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            path = Path(scratch) / f"{name}.gz"
            try:
                pooch.HTTPDownloader(progressbar=ERR.is_terminal, timeout=30)(f"{mirror}{name}.gz", str(path), None)
                found = hashlib.sha256(_content(path)).hexdigest()
            except (OSError, ValueError, DataError) as error:
                failures.append(f"{mirror} ({type(error).__name__})")
                continue
            if found != SHA256[name]:
                failures.append(f"{mirror} (wrong SHA-256 {found[:12]}…)")
                continue
            return path.replace(folder / path.name)
    raise DataError(
        f"{name}.gz: no mirror delivered it: {'; '.join(failures)}; put the four MNIST files into a folder and name it "
        "with --data-dir or $TETRAPLA_DATA, or use --data digits"
    )


def _find(folders, name):
    candidates = (folder / file for folder in folders for file in (f"{name}.gz", name))
    return next((path for path in candidates if path.is_file()), None)


def _content(path, limit=-1):
    """The file's uncompressed content, of which at most `limit` bytes are read and held."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            return file.read(limit)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        size = path.stat().st_size
        raise DataError(f"{path}: expected a whole gzip file, found {size} bytes that are not ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _dataset(name, description, paths, checksums=(None,) * 4):
    arrays = [read_idx(path, checksum) for path, checksum in zip(paths, checksums, strict=True)]
    train_images, train_labels, test_images, test_labels = arrays
    for images, labels, path in ((train_images, train_labels, paths[1]), (test_images, test_labels, paths[3])):
        if not len(images):
            raise DataError(f"{path}: expected at least one image and its label, found none")
        if len(images) != len(labels):
            raise DataError(f"{path}: expected {len(images)} labels, one per image, found {len(labels)}")
    return Dataset(name, description, train_images, train_labels, test_images, test_labels)
