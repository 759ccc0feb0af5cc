"""docs/differences.md, the entries that PyTorch shows by itself."""

import inspect
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import backends
from backends.pytorch import process
from common import parity
from common.errors import UsageError
from common.reference.adam import adam_update
from common.reference.terms import bce_with_logits
from common.specs import get
from common.specs.records import Adam
from tests.planting import failure, with_text


def test_adam_is_algorithm_1():
    adam = Adam(learning_rate=1e-2, beta1=0.9, beta2=0.999, epsilon=1e-3, l2=0.1)
    parameter = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([parameter], lr=1e-2, betas=(0.9, 0.999), eps=1e-3, weight_decay=0.1)
    expected, first, second = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    for step in range(1, 6):
        parameter.grad = torch.tensor([1e-3, -2e-3 * step], dtype=torch.float64)
        expected, first, second = adam_update(adam, expected, parameter.grad.numpy(), first, second, step)
        optimizer.step()
    assert parameter.detach().numpy() == pytest.approx(expected, rel=1e-14)


def test_adam_default_epsilon():
    assert inspect.signature(torch.optim.Adam).parameters["eps"].default == 1e-8


def test_bce_on_probabilities_is_clamped():
    """Where the sigmoid saturates, the true loss is 200; on probabilities PyTorch stops at 100."""
    logit, target = torch.tensor([200.0], dtype=torch.float64), torch.tensor([0.0], dtype=torch.float64)
    assert F.binary_cross_entropy(torch.sigmoid(logit), target).item() == 100
    assert F.binary_cross_entropy_with_logits(logit, target).item() == 200
    assert bce_with_logits(200.0, 0.0) == 200


