"""jax-ml/jax#11252, google/flax#3137: a transposed convolution correlates with the kernel as it is unless transpose_kernel is set,
where PyTorch's turns it by 180°.

layer: 0 · cause: turned
"""


def inputs(rng):
    return {"x": rng.normal(size=(4, 5, 7, 7))}


def reference():
    from torch import nn

    return {"model": nn.Sequential(nn.ConvTranspose2d(5, 6, 4, stride=2, padding=1), nn.Tanh())}


def port():
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs):
            # Padding of the input spread apart: 4 - 1 - 1 on both sides is PyTorch's padding=1.
            self.up = nnx.ConvTranspose(5, 6, (4, 4), strides=(2, 2), padding=((2, 2), (2, 2)), rngs=rngs)

        def __call__(self, x):
            return nnx.tanh(self.up(x))

    return {"model": Net(nnx.Rngs(0)), "layout": {"x": "NHWC", "output": "NHWC"}}
