"""What `take` writes, without running it: for every model in every framework. What it computes: tests/backend/test_take.py."""

import ast
import gzip
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from backends import BACKENDS, TITLES
from common.environment import ROOT
from common.errors import UsageError
from common.specs import SPECS, get
from common.specs.inputs import Images
from common.tools import take
from common.tools.take import lines
from common.tools.take.notebook import notebook_of
from tests.conftest import tetrapla, tetrapla_here, write_idx

PACKAGES = {
    "pytorch": {"torch"},
    "tensorflow": {"tensorflow", "keras"},
    "paddle": {"paddle"},
    "jax": {"jax", "flax", "optax", "orbax"},
}
FOR_USERS = {"main", "encode", "reconstruct", "sample"}  # which the file itself need not call
TEXTS = {}


@pytest.fixture(params=[(backend, model) for backend in BACKENDS for model in SPECS], ids="-".join)
def taken(request):
    """(backend, specification, source)."""
    backend, model = request.param
    if request.param not in TEXTS:
        TEXTS[request.param] = take.take(get(model), backend)
    return backend, get(model), TEXTS[request.param]


def test_it_needs_its_framework_and_numpy_alone(taken):
    backend, _, text = taken
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    names |= {n.module for n in nodes if isinstance(n, ast.ImportFrom)}
    packages = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)
    assert packages <= PACKAGES[backend] | {"numpy"}
    assert min(PACKAGES[backend], key=len) in packages or backend == "tensorflow"


def test_nothing_of_the_engine_is_left(taken):
    _, spec, text = taken
    names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    assert not names & {"spec", "state", "backends", "common", "SOURCES", "world", "workers", "options"}
    assert not re.search(
        r"the engine|specification|_autoencoder\.py|vae_gan\.py|infogan\.py|aae_few_labels_paper", text
    )
    for condition in lines.known(spec):
        if not condition.isidentifier():
            assert f"if {condition}:" not in text


def test_a_local_name_is_no_name_of_the_module():
    text = "def losses(model):\n    bce = net(model)\n    return [bce + n for n in ROWS], lambda x: x + shift\n\nkept = losses"
    assert lines.referred(text) == {"net", "ROWS", "shift", "losses"}


def test_nothing_is_defined_in_vain(taken):
    _, _, text = taken
    tree = ast.parse(text)
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert len(defined) == len(set(defined))
    used = lines.referred(text)
    constants = {
        n.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for n in ast.walk(node.targets[0])
        if isinstance(n, ast.Name)
    }
    assert not (set(defined) | constants) - used - FOR_USERS


def test_it_is_formatted_and_says_where_it_is_from(taken):
    backend, spec, text = taken
    command = [take.ruff(), "format", "--isolated", "--line-length", "120", "--check", "-"]
    assert subprocess.run(command, input=text, capture_output=True, text=True).returncode == 0
    command = [take.ruff(), "check", "--isolated", "--select", "E,F,I", "--ignore", "E501", "-"]
    found = subprocess.run(command, input=text, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
    head = ast.get_docstring(ast.parse(text))
    assert head.startswith(f"{spec.about.title}, in {TITLES[backend]}.")
    assert spec.about.source in head
    assert "Apache License 2.0" in head
    assert f"python {take.file_name(spec, backend)}" in head


def data_section(text):
    """The names that the section of the data defines, executed without a framework."""
    lines = text.split("\n")
    first = next(k for k, line in enumerate(lines) if line.endswith("--- data"))
    last = next(k for k, line in enumerate(lines) if line.endswith("--- networks"))
    imports = "import gzip, struct, zlib\nfrom pathlib import Path\nimport numpy as np\n"
    settings = next(line for line in lines if line.startswith("BATCH, STEPS, SEED"))
    scope = {}
    exec(imports + settings + "\n" + "\n".join(lines[first:last]), scope)
    return scope


@pytest.mark.parametrize("model", SPECS)
def test_batches(model):
    """Every epoch all images once, scaled as the specification says, each with its label."""
    spec = get(model)
    scope = data_section(take.take(spec, "pytorch"))
    channels, *sides = spec.images.picture
    count = 1200 if "labelled" in spec.rows else 2 * spec.training.batch_size + 3
    images = np.zeros((count, *sides, 3) if channels == 3 else (count, *sides), np.uint8)
    images.reshape(count, -1)[:, 0], images.reshape(count, -1)[:, 1] = np.divmod(np.arange(count), 256)
    images.reshape(count, -1)[:, -1] = 255
    labels = (np.arange(count) * 7 % 10).astype(np.uint8)
    with_labels = any(one.source == "labels" for one in spec.inputs)
    stream = scope["batches"](*([images, labels] if with_labels else [images]))
    size = spec.training.batch_size
    per_epoch = count // size
    epochs = [[next(stream) for _ in range(per_epoch)] for _ in range(2)]
    orders = []
    for epoch in epochs:
        seen = []
        for inputs in epoch:
            assert set(inputs) == {one.name for one in spec.inputs}
            rows = {}
            for one in spec.inputs:
                assert inputs[one.name].shape == (size, *one.shape)
                if isinstance(one, Images):
                    low, high = one.pixels
                    plain = np.rint((inputs[one.name] - low) / (high - low) * 255).astype(int)
                    plain = plain.reshape(size, channels, -1)
                    plain = (plain if channels == 1 else np.moveaxis(plain, 1, -1)).reshape(size, -1)
                    assert (plain[:, -1] == 255).all()
                    assert inputs[one.name].min() == low
                    assert inputs[one.name].max() == high
                    rows[one.rows] = plain[:, 0] * 256 + plain[:, 1]
            for one in spec.inputs:
                if not isinstance(one, Images):
                    assert np.array_equal(inputs[one.name].argmax(1), labels[rows[one.rows]])
                    assert np.array_equal(inputs[one.name].sum(1), np.ones(size))
            seen.append(rows["all"])
        seen = np.concatenate(seen)
        assert len(set(seen)) == len(seen) == per_epoch * size
        orders.append(seen)
    assert not np.array_equal(*orders)


def test_known_labels_are_as_many_of_each_class():
    spec = get("aae_few_labels")
    scope = data_section(take.take(spec, "pytorch"))
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (3000, 28, 28), np.uint8), (np.arange(3000) % 10).astype(np.uint8)
    stream = scope["batches"](images, labels)
    given = [next(stream) for _ in range(30)]
    shown = {
        row.tobytes(): label
        for one in given
        for row, label in zip(one["labelled_images"], one["labels"].argmax(1), strict=True)
    }
    assert len(shown) == 1000
    assert np.bincount(list(shown.values())).tolist() == [100] * 10


