"""Whatever bytes they are given, the readers of IDX files and checkpoints give an array or their own error, and never
hold more than the file's size suggests."""

import gzip
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from common import checkpoint
from common.checkpoint import load_checkpoint, save_checkpoint
from common.contract import Snapshot
from common.data.mnist import GZIP_RATIO, read_idx
from common.errors import CheckpointError, DataError
from common.parameters import initial_parameters
from common.specs import get

SPEC = get("conv_autoencoder")  # the smallest
CHECKPOINT = Snapshot.start(SPEC, initial_parameters(SPEC, 0))
IDX = bytes((0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28)) + bytes(range(256)) * 6 + bytes(32)
SETTINGS = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}

damages = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), st.floats(0, 1), st.integers(0, 7)),
        st.tuples(st.just("cut"), st.floats(0, 1), st.just(0)),
        st.tuples(st.just("insert"), st.floats(0, 1), st.binary(min_size=1, max_size=20)),
        st.tuples(st.just("header"), st.floats(0, 0.02), st.integers(0, 255)),
    ),
    min_size=1,
    max_size=4,
)


def damage(content, changes):
    content = bytearray(content)
    for kind, where, what in changes:
        at = min(int(where * len(content)), max(len(content) - 1, 0))
        if kind == "cut":
            del content[at:]
        elif kind == "insert":
            content[at:at] = what
        elif content:
            content[at] = content[at] ^ (1 << what) if kind == "flip" else what
    return bytes(content)


def held(function):
    """The most memory that a call held, by Python's own count."""
    tracemalloc.start()
    try:
        function()
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoints") / "checkpoint.safetensors"
    save_checkpoint(path, SPEC, CHECKPOINT)
    return path.read_bytes()


@given(changes=damages)
@settings(max_examples=200, **SETTINGS)
def test_a_damaged_checkpoint_is_noticed(intact, tmp_path, changes):
    path, content = tmp_path / "checkpoint.safetensors", damage(intact, changes)
    path.write_bytes(content)

    def read():
        try:
            loaded = load_checkpoint(path, SPEC)
        except CheckpointError as error:
            assert "\n" not in str(error)
            assert str(path) in str(error)
        else:
            assert content == intact
            assert loaded.step == 0

    assert held(read) < 4 * len(content) + 2_000_000


@given(content=st.binary(max_size=300))
@settings(max_examples=100, **SETTINGS)
def test_any_bytes_as_a_checkpoint(tmp_path, content):
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        load_checkpoint(path, SPEC)


def huge_tensor():
    header = json.dumps({"parameters.x": {"dtype": "F64", "shape": [1 << 40], "data_offsets": [0, 8 << 40]}}).encode()
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    "content",
    [
        b"",
        (1 << 62).to_bytes(8, "little") + b"{}",  # a header longer than the file
        huge_tensor(),
        save({"x": np.ones(3)}),  # safetensors of somebody else
        save({}, {"model": "vae"}),
    ],
)
def test_what_is_no_checkpoint(tmp_path, content):
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(content)

    def read():
        with pytest.raises(CheckpointError):
            load_checkpoint(path, SPEC)

    assert held(read) < 2_000_000


def changed(**groups):
    return Snapshot(**{group: groups.get(group, getattr(CHECKPOINT, group)) for group in checkpoint.GROUPS}, step=0)


@pytest.mark.parametrize(
    ("snapshot", "message"),
    [
        (changed(parameters=CHECKPOINT.parameters | {"extra": np.zeros(1)}), "found parameters.extra"),
        (changed(parameters=CHECKPOINT.parameters | {"encoder.conv0.bias": np.zeros(3)}), r"found \(3,\)"),
        (changed(parameters=CHECKPOINT.parameters | {"encoder.conv0.bias": np.full(16, np.nan)}), "expected finite"),
        (changed(parameters=CHECKPOINT.parameters | {"encoder.conv0.bias": np.zeros(16, np.int32)}), "found int32"),
        (changed(moments={}), "found nothing"),
    ],
)
def test_tensors_that_do_not_fit(tmp_path, snapshot, message):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, SPEC, snapshot)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path, SPEC)


@given(changes=damages, compressed=st.booleans())
@settings(max_examples=300, **SETTINGS)
def test_a_damaged_idx_file(tmp_path, changes, compressed):
    path = tmp_path / ("train-images-idx3-ubyte" + (".gz" if compressed else ""))
    content = damage(gzip.compress(IDX) if compressed else IDX, changes)
    path.write_bytes(content)

    def read():
        try:
            images = read_idx(path)
        except DataError as error:
            assert "\n" not in str(error)
        else:
            assert (images.dtype, images.shape[1:]) == (np.uint8, (28, 28))

    assert held(read) < (GZIP_RATIO if compressed else 1) * len(content) + 2_000_000


def test_a_header_that_announces_more_than_the_file_can_hold(tmp_path):
    """4 billion images in 60 bytes."""
    for name, content in (
        ("train-images-idx3-ubyte", IDX[:4] + b"\xff\xff\xff\xff" + IDX[8:]),
        ("train-images-idx3-ubyte.gz", gzip.compress(IDX[:4] + b"\xff\xff\xff\xff" + IDX[8:20])),
    ):
        (tmp_path / name).write_bytes(content)

        def read(path=tmp_path / name):
            with pytest.raises(DataError, match="expected .* bytes for shape"):
                read_idx(path)

        assert held(read) < 3_000_000


def test_a_gzip_bomb_is_read_no_further_than_its_header_says(tmp_path):
    """50 MB of zeros behind the header of two images."""
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(IDX + bytes(50_000_000)))

    def read():
        with pytest.raises(DataError, match="found more than"):
            read_idx(path)

    assert held(read) < 3_000_000
