"""A GPU the columns are ready for, as far as that can be told without one: docs/gpu.md says how far that is."""

import importlib

import pytest

import backends
from common import specs
from common.data.fitted import fitted
from tests.planting import planted

# A small one, one with batch norm, one with labels and several updates, one with RMSProp.
MODELS = ("vae", "infogan", "aae_few_labels", "vae_gan_mnist")


def pytest_generate_tests(metafunc):
    if "model" in metafunc.fixturenames:
        metafunc.parametrize("model", specs.SPECS if metafunc.config.getoption("thorough") else MODELS)


def look(backend, model, train, *mistake):
    """What is found in a model, or in its narrow twin: the file and the operators are the same."""
    spec = specs.get(model).training.twin or specs.get(model)
    _, module = backends.load(backend, spec)
    ready = importlib.import_module(f"tests.backend.ready.{backend}")
    return ready.findings(spec, planted(module, *mistake) if mistake else module, fitted(spec, train))


def test_ready(backend, model, train):
    assert look(backend, model, train) == []


# {backend: [(text in the file of `vae`, what is put in its place, what must then be found)]}.
MISTAKES = {
    "pytorch": [
        ("z = mean +", "z = mean + torch.zeros(mean.shape) +", "not on the expected device meta"),
        ("z = mean +", "z = mean + torch.tensor(0.0) +", r"float32 \(\) on cpu"),
        ("-0.5 * torch.sum", "-0.5 * float(logvar.detach().sum()) * torch.sum", "item"),
        ("-0.5 * torch.sum(1", "-0.5 * torch.sum(1.0 + 0 * logvar.double()", "torch.float64"),
        ("torch.sigmoid(model.decoder", "torch.sigmoid(model.decoder.cpu()", "copy out of meta"),
    ],
    "jax": [
        ("z = mean +", "import numpy as np\n    z = np.float64(1) * mean +", "float64: .*multiply"),
        ("bce = ", "import numpy as np\n    scale = np.float64(1)\n    bce = scale * ", "float64"),
        ("z = mean +", "import jax\n    jax.debug.callback(print, mean)\n    z = mean +", "cannot be lowered"),
    ],
    "tensorflow": [
        (
            "z = mean +",
            "z = tf.reshape(tf.py_function(lambda one: one, [mean], mean.dtype), mean.shape) +",
            "EagerPyFunc: no kernel",
        ),
        (
            "z = mean +",
            "z = tf.reshape(tf.numpy_function(lambda one: one, [mean], mean.dtype), mean.shape) +",
            "PyFunc: no kernel",
        ),
        ("z = mean +", "tf.print(mean)\n    z = mean +", "StringFormat: no kernel"),
        ("z = mean +", "with tf.device('/CPU:0'):\n        mean = 1 * mean\n    z = mean +", "pinned to .*CPU"),
        ("z = mean +", "z = tf.cast(tf.cast(mean, tf.float64), mean.dtype) +", r"Cast: float64 \(8, 20\)"),
    ],
    "paddle": [
        ("z = mean +", "z = mean.astype('float64').astype(mean.dtype) +", "float64"),
        ("z = mean +", "z = mean + paddle.full([20], 0.0, mean.dtype).cpu() +", "host"),
    ],
}


def test_planted_mistakes_are_found(backend, train):
    for old, new, expected in MISTAKES[backend]:
        found = look(backend, "vae", train, old, new)
        with pytest.raises(AssertionError, match=expected):
            assert not found, "\n".join(found)
