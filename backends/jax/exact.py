"""What stands in a model file in place of Flax's own, because that means something else or is not exact in float64."""

from jax import numpy as jnp

from backends.jax import process  # noqa: F401


def leaky_relu(x, slope):
    """nnx.leaky_relu has slope 1 at 0, where the specification has the leaky one: another gradient in float32 too, wherever a
    layer with zero biases looks at black. XLA makes one operation of either."""
    return jnp.where(x > 0, x, slope * x)
