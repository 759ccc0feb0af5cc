"""Native noise: the random draws of a step, made on the device by JAX's own generator."""

import zlib
from collections import OrderedDict
from functools import partial

import jax
from jax import numpy as jnp

from backends.jax import process  # noqa: F401
from common.specs.draws import Bernoulli, Normal, OneHot, Uniform


def key(seed: int, device: jax.Device) -> jax.Array:
    """Of the generator Threefry, which is JAX's default, whatever $JAX_DEFAULT_PRNG_IMPL says."""
    return jax.device_put(jax.random.key(seed, impl="threefry2x32"), device)


def draws(declared, key, number, batch: int, dtype) -> dict[str, jax.Array]:
    """What a specification declares, for step `number`; each draw has a key of its own, made of number and name."""
    found = OrderedDict()
    for noise in declared:
        own = jax.random.fold_in(jax.random.fold_in(key, number), zlib.crc32(noise.name.encode()))
        found[noise.name] = _draw(noise.distribution, own, (batch, *noise.shape), dtype)
    return found


@partial(jax.jit, static_argnums=(0, 3, 4))
def many(declared, key, numbers, batch: int, dtype) -> dict[str, jax.Array]:
    """The draws of the steps `numbers` (K,), stacked: (K, B, *shape)."""
    return jax.vmap(lambda number: draws(declared, key, number, batch, dtype))(numbers)


def _draw(distribution, key, shape, dtype):
    match distribution:
        case Normal(mean, std):
            return jax.random.normal(key, shape, dtype) * std + mean
        case Uniform(low, high):
            return jax.random.uniform(key, shape, dtype, low, high)
        case Bernoulli(keep):
            # A Python number would be one of float64 here, and what it is compared with drawn as that.
            return jax.random.bernoulli(key, jnp.asarray(keep, dtype), shape).astype(dtype)
        case OneHot():
            return jax.nn.one_hot(jax.random.randint(key, shape[:-1], 0, shape[-1]), shape[-1], dtype=dtype)
