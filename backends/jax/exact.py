"""What stands in a model file in place of Flax's own, because that means something else, is not exact in float64, or is made
slow by XLA where no user would leave it so."""

import itertools
from functools import partial

import jax
from flax import nnx
from jax import lax
from jax import numpy as jnp

from backends.jax import process  # noqa: F401


def leaky_relu(x, slope):
    """nnx.leaky_relu has slope 1 at 0, where the specification has the leaky one: another gradient in float32 too, wherever a
    layer with zero biases looks at black. XLA makes one operation of either."""
    return jnp.where(x > 0, x, slope * x)


class ConvTranspose(nnx.ConvTranspose):
    """nnx.ConvTranspose with the same arguments and results, faster in training on a CPU: see `conv_transpose`. `strides` is one
    number, `padding` one number or (before, after) for each side, and `transpose_kernel` is set."""

    def __call__(self, x):
        """(B, H, W, in) -> (B, H', W', out)."""
        bias = None if self.bias is None else self.bias[...]
        x, kernel, bias = self.promote_dtype((x, self.kernel[...], bias), dtype=self.dtype)
        padding = [(self.padding,) * 2] * 2 if isinstance(self.padding, int) else self.padding
        y = conv_transpose(x, kernel, (self.strides,) * 2, padding)
        return y if bias is None else y + bias


def conv_transpose(x, kernel, strides, padding):
    """lax.conv_transpose with a transposed kernel (height, width, out, in), its gradient in the kernel taken as that of the
    convolution of which it is the transpose.

    It is the same sum. JAX writes it as a convolution with a window larger than its input; XLA exchanges the two, which
    turns the window around, and for that its fast convolutions on a CPU do not stand in: 30 times slower. So it is with the
    result where the images are smaller than the window, which is taken as a product of matrices then.
    """
    sizes = kernel.shape[:2]
    cut = [(size - 1 - low, size - 1 - high) for size, (low, high) in zip(sizes, padding, strict=True)]

    def conv(y, kernel):
        return lax.conv_general_dilated(y, kernel, strides, cut, dimension_numbers=("NHWC", "HWIO", "NHWC"))

    @jax.custom_vjp
    def transposed(x, kernel):
        if x.shape[1] < sizes[0] or x.shape[2] < sizes[1]:
            return overlapped(x, kernel, strides, cut)
        return lax.conv_transpose(x, kernel, strides, padding, transpose_kernel=True)

    def forward(x, kernel):
        return transposed(x, kernel), (x, kernel)

    def backward(kept, gradient):
        x, kernel = kept
        of_x, pull = jax.vjp(partial(conv, gradient), kernel)
        return of_x, *pull(x)

    transposed.defvjp(forward, backward)
    return transposed(x, kernel)


def overlapped(x, kernel, strides, cut):
    """The same: the product of every place of x with the window, one on top of the other, `cut` (before, after) off each side."""
    sizes, windows = kernel.shape[:2], jnp.einsum("bhwi,klci->bhwklc", x, kernel)
    total = 0
    for k, m in itertools.product(*map(range, sizes)):
        edges = [(at, size - 1 - at, stride - 1) for at, size, stride in zip((k, m), sizes, strides, strict=True)]
        total += lax.pad(windows[:, :, :, k, m], jnp.zeros((), x.dtype), ((0, 0, 0), *edges, (0, 0, 0)))
    (top, bottom), (left, right) = cut
    return total[:, top : total.shape[1] - bottom, left : total.shape[2] - right]
