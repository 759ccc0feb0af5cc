"""Training that changes the framework in the middle ends where it would have ended without, for all ordered pairs."""

import itertools
import shutil
import subprocess
import sys

import pytest
from matplotlib import image

from backends import BACKENDS
from common import parity
from common.checkpoint import GROUPS, load_checkpoint
from common.environment import ROOT
from common.tools.training import read_run
from tests.conftest import tetrapla
from tests.parity.switch import END, MIDDLE, MODELS, narrow

BAR = 1e-10  # relative norm, float64, the same noise


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("switch")
    _each("first", folder)
    for model, (first, second) in itertools.product(MODELS, itertools.permutations(BACKENDS, 2)):
        shutil.copytree(folder / model / first, folder / model / f"{first}-{second}")
    _each("second", folder)
    return folder


def _each(part, folder):
    for backend in BACKENDS:
        command = [sys.executable, "-m", "tests.parity.switch", backend, str(folder), part]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("model", MODELS)
def test_switching_changes_nothing(runs, model):
    spec, worst = narrow(model), {}
    whole = {b: load_checkpoint(runs / model / f"{b}-whole" / "checkpoint.safetensors", spec) for b in BACKENDS}
    middle = {b: load_checkpoint(runs / model / b / "checkpoint.safetensors", spec) for b in BACKENDS}
    for first, second in itertools.permutations(BACKENDS, 2):
        switched = load_checkpoint(runs / model / f"{first}-{second}" / "checkpoint.safetensors", spec)
        assert (middle[first].step, switched.step) == (MIDDLE, END)
        for group in GROUPS:
            deviation = parity.largest_deviation(getattr(whole[first], group), getattr(switched, group))
            worst[first, second, group] = deviation
            if group == "parameters":  # and the second half did happen
                assert parity.largest_deviation(getattr(middle[first], group), getattr(switched, group))[0] > 1e-7
    assert max(deviation for deviation, _ in worst.values()) <= BAR, worst


def test_any_backend_samples_from_any_run(runs, tmp_path):
    """The picture from one run in all four: the same pixels, but for the last of 255 greys."""
    pictures = []
    for backend in BACKENDS:
        path = tmp_path / f"{backend}.png"
        run = runs / "vae" / "tensorflow-whole"
        result = tetrapla("sample", run, "--backend", backend, "--count", 16, "--out", path)
        assert result.returncode == 0, result.stderr
        pictures.append(image.imread(path))
    assert pictures[0].std() > 0.05
    for picture in pictures[1:]:
        assert abs(picture - pictures[0]).max() <= 1.01 / 255


def test_the_folder_tells_of_both(runs):
    sessions = read_run(runs / "vae" / "pytorch-jax")["sessions"]
    assert [(s["backend"], s["from_step"], s["to_step"]) for s in sessions] == [
        ("pytorch", 0, MIDDLE),
        ("jax", MIDDLE, END),
    ]
