"""docs/differences.md, what Paddle's layers show by themselves: defaults, places of numbers, orders of gates and axes."""

import math

import numpy as np
import pytest

from backends.paddle import process  # noqa: F401  # first: it turns static mode on

import paddle  # isort: skip
from paddle import nn  # isort: skip
from paddle.nn import functional as F  # isort: skip

from tests.differences.test_paddle_updates import dynamic


@pytest.fixture(autouse=True)
def in_dynamic_mode():
    with dynamic():
        yield


def row(*values):
    return paddle.to_tensor(values, dtype="float64")


def test_gelu_is_computed_by_erf_by_default():
    assert F.gelu(row(2)).item() == pytest.approx(1 + math.erf(math.sqrt(2)), rel=1e-14)


def test_hard_sigmoid_has_a_slope_of_nearly_a_sixth():
    """0.1666667 in float32; the hard swish a sixth."""
    slope = float(np.float32(0.1666667))
    assert F.hardsigmoid(row(1)).item() == pytest.approx(slope + 0.5, rel=1e-15)
    assert slope - 1 / 6 == pytest.approx(3.5e-8, rel=0.01)
    assert F.hardswish(row(2)).item() == pytest.approx(2 * (2 / 6 + 0.5), rel=1e-14)


def test_softmax_is_over_the_last_axis():
    assert F.softmax(paddle.zeros([2, 3, 4])).numpy() == pytest.approx(1 / 4)


def test_elu_keeps_its_number_in_float32():
    assert F.elu(row(-1), 0.1).item() == pytest.approx(float(np.float32(0.1)) * math.expm1(-1), rel=1e-14)
    assert F.softplus(row(10.1), beta=2).item() == 10.1


def test_leaky_relu_keeps_its_slope_in_float64():
    """As a float32 number it would be 1.5e-8 off, as it is before 3.3.0."""
    assert F.leaky_relu(row(-3), 0.2).item() == pytest.approx(-3 * 0.2, rel=1e-15)


def test_the_gradient_of_an_average_passes_through_float32():
    """One over the size of the window: 1/9 of float32 is 7e-9 off, 1/4 is exact. Forward all is of float64."""
    for size, share in ((3, float(np.float32(1 / 9))), (2, 1 / 4)):
        x = paddle.ones([1, 1, size, size], "float64")
        x.stop_gradient = False
        found = F.avg_pool2d(x, size)
        found.sum().backward()
        assert found.item() == 1.0
        assert x.grad.numpy() == pytest.approx(share, rel=1e-15)
    assert abs(float(np.float32(1 / 9)) * 9 - 1) == pytest.approx(7.5e-9, rel=0.05)


def test_swish_is_silu():
    for swish in (F.swish, F.silu, nn.Swish(), nn.Silu()):
        assert swish(row(1)).item() == pytest.approx(1 / (1 + math.exp(-1)), rel=1e-14)


def test_epsilons_of_norms():
    """Deviations of 0.01 from the mean, whose variance is 1e-4: ε of 1e-5 leaves 0.95 of them."""
    x = row(0, 0.02).reshape([1, 2])
    expected = pytest.approx([-0.01 / math.sqrt(1e-4 + 1e-5), 0.01 / math.sqrt(1e-4 + 1e-5)], rel=1e-6)
    assert nn.LayerNorm(2)(x)[0].tolist() == expected
    assert nn.GroupNorm(1, 2)(x.reshape([1, 2, 1, 1])).flatten().tolist() == expected
    assert nn.InstanceNorm2D(2).scale is not None
    assert not hasattr(nn, "RMSNorm")


def recurrent(make, biases, *states):
    """The new state, of one unit without input: weights of the state are 1, `biases` {name: [a gate each]}."""
    cell = make(1, 1)
    for name, value in cell.named_parameters():
        value.set_value(paddle.ones_like(value) if name == "weight_hh" else paddle.zeros_like(value))
    for name, value in biases.items():
        getattr(cell, name).set_value(row(*value))
    states = [row(one).reshape([1, 1]) for one in states]
    return cell(paddle.zeros([1, 1]), states[0] if len(states) == 1 else tuple(states))[0].item()


def test_lstm_has_gates_ifgo_and_two_biases():
    """Shut, open, nothing new, open: a state of 1 stays, and its tanh comes out."""
    for name in ("bias_ih", "bias_hh"):
        assert recurrent(nn.LSTMCell, {name: [-100, 100, 0, 100]}, 0, 1) == pytest.approx(math.tanh(1))
    bias = np.abs(nn.LSTMCell(1, 100).bias_ih.numpy()).max()
    assert 0.05 < bias <= 0.1  # U(±1/√H); nothing is added to the forget gate


def test_gru_has_gates_rzn_and_resets_the_product():
    """z open keeps the state. A bias beside the state's weight is reset with it: tanh(r · (h + b))."""
    assert recurrent(nn.GRUCell, {"bias_ih": [0, 100, 0]}, 0.5) == 0.5
    gate = 1 / (1 + math.exp(-1))
    new = math.tanh(gate * 2)
    assert recurrent(nn.GRUCell, {"bias_hh": [0, 0, 1]}, 1) == pytest.approx((1 - gate) * new + gate)


