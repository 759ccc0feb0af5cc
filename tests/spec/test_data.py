"""The data sets: what is read is checked, and what is wrong is named in one line."""

import dataclasses
import gzip
import hashlib
import http.server
import threading

import numpy as np
import platformdirs
import pytest

from common import data
from common.data import mnist
from common.data.batches import batch_indices, model_inputs, row_sets, to_images
from common.errors import DataError
from common.specs import get
from common.specs.inputs import Images, Labels

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def idx(array):
    header = bytes((0, 0, 8, array.ndim)) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path):
    """Four valid files: 20 training images, 10 test images."""
    random = np.random.default_rng(0)
    for prefix, count in (("train", 20), ("t10k", 10)):
        images = random.integers(0, 256, (count, 28, 28))
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.arange(count) % 10)))
    return tmp_path


def test_digits_are_fixed_and_look_like_digits():
    digits = data.load("digits")
    assert digits.train_images.shape == (1437, 28, 28)
    assert digits.test_images.shape == (360, 28, 28)
    assert digits.train_images.dtype == np.uint8
    assert digits.train_images.max() == 255
    assert np.array_equal(digits.train_images, data.load("digits").train_images)
    assert sorted(np.unique(digits.test_labels)) == list(range(10))
    ink = digits.train_images[digits.train_labels == 0].mean(axis=0)
    assert ink[14, 14] < 40 < ink[14, 8]  # a zero is hollow


def test_a_folder_of_idx_files(folder):
    loaded = data.load(str(folder))
    assert loaded.train_images.shape == (20, 28, 28)
    assert loaded.test_labels.tolist() == list(range(10))


@pytest.mark.parametrize("prefix", ["train", "t10k"])
def test_no_images_at_all(folder, prefix):
    (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros((0, 28, 28)))))
    (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros(0))))
    with pytest.raises(DataError, match=f"{prefix}-labels-idx1-ubyte.gz: expected at least one image and its label"):
        data.load(str(folder))


