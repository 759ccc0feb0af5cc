"""`celeba`: 202,599 faces of celebrities, aligned, as JPEGs of 178×218 pixels in a folder or in the authors' zip file.

Liu et al., "Deep Learning Face Attributes in the Wild", 2015. A face is cut as Larsen et al. cut it in the code of
"Autoencoding beyond pixels" (VAE/GAN): rows 40 to 188 and columns 15 to 163, 148×148 pixels; then made smaller. The MD5 are
those of torchvision.datasets.CelebA.
"""

import hashlib
import zipfile
from pathlib import Path

import numpy as np

from common.data import Dataset, in_channels, pictures, wanted
from common.data.places import places
from common.errors import DataError
from common.specs.layers import Shape

FOLDER, ARCHIVE, PARTITION = "img_align_celeba", "img_align_celeba.zip", "list_eval_partition.txt"
MD5 = {ARCHIVE: "00d2c5bc6d35e252742224ab0c1e8fcb", PARTITION: "d32c9cbf5e040fd4025c592c306e6668"}
SIZE, BOX = (178, 218), (15, 40, 163, 188)  # left, upper, right, lower
FIRST_TEST = 182_638  # of the authors' partition, which goes by number
LARGEST = 4 << 20  # bytes of a picture in the zip file
SOURCE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"


def load(data_dir: Path | None = None, picture: Shape | None = None) -> Dataset:
    """The faces in `picture`, from `data_dir`, else $TETRAPLA_DATA, else the user cache; labels are all 0.

    Split by the authors' partition if its file is there, whose validation faces are left out; else number 182,638 and later
    are test faces, as in that partition, or a tenth, the last, where there are none so late. Nothing is downloaded: the
    authors' host gives it to browsers alone. Raises DataError.
    """
    channels, side, _ = wanted("celeba", picture, (3, 64, 64))
    place = _find(data_dir)
    names, one, key = _archive(place / ARCHIVE) if (place / ARCHIVE).is_file() else _folder(place / FOLDER)
    train, test = _split(place / PARTITION, names)
    images = pictures.read_all(
        "celeba", key, len(names), lambda k: one(names[k], side, channels), (channels, side, side)
    )
    images = in_channels(images, channels)
    description = f"CelebA, {len(train):,} training and {len(test):,} test faces at {side}×{side}"
    labels = [np.zeros(len(one), np.uint8) for one in (train, test)]
    return Dataset("celeba", description, images[train], labels[0], images[test], labels[1])


def _find(data_dir):
    given = places("celeba", data_dir)
    for place in (inner for folder in given for inner in (folder, folder / "celeba")):
        if (place / ARCHIVE).is_file() or (place / FOLDER).is_dir():
            return place
    raise DataError(
        f"celeba: expected {ARCHIVE} or the folder {FOLDER} in {given[0]}, found neither; get it with a browser from {SOURCE} "
        f"(Align&Cropped Images), with {PARTITION} if you like, and name their folder with --data-dir"
    )


def _folder(folder):
    """Sorted names, the function that reads one of them, and what their pictures depend on."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".jpg")
    if len(paths) < 2:
        raise DataError(f"{folder}: expected two JPEGs or more, found {len(paths)}")

    def one(name, side, channels):
        return pictures.read(folder / name, side, channels, BOX, size=SIZE)

    return [path.name for path in paths], one, pictures.digest([(path.name, path) for path in paths])


def _archive(path):
    """Likewise. The zip file's checksum is taken before its pictures are read, and not of those that are kept."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path}: expected CelebA's zip file, which cannot be read ({error}); get it again") from error
    members = {Path(name).name: name for name in archive.namelist() if name.lower().endswith(".jpg")}
    checked = []

    def one(name, side, channels):
        if not checked:
            _check_md5(path)
            checked.append(path)
        if archive.getinfo(members[name]).file_size > LARGEST:
            raise DataError(f"{path}: {name}: expected at most {LARGEST >> 20} MiB")
        try:
            content = archive.read(members[name])
        except Exception as error:  # zlib's, or the checksum's
            raise DataError(f"{path}: {name} cannot be read ({error}); get the file again") from error
        return pictures.read(content, side, channels, BOX, f"{path}: {name}", SIZE)

    return sorted(members), one, pictures.digest([(path.name, path)])


def _split(path, names):
    """Places of the training and of the test faces."""
    places = {name: place for place, name in enumerate(names)}
    if not path.is_file():
        numbers = np.array([int(stem) if (stem := Path(name).stem).isdecimal() else 0 for name in names])
        test = np.flatnonzero(numbers >= FIRST_TEST)
        test = test if len(test) else np.arange(len(names) - max(1, len(names) // pictures.TEST), len(names))
        return np.setdiff1d(np.arange(len(names)), test), test
    _check_md5(path)
    rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
    missing = [name for name, part in rows if part in "02" and name not in places]
    if missing:
        raise DataError(
            f"{path.parent}: {len(missing):,} faces of {path.name} are missing, the first {missing[0]}; get them again"
        )
    return tuple(np.array([places[name] for name, part in rows if part == wanted], int) for wanted in "02")


def _check_md5(path):
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != MD5[path.name]:
        raise DataError(
            f"{path}: expected CelebA's file with MD5 {MD5[path.name][:12]}…, found {found[:12]}…; get it again"
        )
