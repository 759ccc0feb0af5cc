"""Trains taken files by our weights, batches and noise, in a process that cannot import us: `python taken.py BACKEND FOLDER`.

Of each FOLDER/NAME.py and NAME.npz, in float64; leaves the losses of every step in NAME.losses.npz.
"""

import importlib.util
import operator
import sys
from pathlib import Path

import numpy as np

sys.modules["common"] = sys.modules["backends"] = None  # importing either is an error

AXES = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}  # of ours in Keras and Flax
NAMES = {"kernel": "weight", "scale": "weight", "gamma": "weight", "beta": "bias", "bias": "bias"}


class PyTorch:
    def __init__(self):
        import torch

        self.dtype, self.tensor = torch.float64, torch.from_numpy

    def initialize(self, model, parameters):
        model.load_state_dict({name: self.tensor(value) for name, value in parameters.items()}, strict=False)


class Jax:
    def __init__(self):
        import jax
        from flax import nnx

        jax.config.update("jax_enable_x64", True)
        self.nnx, self.dtype, self.tensor = nnx, jax.numpy.float64, jax.numpy.asarray

    def initialize(self, model, parameters):
        for path, variable in self.nnx.to_flat_state(self.nnx.state(model, self.nnx.Param)):
            value = parameters[".".join((*path[:-1], NAMES[path[-1]]))]
            variable.set_value(self.tensor(value.transpose(AXES[value.ndim])))


class TensorFlow:
    def __init__(self):
        import tensorflow as tf

        self.dtype, self.tensor = "float64", tf.constant

    def initialize(self, model, parameters):
        for name, value in parameters.items():
            layer = operator.attrgetter(name.rpartition(".")[0])(model)
            kept = {NAMES[one.name]: one for one in layer.trainable_variables}
            kept[name.rpartition(".")[2]].assign(value.transpose(AXES[value.ndim]))


class Paddle:
    def __init__(self):
        self.dtype, self.tensor = "float64", np.asarray

    def initialize(self, found, parameters):
        """`found`: {name of a parameter: Paddle's tensor in the Scope}."""
        import paddle

        for name, value in parameters.items():
            found[name].set(np.ascontiguousarray(value.T if value.ndim == 2 else value), paddle.CPUPlace())


def main(backend, folder):
    way = {"pytorch": PyTorch, "jax": Jax, "tensorflow": TensorFlow, "paddle": Paddle}[backend]()
    for path in sorted(Path(folder).glob("*.npz")):
        given = {}
        for key, value in np.load(path).items():
            kind, _, name = key.partition(" ")
            given.setdefault(kind, {})[name] = value
        found = importlib.util.spec_from_file_location(path.stem, path.with_suffix(".py"))
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        count = len(next(iter(given["inputs"].values())))
        module.DTYPE, module.BATCH = way.dtype, len(next(iter(given["inputs"].values()))[0])
        steps = [{name: value[k] for name, value in given["inputs"].items()} for k in range(count)]
        module.batches = lambda *data, steps=steps: iter(steps)
        noise = given.get("noise", {})
        _, history = module.train(
            *[None] * (module.train.__code__.co_argcount - 3),
            steps=count,
            initialize=lambda model, parameters=given["parameter"]: way.initialize(model, parameters),
            draw_noise=lambda step, noise=noise: {name: way.tensor(value[step]) for name, value in noise.items()},
        )
        np.savez(path.with_suffix(".losses.npz"), **{name: [row[name] for row in history] for name in history[0]})


if __name__ == "__main__":
    main(*sys.argv[1:])
