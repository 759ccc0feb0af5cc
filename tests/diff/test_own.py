"""Our own models through the door of `diff`, in all ordered pairs of frameworks: equal, and a planted mistake is not."""

import itertools

import pytest

from backends import BACKENDS
from common.specs import SPECS
from common.tools.diff import judge, own
from common.tools.diff.verdict import DIFFERENT, EQUAL
from tests.diff import kept

FEW = ("vae", "conv_autoencoder")  # in plain nox, in a ring; all in all pairs in `nox -s test-diff`
RING = list(zip(BACKENDS, (*BACKENDS[1:], BACKENDS[0]), strict=True))
PAIRS = [
    pytest.param(model, *pair, marks=() if model in FEW and pair in RING else pytest.mark.long)
    for model in SPECS
    for pair in itertools.permutations(BACKENDS, 2)
]


@pytest.mark.parametrize("model, reference, port", PAIRS)
def test_our_models_are_equal(processes, model, reference, port, tmp_path):
    kept.between(reference, port)
    verdict = judge.diff(own.written(model, reference, port, tmp_path), timeout=300)
    assert verdict.outcome == EQUAL, (verdict.parted, verdict.causes)
    judged = {stage.name for stage in verdict.stages if stage.verdict == EQUAL}
    assert {"matching", "forward, evaluation", "forward, training", "gradients", "trajectory"} <= judged


WRONG = """
from backends.pytorch import vae
real = vae.losses
def losses(model, x, noise):
    values = real(model, x, noise)
    return values | {"kl": -values["kl"]}
vae.losses = losses
"""


def test_a_mistake_in_ours_is_found(tmp_path):
    """The Kullback-Leibler divergence of the wrong sign in PyTorch."""
    path = own.written("vae", "pytorch", "jax", tmp_path)
    text = path.read_text()
    assert "def reference():\n" in text
    path.write_text(text.replace("def reference():\n", f"def reference():\n    exec({WRONG!r}, {{}})\n", 1))
    verdict = judge.diff(path, timeout=300)
    assert verdict.outcome == DIFFERENT
    assert (verdict.parted.name, verdict.parted.where) == ("forward, training", "the output")
