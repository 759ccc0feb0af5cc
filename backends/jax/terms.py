"""Loss terms that several model files share."""

import optax
from jax import numpy as jnp

from backends.jax import process  # noqa: F401


def bce(logits, target):
    """Mean binary cross-entropy of (B, 1) logits against one target, 0 or 1."""
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, jnp.full_like(logits, target)))
