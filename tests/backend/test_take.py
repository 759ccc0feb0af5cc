"""What `take` writes computes what the specification says: in a process that cannot import us, in float64, from our weights, batches
and noise; and it runs as its first lines say."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from common import parity
from common.data.batches import model_inputs
from common.reference.column import Reference
from common.specs import SPECS
from common.tools import take
from tests.conftest import write_idx

STEPS, BATCH = 20, 4
# With L2; one z for both updates; labels and dropout; batch norms. All by --thorough.
MODELS = ("vae", "autoencoder", "gan_two_layer", "aae_few_labels", "infogan")
QUICK = (
    "conv_autoencoder",
    "vae_gan_mnist",
)  # where XLA does not take half a minute for each: code of its own; RMSProp
WRONG = {
    "pytorch": "lr=0.001",
    "tensorflow": ".encoder, model.decoder], 0.001",
    "paddle": "adam(0.001",
    "jax": "adam(0.001",
}


def alone(*command, cwd):
    """A process that finds nothing of ours, and is not told of our environment."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", *map(str, command)], cwd=cwd, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done


def case_of(model, train):
    spec = SPECS[model].calmed()
    return parity.Case(spec.training.twin or spec, train, batch=BATCH, steps=STEPS)


@pytest.fixture(scope="module")
def trained(backend, train, tmp_path_factory, pytestconfig):
    """{model: ({loss: (STEPS,)} of the file, those of the oracle)}, and of `vae` with another rate."""
    folder = tmp_path_factory.mktemp("taken")
    models = (*MODELS, *QUICK) if backend in ("pytorch", "paddle") else MODELS
    models = list(SPECS) if pytestconfig.getoption("--thorough") else models
    cases = {model: case_of(model, train) for model in models}
    for model, case in cases.items():
        rows = case.indices()
        steps = [model_inputs(case.spec, case.data, {name: one[k] for name, one in rows.items()}) for k in range(STEPS)]
        given = {f"inputs {name}": np.stack([one[name] for one in steps]) for name in steps[0]}
        given |= {f"noise {name}": value for name, value in case.noise().items()}
        given |= {f"parameter {name}": value for name, value in case.parameters().items()}
        np.savez(folder / f"{model}.npz", **given)
        (folder / f"{model}.py").write_text(take.take(case.spec, backend))
    text = take.take(cases["vae"].spec, backend)
    assert text.count(WRONG[backend]) == 1
    (folder / "wrong.py").write_text(text.replace(WRONG[backend], WRONG[backend] + "01"))
    shutil.copy(folder / "vae.npz", folder / "wrong.npz")
    alone(Path(__file__).with_name("taken.py"), backend, folder, cwd=folder)
    found = {}
    for model, case in cases.items():
        expected = parity.many_updates(Reference(case.spec, case.parameters()), case)
        found[model] = (dict(np.load(folder / f"{model}.losses.npz")), expected)
    return found | {"wrong": (dict(np.load(folder / "wrong.losses.npz")), found["vae"][1])}


def deviation(found, expected):
    assert found.keys() == expected.keys()
    return max(np.max(np.abs(found[name] - expected[name]) / np.abs(expected[name])) for name in expected)


def test_losses(trained):
    """Of batches of 4, whose batch norms make more of a rounding than larger ones do."""
    found = {model: deviation(*both) for model, both in trained.items() if model != "wrong"}
    normed = {model for model in found if SPECS[model].statistic_shapes()}
    assert {model: one for model, one in found.items() if one > (5e-11 if model in normed else 1e-12)} == {}


def test_another_rate_is_seen(trained):
    found, expected = trained["wrong"]
    assert (
        deviation({name: value[:1] for name, value in found.items()}, {n: v[:1] for n, v in expected.items()}) < 1e-12
    )
    assert deviation(found, expected) > 1e-6


@pytest.mark.parametrize("model", ["autoencoder", "aae_few_labels"])
def test_it_runs_as_it_says(backend, model, tmp_path):
    """From a folder of its own: reconstructions of one, samples of the other."""
    write_idx(tmp_path / "mnist", 1200)
    spec = SPECS[model]
    (tmp_path / take.file_name(spec, backend)).write_text(take.take(spec, backend))
    alone(take.file_name(spec, backend), "mnist", "--steps", 3, cwd=tmp_path)
    picture = np.asarray(Image.open(tmp_path / f"{model}.png"))
    assert picture.shape == (8 * 28, 8 * 28)
    assert picture.std() > 1
    saved = {path.name for path in tmp_path.iterdir()} - {
        "mnist",
        f"{model}.png",
        take.file_name(spec, backend),
        "__pycache__",
    }
    assert all(name.startswith(model) for name in saved)
    assert saved


EXECUTE = """
import nbformat, sys
from nbclient import NotebookClient
book = nbformat.read("book.ipynb", as_version=4)
NotebookClient(book, timeout=600, kernel_name="python3", resources={"metadata": {"path": "."}}).execute()
nbformat.write(book, "done.ipynb")
"""


def test_the_notebook(backend, tmp_path):
    """Executed, with data that is there, and few steps: curves and pictures."""
    take.take_file(SPECS["vae"], backend, tmp_path / "book.ipynb", notebook=True)
    text = (tmp_path / "book.ipynb").read_text()
    assert text.count("steps=2000") == 1
    (tmp_path / "book.ipynb").write_text(text.replace("steps=2000", "steps=3"))
    write_idx(tmp_path / "mnist", 400)
    alone("-W", "ignore", "-c", EXECUTE, cwd=tmp_path)
    book = nbformat.read(tmp_path / "done.ipynb", as_version=4)
    pictures = [o for cell in book.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(pictures) == 2
    assert json.loads(text)["metadata"]["kernelspec"]["name"] == "python3"
