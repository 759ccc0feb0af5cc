"""A folder of pictures, and how one picture is read: with Pillow, checked before it is decoded, and brought to a model's side.

What is refused, in one line each: a file that is no picture or is cut short, one of more pixels than Pillow decodes, several
pictures in one file, CMYK and other colours than grey and RGB, more than 8 bits a channel, and a picture smaller than the
model's. Any other size is cut to its middle square and made smaller; what is transparent is laid on white; a turned
photograph is set upright. The same file gives the same bytes with the same versions of Pillow and of its decoders.
"""

import hashlib
import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from common.data import Dataset, label_type, made, wanted
from common.errors import DataError
from common.noise import stream
from common.specs.layers import Shape

VERSION = 1  # of how pictures are brought to a side
ENDS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
TEST = 10  # one of so many is held out

Box = tuple[int, int, int, int]  # left, upper, right, lower


def load(folder: Path, picture: Shape | None = None) -> Dataset:
    """The pictures in `folder`, at any depth, in `picture`; a tenth is held out, drawn once from their sorted paths.

    Labels number the folders directly below `folder`, sorted; 0 where there are none. What was read is kept in the cache
    until a file changes its size or time. Raises DataError at the first that cannot be used.
    """
    found = (path for path in folder.rglob("*") if path.suffix.lower() in ENDS and path.is_file())
    paths = sorted((path.relative_to(folder).as_posix(), path) for path in found)
    if len(paths) < 2:
        raise DataError(
            f"{folder}: expected the four IDX files of MNIST, or two pictures or more ({', '.join(ENDS)}), found {len(paths)}"
        )
    channels, side, _ = wanted(str(folder), picture, (3, 64, 64))
    names = [name.split("/")[0] if "/" in name else "" for name, _ in paths]
    classes, labels = np.unique(names, return_inverse=True)
    key = digest([(name, path) for name, path in paths])
    images = read_all("pictures", key, len(paths), lambda k: read(paths[k][1], side, channels), (channels, side, side))
    test = stream(0, "batches", "pictures split").permutation(len(paths))[: max(1, len(paths) // TEST)]
    parts = {"images": images, "labels": labels.astype(label_type(len(classes)))}
    return made.dataset(folder.name, f"{len(paths):,} pictures in {folder}", parts, test, (channels, side, side))


def digest(files: list[tuple[str, Path]]) -> str:
    """Of the names, sizes and times of files: what their pictures depend on."""
    found = hashlib.sha256()
    for name, path in files:
        status = path.stat()
        found.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return found.hexdigest()


def read_all(name: str, key: str, count: int, one: Callable[[int], np.ndarray], picture: Shape) -> np.ndarray:
    """uint8 (count, *picture): `one` picture after the other, from the cache where files of this `key` were read before."""
    channels, side, _ = picture

    def chunk(numbers: range) -> made.Parts:
        return {"images": np.stack([one(number) for number in numbers])}

    return made.kept(
        name,
        {"v": VERSION, "c": channels, "side": side, "files": key[:16]},
        made.folders(None),
        lambda: made.in_chunks(f"{count:,} pictures", count, chunk),
    )["images"]


def read(
    file: Path | bytes, side: int, channels: int, box: Box | None = None, name: str = "", size: tuple | None = None
) -> np.ndarray:
    """uint8 (channels, side, side): the part `box` of a picture, else its middle square, made smaller to `side`.

    `name` is that of bytes, for messages; `size` (width, height) that which it must have. Raises DataError.
    """
    name = name or str(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=FORMATS) as opened:
                _check(name, opened, side if box is None else 0, size)
                return _pixels(ImageOps.exif_transpose(opened), side, channels, box)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(
            f"{name}: expected at most {Image.MAX_IMAGE_PIXELS:,} pixels, found more; make it smaller, or leave it out"
        ) from error
    except DataError:
        raise
    except Exception as error:  # whatever the decoder happens to run into
        reason = " ".join(str(error).split()).replace(name, "it")
        raise DataError(
            f"{name}: expected a whole picture ({', '.join(FORMATS)}), which cannot be read ({reason or type(error).__name__}); "
            "repair it, or leave it out"
        ) from error


def _check(name, opened, least, size):
    """Of what its header says, before anything is decoded."""
    width, height = opened.size
    if getattr(opened, "n_frames", 1) > 1:
        raise DataError(
            f"{name}: expected one picture, found {opened.n_frames} in the file; save the one that is meant"
        )
    # Of 16-bit colours Pillow says no more than RGB, and drops the lower half of each.
    if opened.mode not in MODES or ";16" in str(opened.tile):
        bits = " of 16 bits" if ";16" in f"{opened.mode} {opened.tile}" else ""
        raise DataError(f"{name}: expected 8 bits a channel in grey or RGB, found {opened.mode}{bits}; convert it")
    if size and (width, height) != size:
        raise DataError(f"{name}: expected {size[0]}×{size[1]} pixels, found {width}×{height}")
    if min(width, height) < least:
        raise DataError(
            f"{name}: expected at least {least}×{least} pixels, which the model sees, found {width}×{height}; leave it out"
        )


def _pixels(image, side, channels, box):
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    image = image.convert("L" if channels == 1 else "RGB")
    if box is None:
        edge = min(image.size)
        left, upper = (image.width - edge) // 2, (image.height - edge) // 2
        box = (left, upper, left + edge, upper + edge)
    pixels = np.asarray(image.crop(box).resize((side, side), Image.Resampling.BICUBIC))
    return pixels[None] if channels == 1 else np.moveaxis(pixels, -1, 0)