def test_average_pooling_does_not_count_its_padding():
    x = paddle.ones([1, 1, 2, 2])
    assert F.avg_pool2d(x, 2, padding=1).flatten().tolist() == [1] * 4
    assert F.avg_pool2d(x, 2, padding=1, exclusive=False).flatten().tolist() == [0.25] * 4


def test_a_window_may_begin_after_the_input():
    """A second one, at the fourth of three pixels."""
    y = F.max_pool2d(paddle.ones([1, 1, 1, 3]), 1, stride=[1, 3], ceil_mode=True)
    assert tuple(y.shape) == (1, 1, 1, 2)
    assert y[0, 0, 0, 0].item() == 1


def resized(values, size, **settings):
    return F.interpolate(row(*values).reshape([1, 1, 1, -1]), size=[1, size], **settings).flatten().tolist()


def test_resizing_takes_half_pixels_and_no_corners():
    """align_mode 1 takes neither: places lie at multiples of a half."""
    ramp = (0, 1, 2, 3)
    assert resized(ramp, 8, mode="bilinear") == pytest.approx([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3], abs=1e-6)
    assert resized(ramp, 8, mode="bilinear", align_corners=True) == pytest.approx([k * 3 / 7 for k in range(8)], abs=1e-6)  # fmt: skip
    assert resized(ramp, 8, mode="bilinear", align_mode=1) == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 3, 3], abs=1e-6)
    assert resized(ramp, 2, mode="nearest") == [0, 2]
    assert resized(ramp, 2, mode="bilinear") == pytest.approx([0.5, 2.5], abs=1e-6)


def test_the_cubic_kernel_has_a_slope_of_three_quarters():
    """Its value at a distance of 0.25: (a + 2) d³ - (a + 3) d² + 1 with a = -0.75. Beyond the edge its pixel is held: it has
    all but what is at 1.25, a (d³ - 5 d² + 8 d - 4)."""
    found = resized((0, 0, 0, 0, 1, 0, 0, 0), 16, mode="bicubic")[8]
    assert found == pytest.approx(1.25 * 0.25**3 - 2.25 * 0.25**2 + 1, abs=1e-6)
    edge = resized((1, 0, 0, 0, 0, 0, 0, 0), 16, mode="bicubic")[0]
    assert edge == pytest.approx(1 + 0.75 * (1.25**3 - 5 * 1.25**2 + 8 * 1.25 - 4), abs=1e-6)


def test_the_padding_row_of_an_embedding_comes_out_as_zeros():
    """Whatever it holds; and it gets no gradient."""
    layer = nn.Embedding(3, 2, padding_idx=1)
    layer.weight.set_value(paddle.ones([3, 2]))
    y = layer(paddle.to_tensor([0, 1]))
    assert y.tolist() == [[1, 1], [0, 0]]
    y.sum().backward()
    assert layer.weight.grad.tolist() == [[1, 1], [0, 0], [0, 0]]


def test_attention_is_scaled_by_the_size_of_a_head_and_keeps_what_is_true():
    """Two heads of two numbers, projections of 1: a query of 2, 0 in each, keys 1, 0 and 0, 0, whose values are 1 and 0."""
    layer = nn.MultiHeadAttention(4, 2, bias_attr=False)
    for value in layer.parameters():
        value.set_value(paddle.eye(4))
    query, keys = row(2, 0, 2, 0).reshape([1, 1, 4]), paddle.stack([row(1, 0, 1, 0), row(0, 0, 0, 0)]).unsqueeze(0)
    values = paddle.stack([row(1, 1, 1, 1), row(0, 0, 0, 0)]).unsqueeze(0)
    expected = 1 / (1 + math.exp(-2 / math.sqrt(2)))
    assert layer(query, keys, values).flatten().tolist() == pytest.approx([expected] * 4, rel=1e-6)
    mask = paddle.to_tensor([[[[False, True]]]])
    assert layer(query, keys, values, mask).flatten().tolist() == pytest.approx([0] * 4, abs=1e-7)


def test_same_ignores_the_dilation_of_a_convolution():
    x = paddle.to_tensor(np.arange(5.0).reshape(1, 1, 1, 5))
    kernel = paddle.ones([1, 1, 1, 3])
    found = F.conv2d(x, kernel, padding="SAME", dilation=[1, 2]).flatten().tolist()
    assert found == [1, 3, 6, 9, 7]  # sums of neighbours; two apart they would be 2, 4, 6, 4, 6


def test_padding_modes():
    x = row(0, 1, 2).reshape([1, 1, 3])
    found = {mode: F.pad(x, [1, 1], mode, data_format="NCL").flatten().tolist() for mode in ("reflect", "replicate", "circular")}  # fmt: skip
    assert found == {"reflect": [1, 0, 1, 2, 1], "replicate": [0, 0, 1, 2, 2], "circular": [2, 0, 1, 2, 0]}


def test_pad_reads_its_numbers_from_the_first_axis_where_they_are_for_all():
    """And else from the last."""
    x = paddle.zeros([1, 1, 2, 2])
    assert tuple(F.pad(x, [1, 0, 0, 0], data_format="NCHW").shape) == (1, 1, 2, 3)
    assert tuple(F.pad(x, [0, 0, 0, 0, 1, 0, 0, 0]).shape) == (1, 1, 3, 2)
