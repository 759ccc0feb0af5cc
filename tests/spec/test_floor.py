"""The counts behind the benchmarks' floor, against sums worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.floor import Work, multiply_adds, work
from common.reference.networks import apply
from common.specs import SPECS, get
from common.specs.layers import Conv, ConvTranspose, Dense

VAE = (784 * 400, 400 * 20, 400 * 20, 20 * 400, 400 * 784)
G = (100 * 256, 256 * 512, 512 * 1024, 1024 * 784)
D = (784 * 1024, 1024 * 512, 512 * 256, 256 * 1)


def test_vae():
    """Forward, gradients of all weights, gradients of all inputs but the images."""
    found = work(get("vae"), 128)
    assert found.operations == 2 * 128 * (3 * sum(VAE) - VAE[0])
    assert found.numbers == 8 * get("vae").parameter_count()
    images, first = [(128, 784, 400), (784, 128, 400)], [(128, 400, 20), (400, 128, 20), (128, 20, 400)]
    assert list(found.products[:5]) == images + first
    assert len(found.products) == 3 * 5 - 1


def test_gan():
    """D's update: G forward; D forward and weights twice, inputs but the first. G's: all of G but the gradient of z; D
    forward and inputs."""
    first = sum(G) + 2 * (3 * sum(D) - D[0])
    second = 3 * sum(G) - G[0] + 2 * sum(D)
    found = work(get("gan"), 64)
    assert (found.operations, found.numbers) == (2 * 64 * (first + second), 8 * get("gan").parameter_count())


def test_vae_gan():
    """One pass forward: E once, G twice, features F and D thrice. Back: L_llike through F to x̃, and G to z, but not through D;
    the decoder's through D and F from x̃ and xₚ; D's own to all three pictures, and no farther."""
    e0, f0 = 25 * 3 * 64 * 32**2, 25 * 3 * 32 * 64**2
    e = e0 + 25 * 64 * 128 * 16**2 + 25 * 128 * 256 * 8**2 + 256 * 64 * 2048 + 2 * 2048 * 128
    g0 = 128 * 256 * 64
    g = g0 + 25 * 256 * 256 * 8**2 + 25 * 256 * 128 * 16**2 + 25 * 128 * 32 * 32**2 + 25 * 32 * 3 * 64**2
    f = f0 + 25 * 32 * 128 * 32**2 + 25 * 128 * 256 * 16**2 + 25 * 256 * 256 * 8**2
    d = 256 * 64 * 512 + 512
    forward = e + 2 * g + 3 * f + 3 * d
    encoder = (2 * e - e0) + g + f
    decoder = 2 * (2 * g - g0) + 2 * f + 2 * d
    discriminator = 3 * (2 * f - f0) + 3 * 2 * d
    assert work(get("vae_gan"), 64).operations == 2 * 64 * (forward + encoder + decoder + discriminator)


def test_statistics_are_shared_forward_once_and_back_wherever_a_gradient_passes():
    """Sums of x and x² of each feature, and their gradients: forward as above. Back: L_llike through x̃'s F and G to E; the
    decoder's through D, F and G of x̃ and xₚ; D's own through D and F of all three, and no farther."""
    e, g, f, d = (4, 8, 16, 64), (1024, 16, 8, 2), (8, 16), (16, 16)  # of the twin
    passes = e + 2 * g + 3 * f + 3 * d
    back = (e + g + f) + 2 * (d + f + g) + 3 * (d + f)
    assert sorted(work(get("vae_gan").training.twin, 64).shared) == sorted(2 * features for features in passes + back)


def test_a_batch_norm_whose_input_has_no_gradient_shares_forward_alone():
    """DCGAN's generator while D is moved. Neither the batch nor a model without batch norms shares any more."""
    first = [2 * features for features in (128, 64, 128, 128)]  # G's two, D's of both pictures; back through D's
    second = [2 * features for features in (128, 64, 128)]
    assert sorted(work(get("gan_conv"), 64).shared) == sorted(first + first[2:] + 2 * second)
    assert work(get("gan_conv"), 64).shared == work(get("gan_conv"), 1).shared
    assert work(get("gan"), 64).shared == ()
    spec = get("vae_gan").training.twin
    alone = replace(spec, updates=(replace(spec.update("discriminator"), networks=("discriminator",)),))
    assert len(work(alone, 64).shared) == 24 + 3  # of D's two batch norms the first has no moved parameter before it


def test_a_network_that_two_updates_move_is_moved_twice():
    spec = get("aae")
    encoder = sum(math.prod(shape) for shape in spec.parameter_shapes(("encoder",)).values())
    assert work(spec, 10).numbers == 8 * (spec.parameter_count() + encoder)


@pytest.mark.parametrize(
    "layer", [Conv("c", 2, 3, 3, 2, 1), Conv("c", 2, 3, 4, 1, 0), ConvTranspose("c", 2, 3, 4, 2, 1)]
)
def test_convolutions(layer):
    """Of ones, without padding's zeros or cropped pixels, the sum of the output counts the multiply-adds."""
    margin = layer.padding
    layer = type(layer)(layer.name, 2, 3, layer.kernel, layer.stride, 0)
    shape = (2, 3) if isinstance(layer, ConvTranspose) else (3, 2)
    x = np.ones((1, 2, 8 + 2 * margin, 8 + 2 * margin))
    y = apply(layer, {"c.weight": np.ones((*shape, layer.kernel, layer.kernel)), "c.bias": np.zeros(3)}, "c", x)
    assert multiply_adds(layer, x.shape, y.shape) == y.sum()


def test_dense():
    assert multiply_adds(Dense("d", 5, 7), (3, 5), (3, 7)) == 3 * 5 * 7


@pytest.mark.parametrize("name", [name for name in SPECS if not get(name).convolutional])
def test_the_products_are_all_of_the_arithmetic(name):
    found = work(get(name), 24)
    assert sum(2 * math.prod(sides) for sides in found.products) == found.operations


@pytest.mark.parametrize("name", SPECS)
def test_every_model_grows_with_its_batch(name):
    one, two = work(get(name), 16), work(get(name), 32)
    assert two.operations == 2 * one.operations > 0
    assert two.numbers == one.numbers


def test_the_larger_is_the_floor():
    assert Work(10**9, 1, ()).seconds(1e9, 1e9) == 1.0
    assert Work(1, 10**9, ()).seconds(1e9, 1e9) == 4.0
