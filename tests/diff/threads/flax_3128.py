"""google/flax#3128: a dense layer of Flax and one of PyTorch give numbers that differ by rounding, and by nothing else.

equal
"""


def inputs(rng):
    return {"x": rng.normal(size=(64, 768))}


def reference():
    from torch import nn

    return {"model": nn.Sequential(nn.Linear(768, 3072), nn.GELU(), nn.Linear(3072, 768), nn.LayerNorm(768, eps=1e-12))}


def port():
    from flax import linen as nn
    from jax import numpy as jnp
    from jax import random

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.gelu(nn.Dense(3072)(x), approximate=False)
            return nn.LayerNorm(epsilon=1e-12, use_fast_variance=False)(nn.Dense(768)(x))

    block = Block()
    return {"model": (block, block.init(random.key(0), jnp.zeros((1, 768))))}
