"""`svhn`: the cropped digits of Street View House Numbers, in three .mat files, found on disk or downloaded.

Netzer et al., "Reading Digits in Natural Images with Unsupervised Feature Learning", 2011. The MD5 are those of
torchvision.datasets.SVHN; no file is read whose content is another.
"""

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pooch
from scipy.io import loadmat

from common.data import Dataset, in_channels, wanted
from common.data.places import places
from common.errors import DataError
from common.specs.layers import Shape
from common.terminal import ERR

URL = "http://ufldl.stanford.edu/housenumbers/"
MD5 = {
    "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
    "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
    "extra_32x32.mat": "a93ce644f1a588dc4d68dda5feec44a7",
}
TRAIN, TEST, EXTRA = MD5


def load(data_dir: Path | None = None, picture: Shape | None = None) -> Dataset:
    """73,257 training and 26,032 test digits, from `data_dir`, else $TETRAPLA_DATA, else the user cache; what is missing is
    downloaded to the first of them. Where extra_32x32.mat is there too, its 531,131 digits are training images as well.

    Raises DataError if a file differs from SVHN's or the host does not answer.
    """
    channels, side, _ = wanted("svhn", picture, (3, 32, 32))
    if side != 32:
        raise DataError(
            f"svhn: has pictures of 32×32, and the model takes {side}×{side}; use streets, or another model"
        )
    folders = places("svhn", data_dir)
    paths = {name: _find(folders, name) for name in MD5}
    train, test = (read(paths[name] or download(name, folders[0])) for name in (TRAIN, TEST))
    if paths[EXTRA]:
        train = [np.concatenate(pair) for pair in zip(train, read(paths[EXTRA]), strict=True)]
    description = f"SVHN's cropped digits, {len(train[1]):,} training and {len(test[1]):,} test images"
    images = [in_channels(images, channels) for images, _ in (train, test)]
    return Dataset("svhn", description, images[0], train[1], images[1], test[1])


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (N, 3, 32, 32) and the digits, uint8 (N,), of one of the files, which calls the digit 0 10."""
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != MD5[path.name]:
        raise DataError(
            f"{path}: expected SVHN's file with MD5 {MD5[path.name][:12]}…, found {found[:12]}… in {path.stat().st_size:,} bytes; "
            "delete it to download it again"
        )
    content = loadmat(path, variable_names=("X", "y"))
    images = np.ascontiguousarray(content["X"].transpose(3, 2, 0, 1))  # from (32, 32, 3, N)
    return images, (content["y"].ravel() % 10).astype(np.uint8)


def download(name: str, folder: Path, url: str = URL) -> Path:
    """Fetch one file, check it, and move it to `folder` in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path = Path(scratch) / name
        try:
            pooch.HTTPDownloader(progressbar=ERR.is_terminal, timeout=30)(f"{url}{name}", str(path), None)
            with open(path, "rb") as file:
                found = hashlib.file_digest(file, "md5").hexdigest()
        except (OSError, ValueError) as error:
            raise DataError(
                f"{name}: {url} did not deliver it ({type(error).__name__}); put {TRAIN} and {TEST} into a folder and name it with "
                "--data-dir or $TETRAPLA_DATA, or use --data streets"
            ) from error
        if found != MD5[name]:
            raise DataError(
                f"{name}: {url} delivered another file, with MD5 {found[:12]}…; try again, or use --data streets"
            )
        return path.replace(folder / name)


def _find(folders, name):
    return next((folder / name for folder in folders if (folder / name).is_file()), None)
