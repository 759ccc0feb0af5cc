"""A training step as a tutorial of each framework writes it, around the same model files.

The batch comes from the host as float32 each time and every loss is read back each time. PyTorch and TensorFlow run eagerly
and draw their noise in the step; JAX's tutorials compile the step with nnx.jit; Paddle's static ones feed noise that NumPy
drew, because a Program's inputs are fed.
"""

import numpy as np


def step(backend: str, column):
    """A function of x (B, *input_shape), float32, that makes one training step of `column` and returns its losses."""
    return {"pytorch": _pytorch, "tensorflow": _tensorflow, "paddle": _paddle, "jax": _jax}[backend](column)


def _pytorch(column):
    import torch

    for optimizer in column.state.optimizers.values():
        for group in optimizer.param_groups:
            group["fused"] = False  # as torch.optim.Adam(parameters, lr) has it

    def train(x):
        noise = column._draw(len(x), column.step)
        values = column.module.train_step(column.state, torch.from_numpy(x).to(column.device), noise)
        column.step += 1
        return {name: value.item() for name, value in values.items()}

    return train


def _tensorflow(column):
    import tensorflow as tf

    def train(x):
        with tf.device(column.device):
            noise = {n.name: column._draw_one(n, (len(x), *n.shape), column.step) for n in column.spec.noise}
            values = column.module.train_step(column.state, tf.constant(x), noise)
            column.step += 1
            return {name: float(value) for name, value in values.items()}

    return train


def _paddle(column):
    random = np.random.default_rng(0)

    def train(x):
        noise = {n.name: n.distribution.draw(random, (len(x), *n.shape)).astype(np.float32) for n in column.spec.noise}
        column.step += 1
        return {name: float(value) for name, value in column.module.train_step(column.state, x, noise).items()}

    return train


def _jax(column):
    import jax
    from flax import nnx

    @nnx.jit
    def compiled(state, x, key):
        noise = column.compiled._draw(key, 0, len(x))
        return column.module.train_step(state, x, noise)

    def train(x):
        values = compiled(column.state, jax.device_put(x, column.device), jax.random.fold_in(column.key, column.step))
        column.step += 1
        return {name: float(value) for name, value in values.items()}

    return train