def test_loading_mnist(tmp_path):
    scope = data_section(take.take(get("aae_style"), "pytorch"))
    write_idx(tmp_path / "data", 20)
    images, labels = scope["load"](tmp_path / "data")
    assert images.shape == (20, 28, 28)
    assert labels.tolist() == [k % 10 for k in range(20)]
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        path = tmp_path / "data" / name
        path.with_name(name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    again, _ = scope["load"](tmp_path / "data")
    assert np.array_equal(again, images)
    with pytest.raises(SystemExit, match="expected MNIST's file train-images-idx3-ubyte"):
        scope["load"](tmp_path)


def test_loading_pictures(tmp_path):
    scope = data_section(take.take(get("infogan_svhn"), "pytorch"))
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "good.npz", images=images)
    assert np.array_equal(scope["load"](tmp_path / "good.npz")[0], images)
    np.savez(tmp_path / "bad.npz", images=images[..., 0])
    with pytest.raises(SystemExit, match=r"expected images uint8 \(N, 32, 32, 3\), found uint8 \(5, 32, 32\)"):
        scope["load"](tmp_path / "bad.npz")


@pytest.mark.parametrize("model", ["vae", "gan", "infogan_svhn", "infogan_chairs"])
def test_pictures_are_png(model, tmp_path):
    """As another reader sees them: eight across, in their order, in colour where they are."""
    spec = get(model)
    scope = data_section(take.take(spec, "pytorch"))
    channels, height, width = spec.images.picture
    low, high = spec.images.pixels
    pixels = np.random.default_rng(0).integers(0, 256, (16, channels, height, width))
    scope["save_pictures"](tmp_path / "x.png", (pixels / 255 * (high - low) + low).reshape(16, *spec.images.shape))
    found = np.asarray(Image.open(tmp_path / "x.png")).reshape(2 * height, 8 * width, channels)
    for k in range(16):
        row, column = divmod(k, 8)
        tile = found[row * height : (row + 1) * height, column * width : (column + 1) * width]
        assert np.array_equal(tile, np.moveaxis(pixels[k], 0, -1))


def test_the_command(tmp_path):
    path = tmp_path / "mine.py"
    done = tetrapla_here("take", "vae", "--backend", "jax", "--out", path)
    assert done.returncode == 0, done.stderr
    assert path.read_text() == take.take(get("vae"), "jax")
    path.write_text("mine")
    refused = tetrapla_here("take", "vae", "--backend", "jax", "--out", path)
    assert refused.returncode == 2
    assert "the file exists; choose another --out, or add --overwrite" in refused.stderr
    assert path.read_text() == "mine"
    assert tetrapla_here("take", "vae", "--backend", "jax", "--out", path, "--overwrite").returncode == 0
    assert path.read_text() != "mine"
    plain = tetrapla("take", "vae", "--backend", "jax", cwd=tmp_path)
    assert plain.returncode == 0
    assert (tmp_path / "vae_jax.py").exists()


@pytest.mark.parametrize(
    "words, message",
    [
        (("nothing", "--backend", "jax"), "unknown model 'nothing'"),
        (("vae", "--backend", "caffe"), "caffe"),
        (("aae_as_published", "--backend", "pytorch"), "aae_as_published is a variant; choose one of: autoencoder"),
        (("vae_gan", "--backend", "jax", "--notebook"), "vae_gan takes pictures that a notebook cannot download"),
    ],
)
def test_what_is_refused(words, message, tmp_path):
    done = tetrapla_here("take", *words, "--out", tmp_path / "x")
    assert done.returncode == 2
    assert message in re.sub(r"\s+", " ", done.stderr)
    assert not (tmp_path / "x").exists()


def test_without_the_formatter(monkeypatch):
    monkeypatch.setattr(take.shutil, "which", lambda name: None)
    monkeypatch.setattr(take.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        UsageError, match=r"take needs the formatter ruff; install it with: pip install 'tetrapla\[take\]'"
    ):
        take.take(get("vae"), "pytorch")


NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebooks_of_the_articles_are_what_is_taken(path):
    """Cell by cell, and each was run: its curves and its pictures are in it."""
    model, _, backend = path.stem.rpartition("_")
    found = json.loads(path.read_text(encoding="utf-8"))
    made = json.loads(notebook_of(get(model), backend, take.take(get(model), backend)))
    assert [(one["cell_type"], one["source"]) for one in found["cells"]] == [
        (one["cell_type"], one["source"]) for one in made["cells"]
    ]
    outputs = [one for cell in found["cells"] for one in cell.get("outputs", [])]
    assert sum("image/png" in one.get("data", {}) for one in outputs) == 2
    assert not [one for one in outputs if one["output_type"] == "error"]
    assert f"({path.name})" in (path.parent / "README.md").read_text(encoding="utf-8")
