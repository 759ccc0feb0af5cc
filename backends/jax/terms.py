"""Terms that several model files share: of losses, and dropout."""

import optax
from jax import numpy as jnp

from backends.jax import process  # noqa: F401


def bce(logits, target):
    """Mean binary cross-entropy of (B, 1) logits against one target, 0 or 1."""
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, jnp.full_like(logits, target)))


def complement(p):
    """1 - p of probabilities, to which an epsilon may be added: of (1 - p) + 1e-8 alone a compiled step makes (1 + 1e-8) - p, where
    float32 has lost the epsilon."""
    return jnp.maximum(1 - p, 0)


def dropout(h, mask, keep):
    """Of h (B, features) what the mask, 1 where a unit is kept, leaves, with the probability `keep`; all of it without a mask."""
    return h if mask is None else h * mask / keep