def test_the_cpu_generator_keeps_32_bits_of_a_seed():
    draws = [torch.randn(3, generator=torch.Generator().manual_seed(seed)) for seed in (5, 5 + 2**32, 6)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_from_numpy_shares_memory():
    array = np.zeros(3)
    shared, copied = torch.from_numpy(array), torch.tensor(array)
    array += 1
    assert shared.tolist() == [1, 1, 1]
    assert copied.tolist() == [0, 0, 0]


def test_linear_keeps_out_in():
    assert tuple(torch.nn.Linear(3, 2).weight.shape) == (2, 3)


def test_linear_draws_weights_and_biases_from_fan_in():
    layer = torch.nn.Linear(784, 400)
    for tensor in (layer.weight, layer.bias):
        assert tensor.abs().max() <= 1 / math.sqrt(784)
        assert tensor.abs().max() > 0.97 / math.sqrt(784)


def test_fan_in_is_read_from_the_second_axis():
    """Also for a transposed convolution, whose second axis is the outputs: 16·3·3 here, not 8·3·3."""
    weight = torch.nn.ConvTranspose2d(8, 16, 3).weight
    assert tuple(weight.shape) == (8, 16, 3, 3)
    assert 0.97 / math.sqrt(16 * 9) < weight.abs().max() <= 1 / math.sqrt(16 * 9)


def test_an_index_out_of_range_raises():
    with pytest.raises(IndexError):
        torch.zeros(3)[torch.tensor([5])]


def test_a_gradient_that_leaks_into_the_next_update(train):
    """The erratum of the article `aae`: gradients accumulate until they are cleared, and here they are not."""
    ours = "from backends.pytorch.optimizer import adam, update\n"
    leaky = "from backends.pytorch.optimizer import adam\nupdate = lambda optimizer, loss: (loss.backward(), optimizer.step())\n"
    planted = with_text("pytorch", get("aae"), ours, leaky)
    assert failure(get("aae"), train, planted).name == "one update"


def test_leaky_relu_has_its_slope_at_zero():
    x = torch.zeros(1, requires_grad=True)
    F.leaky_relu(x, 0.25).backward()
    assert x.grad.item() == 0.25


def test_batch_norm_weighs_the_new_and_keeps_an_unbiased_variance():
    layer, x = torch.nn.BatchNorm1d(1), torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    assert (layer.momentum, layer.eps) == (0.1, 1e-5)
    y = layer(x)
    assert layer.running_mean.item() == pytest.approx(0.1 * 1.5)
    assert layer.running_var.item() == pytest.approx(0.9 + 0.1 * 5 / 3)  # the sum of squares, 5, over n - 1
    assert y.var(correction=0).item() == pytest.approx(1.25 / (1.25 + 1e-5))  # while it normalises with 5 over n


def test_infogan_at_its_true_rates_is_chaotic(train):
    """Two runs of its narrow twin whose weights differ by 1e-15 have nothing in common after 200 updates; at the rates at which
    backends are compared they stay together."""
    for rate, check in ((1.0, lambda d: d > 1e-3), (None, lambda d: d < 1e-11)):
        case = parity.Case(get("infogan").calmed(rate).training.twin, train, steps=200)
        parameters, columns = case.parameters(), []
        for scale in (0.0, 1e-15):
            moved = {n: v * (1 + scale * np.sign(np.sin(1e6 * v))) for n, v in parameters.items()}
            columns.append(backends.create("pytorch", case.spec, moved, dtype="float64"))
            columns[-1].upload(train)
            columns[-1].train_steps(case.indices(), case.noise())
        apart, _ = parity.largest_deviation(columns[0].parameters(), columns[1].parameters())
        assert check(apart), (rate, apart)


@pytest.mark.parametrize("shape", [(128, 784, 400), (784, 128, 400), (128, 400, 784), (1024, 1024, 1024)])
def test_float32_products_keep_float32(shape):
    """The engine lets oneDNN multiply on AMD processors: with 24 bits of mantissa, bfloat16's 8 would be 2e-3 off."""
    rows, inner, columns = shape
    random = np.random.default_rng(0)
    a, b = random.standard_normal((rows, inner)), random.standard_normal((inner, columns))
    a, b = a.astype(np.float32), b.astype(np.float32)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    product = (torch.from_numpy(a) @ torch.from_numpy(b)).numpy()
    assert np.linalg.norm(product - exact) < 1e-6 * np.linalg.norm(exact)
    half = torch.from_numpy(a).bfloat16().float() @ torch.from_numpy(b).bfloat16().float()
    assert np.linalg.norm(half.numpy() - exact) > 1e-3 * np.linalg.norm(exact)  # the bar tells them apart


def test_products_in_bfloat16_are_refused():
    """What the engine checks at its import: a process whose products have 8 bits of mantissa is told so."""
    process.check_products()
    with pytest.raises(UsageError, match="multiplies in less than float32 here .*import it first"):
        process.check_products(lambda a, b: a.bfloat16().float() @ b.bfloat16().float())


def test_max_pool_steps_by_its_kernel_and_pads_with_less_than_anything():
    x = torch.full((1, 1, 4, 4), -1.0)
    assert tuple(F.max_pool2d(x, 2).shape) == (1, 1, 2, 2)
    assert (F.max_pool2d(x, 2, padding=1) == -1).all()  # a padding of zeros would win
    assert F.max_pool1d(torch.arange(6.0).reshape(1, 1, 6), 3, stride=2, padding=1).flatten().tolist() == [1, 3, 5]


def test_leaky_relu_default_slope():
    assert F.leaky_relu(torch.tensor(-1.0, dtype=torch.float64)).item() == -0.01


def test_dropout_scales_what_it_keeps_and_is_on_by_default():
    x = torch.ones(1000)
    assert set(F.dropout(x, 0.75).tolist()) == {0, 4}
    assert torch.equal(F.dropout(x, 0.75, training=False), x)


def test_losses_are_averages_over_everything():
    """Of (B, 3) ones: log(1 + e), not three times that for each image."""
    logits = torch.ones(2, 3, dtype=torch.float64)
    loss = F.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits))
    assert loss.item() == pytest.approx(math.log1p(math.e))


def test_log_of_a_probability_plus_epsilon_loses_the_gradient():
    """Of a fake that D takes for real with a logit of 20, in float32: the true loss is 20 and its slope 1."""
    logit = torch.tensor(20.0, requires_grad=True)
    loss = -torch.log(1 - torch.sigmoid(logit) + 1e-8)
    loss.backward()
    assert loss.item() == pytest.approx(-math.log(1e-8), rel=1e-6)
    assert logit.grad.item() == 0


def test_an_optimiser_changes_parameters_in_place():
    parameter = torch.ones(1, requires_grad=True)
    seen = parameter.detach()
    parameter.grad = torch.ones(1)
    torch.optim.SGD([parameter], lr=0.25).step()
    assert seen.item() == 0.75


def test_output_padding_keeps_more_of_the_end():
    layer = torch.nn.ConvTranspose1d(1, 1, 5, stride=2, padding=2, output_padding=1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(1.0, 6).reshape(1, 1, 5))
    assert layer(torch.ones(1, 1, 1)).flatten().tolist() == [3, 4]
