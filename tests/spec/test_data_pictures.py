"""Folders of pictures, CelebA and SVHN: what is read of tiny files made here, and what each bad file is told in one line."""

import hashlib
import http.server
import io
import struct
import threading
import zipfile
import zlib

import numpy as np
import platformdirs
import pytest
from PIL import Image
from scipy.io import savemat

from common import data, specs
from common.data import celeba, pictures, svhn
from common.data.fitted import fitted_dataset
from common.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Nothing is found in, or written to, the user's folders."""
    monkeypatch.setenv("TETRAPLA_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / "user"))


def colours(*sides, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*sides, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Twenty pictures of three kinds and many sizes, and what is no picture."""
    folder = tmp_path / "photos"
    for k in range(20):
        path = folder / ("cats", "dogs", "owls/grey")[k % 3] / f"{k:02d}.{('png', 'JPG', 'bmp', 'webp', 'tif')[k % 5]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(colours(32 + k, 40, seed=k))
        (image.convert("L") if k % 3 == 2 else image).save(path)
    (folder / "notes.txt").write_text("not a picture")
    (folder / "evil.py").write_text("raise SystemExit")
    return folder


def test_a_folder_of_pictures(folder, monkeypatch):
    loaded = data.load(str(folder), None, (3, 32, 32))
    assert loaded.train_images.shape == (18, 3, 32, 32) and loaded.test_images.shape == (2, 3, 32, 32)
    counts = [np.bincount(labels, minlength=3) for labels in (loaded.train_labels, loaded.test_labels)]
    assert sum(counts).tolist() == [7, 7, 6]
    grey = data.load(str(folder), None, (1, 32, 32))
    assert grey.train_images.shape == (18, 32, 32) and (grey.train_labels == loaded.train_labels).all()
    monkeypatch.setattr(pictures, "read", None)  # kept
    assert data.load(str(folder), None, (3, 32, 32)).digest == loaded.digest


def test_a_proof_on_pictures_in_the_model_s_own_size(folder):
    """Of a folder of photos a model in colour sees the colours; digits are brought to its picture."""
    loaded = fitted_dataset(specs.get("infogan_svhn"), str(folder))
    assert (loaded.train_images == data.load(str(folder), None, (3, 32, 32)).train_images).all()
    assert fitted_dataset(specs.get("vae_gan"), "digits").test_images.shape[1:] == (3, 64, 64)
    with pytest.raises(DataError, match="unknown data set 'no/such'"):
        fitted_dataset(specs.get("vae"), "no/such")


def test_a_changed_picture_is_read_again(folder):
    before = data.load(str(folder), None, (3, 32, 32))
    path = folder / "cats" / "00.png"
    Image.fromarray(colours(50, 50, seed=99)).save(path)
    after = data.load(str(folder), None, (3, 32, 32))
    assert before.digest != after.digest
    assert ((before.train_images != after.train_images).any(axis=(1, 2, 3)).sum()
            + (before.test_images != after.test_images).any(axis=(1, 2, 3)).sum()) == 1  # fmt: skip


def test_pictures_without_folders_are_of_one_kind(tmp_path):
    (tmp_path / "flat").mkdir()
    for k in range(3):
        Image.fromarray(colours(64, 64, seed=k)).save(tmp_path / "flat" / f"{k}.png")
    loaded = data.load(str(tmp_path / "flat"))
    assert loaded.train_images.shape == (2, 3, 64, 64) and loaded.test_images.shape == (1, 3, 64, 64)
    assert loaded.train_labels.tolist() == [0, 0]


def test_the_middle_square_is_made_smaller(tmp_path):
    """Quarters of four colours in the middle of a wide picture, whose ends are cut."""
    wide = np.full((64, 100, 3), 255, np.uint8)
    square = np.zeros((64, 64, 3), np.uint8)
    square[:32, 32:, 0], square[32:, :32, 1], square[32:, 32:, 2] = 200, 100, 50
    wide[:, 18:82] = square
    Image.fromarray(wide).save(tmp_path / "a.png")
    found = pictures.read(tmp_path / "a.png", 32, 3)
    middles = found[:, [8, 8, 24, 24], [8, 24, 8, 24]]
    assert middles.T.tolist() == [[0, 0, 0], [200, 0, 0], [0, 100, 0], [0, 0, 50]]
    assert found[:, :14, 0].max() == 0  # nor is the white beside it mixed in
    exact = pictures.read(tmp_path / "a.png", 64, 3)
    assert (exact == np.moveaxis(square, -1, 0)).all()  # nothing is made of what fits


def test_transparent_is_white_and_turned_is_upright(tmp_path):
    clear = np.dstack([colours(32, 32), np.zeros((32, 32), np.uint8)])
    Image.fromarray(clear).save(tmp_path / "clear.png")
    assert (pictures.read(tmp_path / "clear.png", 32, 3) == 255).all()
    turned, upright = Image.fromarray(colours(32, 32)), tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it clockwise to see it
    turned.save(upright, exif=exif)
    expected = np.rot90(np.asarray(turned), -1)
    assert (np.moveaxis(pictures.read(upright, 32, 3), 0, -1) == expected).all()
    Image.fromarray(colours(32, 32)).quantize(16).save(tmp_path / "palette.png")
    assert pictures.read(tmp_path / "palette.png", 32, 1).shape == (1, 32, 32)


def saved(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


RGB = Image.fromarray(colours(40, 40))
PNG, JPEG = saved(RGB, format="PNG"), saved(RGB, format="JPEG")
FRAMES = [Image.fromarray(colours(40, 40, seed=k)) for k in range(3)]


def deep_png():
    """16 bits a channel in colour, which Pillow cannot write: the header of an 8-bit one half as wide, with its depth changed."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = zlib.compress(b"".join(b"\0" + bytes(40 * 6) for _ in range(40)))
    header = struct.pack(">IIBBBBB", 40, 40, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


BAD = {
    "no picture": ("a.png", b"hello", "expected a whole picture .* repair it, or leave it out"),
    "empty": ("a.jpg", b"", "expected a whole picture"),
    "cut png": ("a.png", PNG[: len(PNG) // 2], "expected a whole picture"),
    "cut jpeg": ("a.jpeg", JPEG[: len(JPEG) // 2], "expected a whole picture .*truncated"),
    "flipped": ("a.png", PNG[:200] + bytes(40) + PNG[240:], "expected a whole picture"),
    "another format": ("a.png", saved(RGB, format="PPM"), "expected a whole picture"),
    "small": ("a.png", saved(RGB.resize((31, 90)), format="PNG"), r"at least 32×32 pixels.*found 31×90"),
    "CMYK": (
        "a.jpg",
        saved(RGB.convert("CMYK"), format="JPEG"),
        "8 bits a channel in grey or RGB, found CMYK; convert it",
    ),
    "16 bits, grey": (
        "a.png",
        saved(Image.fromarray(np.zeros((40, 40), np.uint16)), format="PNG"),
        "found I;16 of 16 bits",
    ),
    "16 bits, colour": ("a.png", deep_png(), "found RGB of 16 bits"),
    "floats": ("a.tif", saved(Image.fromarray(np.zeros((40, 40), np.float32)), format="TIFF"), "found F; convert"),
    "animated png": (
        "a.png",
        saved(FRAMES[0], format="PNG", save_all=True, append_images=FRAMES[1:]),
        "expected one picture, found 3",
    ),
    "animated webp": ("a.webp", saved(FRAMES[0], format="WEBP", save_all=True, append_images=FRAMES[1:]), "found 3"),
    "pages": (
        "a.tiff",
        saved(FRAMES[0], format="TIFF", save_all=True, append_images=FRAMES[1:]),
        "found 3 in the file",
    ),
}


@pytest.mark.parametrize(("name", "content", "message"), BAD.values(), ids=BAD)
def test_a_bad_picture_gives_one_line(folder, name, content, message):
    path = folder / "cats" / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        data.load(str(folder), None, (3, 32, 32))
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("limit", [1000, 600])
def test_a_gigantic_picture_is_not_decoded(folder, monkeypatch, limit):
    """Pillow warns above its limit, and raises above twice as much."""
    path = folder / "cats" / "a.png"
    path.write_bytes(PNG)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    monkeypatch.setattr(pictures, "_pixels", None)
    with pytest.raises(DataError, match=f"expected at most {limit:,} pixels, found more; make it smaller"):
        pictures.read(path, 32, 3)


def test_a_folder_with_nothing_to_read(tmp_path):
    with pytest.raises(DataError, match="expected the four IDX files of MNIST, or two pictures or more .*, found 0"):
        data.load(str(tmp_path))


@pytest.fixture
def faces(tmp_path):
    """Twelve faces: white in the part that is cut out, black around it."""
    folder = tmp_path / "faces" / celeba.FOLDER
    folder.mkdir(parents=True)
    for k in range(1, 13):
        picture = np.zeros((218, 178, 3), np.uint8)
        picture[40:188, 15:163] = 20 * k  # as celeba_imgs of their code has it
        Image.fromarray(picture).save(folder / f"{k:06d}.jpg", quality=100, subsampling=0)
    return folder.parent


@pytest.mark.parametrize("side", [32, 64])
def test_faces_are_cut_as_vae_gan_cuts_them(faces, side):
    loaded = data.load("celeba", faces, (3, side, side))
    assert loaded.train_images.shape == (11, 3, side, side) and loaded.test_images.shape == (1, 3, side, side)
    means = loaded.train_images.mean(axis=(1, 2, 3))
    assert means == pytest.approx(np.arange(20, 240, 20), abs=2)
    assert np.ptp(loaded.train_images[10].astype(int)) < 20  # no black rim
    assert data.load("celeba", faces, (1, side, side)).train_images.shape == (11, side, side)


def test_the_partition_and_the_zip_file_of_celeba(faces, monkeypatch):
    parts = [0, 0, 0, 0, 0, 1, 1, 2, 2, 0, 2, 0]
    listing = "".join(f"{k:06d}.jpg {part}\n" for k, part in enumerate(parts, 1)).encode()
    (faces / celeba.PARTITION).write_bytes(listing)
    with pytest.raises(
        DataError, match=r"list_eval_partition.txt: expected CelebA's file with MD5 d32c9cbf5e04…, found"
    ):
        data.load("celeba", faces)
    monkeypatch.setitem(celeba.MD5, celeba.PARTITION, hashlib.md5(listing).hexdigest())
    loaded = data.load("celeba", faces)
    assert loaded.test_images.mean(axis=(1, 2, 3)) == pytest.approx([160, 180, 220], abs=2)
    assert loaded.train_images.mean(axis=(1, 2, 3)) == pytest.approx([20, 40, 60, 80, 100, 200, 240], abs=2)
    with zipfile.ZipFile(faces / celeba.ARCHIVE, "w") as archive:
        for path in (faces / celeba.FOLDER).iterdir():
            archive.write(path, f"{celeba.FOLDER}/{path.name}")
    with pytest.raises(DataError, match="img_align_celeba.zip: expected CelebA's file with MD5 00d2c5bc6d35…, found"):
        data.load("celeba", faces)
    whole = (faces / celeba.ARCHIVE).read_bytes()
    monkeypatch.setitem(celeba.MD5, celeba.ARCHIVE, hashlib.md5(whole).hexdigest())
    assert data.load("celeba", faces).digest == loaded.digest
    (faces / celeba.ARCHIVE).write_bytes(whole[:-30])
    with pytest.raises(DataError, match="img_align_celeba.zip: expected CelebA's zip file, which cannot be read"):
        data.load("celeba", faces)
    (faces / celeba.ARCHIVE).unlink()
    (faces / celeba.FOLDER / "000009.jpg").unlink()
    with pytest.raises(DataError, match="1 faces of list_eval_partition.txt are missing, the first 000009.jpg"):
        data.load("celeba", faces)


def test_celeba_s_own_split_by_number(faces):
    for k in (5, 6, 7):
        (faces / celeba.FOLDER / f"{k:06d}.jpg").rename(faces / celeba.FOLDER / f"{182_637 + k - 5:06d}.jpg")
    loaded = data.load("celeba", faces)
    assert loaded.test_images.mean(axis=(1, 2, 3)) == pytest.approx([120, 140], abs=2)
    assert len(loaded.train_images) == 10


def test_celeba_that_is_not_there_or_not_aligned(faces, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(
        DataError, match="expected img_align_celeba.zip or the folder .*CelebA.html .*--data-dir"
    ) as error:
        data.load("celeba", tmp_path / "none")
    assert "\n" not in str(error.value)
    Image.fromarray(colours(100, 100)).save(faces / celeba.FOLDER / "000003.jpg")
    with pytest.raises(DataError, match="000003.jpg: expected 178×218 pixels, found 100×100"):
        data.load("celeba", faces)


@pytest.fixture
def numbers(tmp_path, monkeypatch):
    """SVHN's files with 12, 5 and 3 pictures, whose upper left pixel is their number."""
    folder = tmp_path / "svhn"
    folder.mkdir()
    for name, count in zip(svhn.MD5, (12, 5, 3), strict=True):
        pixels = np.moveaxis(colours(count, 32, 32, seed=count), 0, -1).copy()
        pixels[0, 0] = np.arange(count)
        savemat(folder / name, {"X": pixels, "y": (np.arange(count) % 10 + 1)[:, None].astype(np.uint8)})
        monkeypatch.setitem(svhn.MD5, name, hashlib.md5((folder / name).read_bytes()).hexdigest())
    return folder


def test_svhn(numbers):
    loaded = data.load("svhn", numbers)
    assert loaded.train_images.shape == (15, 3, 32, 32) and loaded.test_images.shape == (5, 3, 32, 32)
    assert loaded.train_labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 1, 2, 3]
    assert loaded.train_images[:, 1, 0, 0].tolist() == [*range(12), 0, 1, 2]
    assert (loaded.test_images == np.moveaxis(colours(5, 32, 32, seed=5), -1, 1))[:, :, 1:].all()  # rows are rows
    (numbers / svhn.EXTRA).unlink()
    assert len(data.load("svhn", numbers).train_images) == 12
    assert data.load("svhn", numbers, (1, 32, 32)).test_images.shape == (5, 32, 32)
    with pytest.raises(DataError, match="svhn: has pictures of 32×32, and the model takes 64×64"):
        data.load("svhn", numbers, (3, 64, 64))


def test_a_file_that_is_not_svhn_s(numbers):
    path = numbers / svhn.TEST
    for content in (path.read_bytes()[:-40], b"", b"no file of Matlab's"):
        path.write_bytes(content)
        with pytest.raises(
            DataError, match=f"expected SVHN's file with MD5 .*in {len(content):,} bytes; delete it"
        ) as error:
            data.load("svhn", numbers)
        assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


@pytest.fixture
def host(numbers):
    """Serves the files of `numbers` on this machine."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(numbers))

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_svhn_is_downloaded(host, numbers, tmp_path, monkeypatch):
    folder, asked, download = tmp_path / "got", [], svhn.download
    monkeypatch.setattr(svhn, "download", lambda name, where: asked.append(name) or download(name, where, host))
    assert len(data.load("svhn", folder).train_images) == 12
    assert asked == [svhn.TRAIN, svhn.TEST]  # the extra ones nobody asked for
    assert sorted(path.name for path in folder.iterdir()) == sorted(asked)
    monkeypatch.setitem(svhn.MD5, svhn.TRAIN, "0" * 32)
    with pytest.raises(DataError, match="delivered another file, with MD5"):
        download(svhn.TRAIN, tmp_path / "more", host)
    with pytest.raises(DataError, match=r"http://127.*absent/ did not deliver it \(HTTPError\); put train_32x32.mat"):
        download(svhn.TRAIN, tmp_path / "more", f"{host}absent/")
    assert list((tmp_path / "more").iterdir()) == []