def test_the_digest_is_of_the_content_alone(folder, tmp_path):
    one = data.load(str(folder))
    (folder / "moved").mkdir()
    for path in folder.glob("*.gz"):
        (folder / "moved" / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    other = data.load(str(folder / "moved"))
    assert one.digest == other.digest != data.load("digits").digest
    other.forget_training_images()
    assert one.digest == other.digest


def test_a_folder_as_another_process_is_told_of_it(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert data.absolute(folder.name) == str(folder.resolve())
    assert (data.absolute("digits"), data.absolute("mnist")) == ("digits", "mnist")


def test_files_that_are_not_compressed(folder):
    for path in list(folder.glob("*.gz")):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert data.load(str(folder)).train_images.shape == (20, 28, 28)


WHOLE = idx(np.zeros((3, 28, 28)))
PACKED = gzip.compress(WHOLE)


# By name: gzip writes the time into its header, and two processes of pytest must collect the same tests.
BAD = {
    "cut short": (PACKED[:-20], "expected a whole gzip file"),
    "empty": (b"", "expected IDX magic number 00000803, found an empty file"),
    "not gzip": (b"not gzip at all", "expected a whole gzip file"),
    "overwritten": (PACKED[:40] + b"\xff" * 5 + PACKED[45:], "expected a whole gzip file"),
    "a byte short": (gzip.compress(WHOLE[:-1]), r"expected 2352 bytes for shape \(3, 28, 28\), found 2351"),
    "a byte long": (gzip.compress(WHOLE + b"0"), r"expected 2352 bytes for shape \(3, 28, 28\), found more than 2352"),
    "labels": (gzip.compress(idx(np.zeros(3))), "expected IDX magic number 00000803, found 00000801"),
    "short header": (gzip.compress(b"\0\0\x08\x03\0\0"), "expected an IDX header of 16 bytes, found 6 bytes"),
    "other size": (gzip.compress(idx(np.zeros((3, 32, 32)))), "expected images of 28×28 pixels, found 32×32"),
    "huge count": (gzip.compress(WHOLE[:4] + b"\xff" * 4 + WHOLE[8:]), "expected 3367254359280 bytes"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_a_bad_file_gives_one_line(folder, content, message):
    path = folder / f"{IMAGES}.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        data.load(str(folder))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_labels_must_match_images(folder):
    (folder / f"{LABELS}.gz").write_bytes(gzip.compress(idx(np.zeros(19))))
    with pytest.raises(DataError, match="expected 20 labels, one per image, found 19"):
        data.load(str(folder))


def test_a_missing_file_is_named(folder):
    (folder / f"{LABELS}.gz").unlink()
    with pytest.raises(DataError, match=f"missing: {LABELS}"):
        data.load(str(folder))


def test_an_unknown_name():
    with pytest.raises(DataError, match="unknown data set 'cifar'; expected digits, mnist, .*, or a folder"):
        data.load("cifar")


def test_other_files_are_not_mnist(folder):
    with pytest.raises(DataError, match="expected MNIST's file with SHA-256 ba891046e650…"):
        data.load("mnist", folder)


@pytest.fixture
def mirrors(tmp_path, monkeypatch):
    """Three mirrors on this machine: one that answers 404, one that is corrupt, one that is good."""
    content = idx(np.ones((2, 28, 28)))
    monkeypatch.setitem(mnist.SHA256, IMAGES, hashlib.sha256(content).hexdigest())
    root = tmp_path / "www"
    for name, body in (("corrupt", gzip.compress(content)[:-9]), ("good", gzip.compress(content))):
        (root / name).mkdir(parents=True)
        (root / name / f"{IMAGES}.gz").write_bytes(body)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(root))

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        base = f"http://127.0.0.1:{server.server_address[1]}"
        yield tuple(f"{base}/{name}/" for name in ("absent", "corrupt", "good"))
        server.shutdown()
        thread.join()


def test_download_takes_the_first_good_mirror(mirrors, tmp_path):
    folder = tmp_path / "cache"
    path = mnist.download(IMAGES, folder, mirrors)
    assert mnist.read_idx(path, mnist.SHA256[IMAGES]).shape == (2, 28, 28)
    assert [entry.name for entry in folder.iterdir()] == [f"{IMAGES}.gz"]  # nothing half-finished beside it


def test_download_says_what_each_mirror_did(mirrors, tmp_path):
    with pytest.raises(
        DataError, match=r"no mirror delivered it: .*absent/ \(HTTPError\); .*corrupt/ \(DataError\); put"
    ):
        mnist.download(IMAGES, tmp_path / "cache", mirrors[:2])
    assert list((tmp_path / "cache").iterdir()) == []


def test_where_mnist_is_looked_for(tmp_path, monkeypatch, folder):
    """--data-dir first, then $TETRAPLA_DATA, then the cache."""
    seen = []
    monkeypatch.setattr(mnist, "download", lambda name, where: seen.append(where) or folder / f"{name}.gz")
    monkeypatch.setattr(mnist, "read_idx", lambda path, sha256: np.zeros((1, 28, 28), np.uint8))
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache"))
    monkeypatch.delenv("TETRAPLA_DATA", raising=False)
    mnist.load()
    assert set(seen) == {tmp_path / "cache" / "mnist"}
    monkeypatch.setenv("TETRAPLA_DATA", str(tmp_path / "environment"))
    seen.clear()
    mnist.load()
    assert set(seen) == {tmp_path / "environment"}
    seen.clear()
    mnist.load(tmp_path / "option")
    assert set(seen) == {tmp_path / "option"}
    monkeypatch.setenv("TETRAPLA_DATA", str(folder))
    seen.clear()
    mnist.load(tmp_path / "option")
    assert seen == []


@pytest.mark.parametrize("name", ["autoencoder", "vae"])
def test_pixels_go_to_the_range_and_back(name):
    spec, images = get(name), np.arange(784, dtype=np.uint8).reshape(1, 28, 28)
    x = model_inputs(spec, {"images": images})["images"]
    assert (x.min(), x.max()) == spec.images.pixels
    assert to_images(spec, x)[0] * 255 == pytest.approx(images[0], abs=1e-12)


SEMI = (
    Images(shape=(12,), pixels=(0.0, 1.0), picture=(3, 2, 2)),
    Images(name="labelled_images", shape=(3, 2, 2), pixels=(-1.0, 1.0), picture=(3, 2, 2), rows="labelled"),
    Labels(classes=4, rows="labelled"),
)


def test_inputs_are_of_the_rows_that_they_are_asked_for():
    """Images of one row, labelled images and their labels of another; in colour, and in another shape than 28 × 28."""
    vae = get("vae")
    spec = dataclasses.replace(vae, inputs=SEMI, training=dataclasses.replace(vae.training, labelled=8))
    data = {"images": np.arange(240, dtype=np.uint8).reshape(20, 3, 2, 2), "labels": np.arange(20, dtype=np.uint8) % 4}
    sets = row_sets(spec, data, 0)
    assert sets["all"].tolist() == list(range(20))
    assert (np.sort(data["labels"][sets["labelled"]]) == np.repeat(range(4), 2)).all()
    inputs = model_inputs(spec, data, {"all": np.array([5, 19]), "labelled": np.array([7, 2])})
    assert inputs["images"] == pytest.approx(np.array([range(60, 72), range(228, 240)]) / 255)
    assert inputs["labelled_images"][0, 1, 0, 1] == pytest.approx((7 * 12 + 5) / 255 * 2 - 1)
    assert inputs["labels"].tolist() == [[0, 0, 0, 1], [0, 0, 1, 0]]
    drawn = to_images(spec, inputs["images"])
    assert drawn.shape == (2, 2, 2, 3)
    assert drawn[0, 0, 1] * 255 == pytest.approx([61, 65, 69])


def labelled_rows(count, seed, images=4000):
    """Of labels that are far from balanced: the class 3 has 400 images of 4,000."""
    labels = np.repeat(np.arange(4, dtype=np.uint8), (images // 2, images // 5, images // 5, images // 10))
    labels = np.random.default_rng(0).permutation(labels)
    spec = get("aae_few_labels").with_labelled(count)
    return row_sets(spec, {"images": np.zeros((images, 1, 28, 28), np.uint8), "labels": labels}, seed)[
        "labelled"
    ], labels


def test_labelled_rows_are_drawn_as_many_of_each_class():
    few, labels = labelled_rows(100, 0)
    assert np.bincount(labels[few]).tolist() == [25] * 4 and len(set(few)) == 100
    more, _ = labelled_rows(400, 0)
    assert set(few) < set(more)  # so that more labels are no others
    assert few.tolist() == labelled_rows(100, 0)[0].tolist()
    assert len(set(few) & set(labelled_rows(100, 1)[0])) < 20
    # From all of a class, not its first: the mean place of 25 of n is n / 2, with a deviation of n / √300.
    assert few.mean() == pytest.approx(2000, abs=5 * 4000 / np.sqrt(12 * 100))


@pytest.mark.parametrize("count", [1604, 102, 2])
def test_labels_that_cannot_be_drawn(count):
    with pytest.raises(
        DataError, match=f"with {count} labelled images: expected a multiple of 4, .* of at most 1600 here"
    ):
        labelled_rows(count, 0)


def test_labelled_rows_have_an_order_of_their_own():
    order = batch_indices({"all": np.arange(8), "labelled": np.arange(8)}, 4, 0, range(2))
    assert sorted(order["labelled"].ravel()) == sorted(order["all"].ravel()) == list(range(8))
    assert order["labelled"].tolist() != order["all"].tolist()
