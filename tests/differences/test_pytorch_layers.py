"""docs/differences.md, what PyTorch's layers show by themselves: defaults, places of numbers, orders of gates and axes."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F


def row(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_gelu_is_computed_by_erf_by_default():
    assert F.gelu(row(2)).item() == pytest.approx(1 + math.erf(math.sqrt(2)), rel=1e-14)
    tanh = 1 + math.tanh(math.sqrt(2 / math.pi) * (2 + 0.044715 * 8))
    assert F.gelu(row(2), approximate="tanh").item() == pytest.approx(tanh, rel=1e-14)


def test_hard_sigmoid_has_a_slope_of_a_sixth():
    assert F.hardsigmoid(row(1)).item() == pytest.approx(1 / 6 + 0.5, rel=1e-15)
    assert F.hardswish(row(2)).item() == pytest.approx(2 * (2 / 6 + 0.5), rel=1e-15)


def test_softmax_without_an_axis_is_over_the_samples_of_three_axes():
    """And of other numbers of axes over the second; it warns."""
    for shape, axis in (((2, 3, 4), 0), ((2, 3), 1), ((2, 3, 4, 5), 1)):
        x = torch.zeros(shape, dtype=torch.float64)
        with pytest.warns(UserWarning, match="Implicit dimension"):
            assert F.softmax(x).flatten()[0].item() == pytest.approx(1 / shape[axis])


def test_softplus_gives_up_at_20_divided_by_beta():
    assert F.softplus(row(20.1)).item() == 20.1
    assert F.softplus(row(20.1), threshold=40).item() == pytest.approx(20.1 + math.log1p(math.exp(-20.1)), rel=1e-15)
    assert F.softplus(row(10.1), beta=2).item() == 10.1


def test_celu_divides_by_alpha_inside():
    """α 2: both end at -2, and have different slopes at 0."""
    assert F.elu(row(-1), 2.0).item() == pytest.approx(2 * math.expm1(-1))
    assert F.celu(row(-1), 2.0).item() == pytest.approx(2 * math.expm1(-0.5))
    assert F.elu(row(-1)).item() == F.celu(row(-1)).item() == pytest.approx(math.expm1(-1))


def test_what_others_call_swish_is_silu():
    assert F.silu(row(1)).item() == pytest.approx(1 / (1 + math.exp(-1)))
    assert not hasattr(F, "swish")


def test_epsilons_of_norms():
    """Deviations of 0.01 from the mean, whose variance is 1e-4: ε of 1e-5 leaves 0.95 of them. RMSNorm's is what float64 can
    tell from 1."""
    x = row(0, 0.02).reshape(1, 2)
    expected = pytest.approx([-0.01 / math.sqrt(1e-4 + 1e-5), 0.01 / math.sqrt(1e-4 + 1e-5)], rel=1e-12)
    assert nn.LayerNorm(2, dtype=torch.float64)(x)[0].tolist() == expected
    assert nn.GroupNorm(1, 2, dtype=torch.float64)(x)[0].tolist() == expected
    root = nn.RMSNorm(2, dtype=torch.float64)(torch.full((1, 2), 1e-8, dtype=torch.float64))
    assert root[0, 0].item() == pytest.approx(1e-8 / math.sqrt(1e-16 + 2.0**-52), rel=1e-12)
    assert nn.InstanceNorm1d(2).weight is None  # the only one that learns nothing unless it is told to


def recurrent(make, biases, h=1.0, c=None):
    """The new state, of one unit without input: weights of the state are 1, `biases` {name: [a gate each]}."""
    layer = make(1, 1, dtype=torch.float64)
    with torch.no_grad():
        for name, value in layer.named_parameters():
            value.copy_(torch.ones_like(value) if name == "weight_hh_l0" else torch.zeros_like(value))
        for name, value in biases.items():
            getattr(layer, name).copy_(row(*value))
        state = row(h).reshape(1, 1, 1)
        return layer(torch.zeros(1, 1, 1, dtype=torch.float64), state if c is None else (state, row(c).reshape(1, 1, 1)))[0].item()  # fmt: skip


def test_lstm_has_gates_ifgo_and_two_biases():
    """Shut, open, nothing new, open: a state of 1 stays, and its tanh comes out."""
    for name in ("bias_ih_l0", "bias_hh_l0"):
        assert recurrent(nn.LSTM, {name: [-100, 100, 0, 100]}, h=0.0, c=1.0) == pytest.approx(math.tanh(1))
    layer = nn.LSTM(1, 100)
    assert 0.05 < layer.bias_ih_l0.abs().max() <= 0.1  # U(±1/√H); nothing is added to the forget gate
    assert not layer.batch_first


def test_gru_has_gates_rzn_and_resets_the_product():
    """z open keeps the state. A bias beside the state's weight is reset with it: tanh(r · (h + b))."""
    assert recurrent(nn.GRU, {"bias_ih_l0": [0, 100, 0]}, h=0.5) == 0.5
    gate = 1 / (1 + math.exp(-1))
    new = math.tanh(gate * 2)
    assert recurrent(nn.GRU, {"bias_hh_l0": [0, 0, 1]}) == pytest.approx((1 - gate) * new + gate)


def test_average_pooling_counts_its_padding():
    x = torch.ones(1, 1, 2, 2)
    assert F.avg_pool2d(x, 2, padding=1).flatten().tolist() == [0.25] * 4
    assert F.avg_pool2d(x, 2, padding=1, count_include_pad=False).flatten().tolist() == [1] * 4


def test_no_window_begins_after_the_input():
    x = torch.arange(3.0).reshape(1, 1, 3)
    assert F.max_pool1d(x, 1, stride=3, ceil_mode=True).flatten().tolist() == [0]


def resized(values, size, **settings):
    return F.interpolate(row(*values).reshape(1, 1, 1, -1), size=(1, size), **settings).flatten().tolist()


def test_resizing_takes_half_pixels_and_no_corners():
    ramp = (0, 1, 2, 3)
    assert resized(ramp, 8, mode="bilinear") == pytest.approx([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    assert resized(ramp, 8, mode="bilinear", align_corners=True) == pytest.approx([k * 3 / 7 for k in range(8)])
    assert resized(ramp, 2, mode="nearest") == [0, 2]
    assert resized(ramp, 2, mode="nearest-exact") == [1, 3]
    assert resized(ramp, 2, mode="bilinear") == [0.5, 2.5]  # with nothing averaged first


def test_the_cubic_kernel_has_a_slope_of_three_quarters():
    """Its value at a distance of 0.25: (a + 2) d³ - (a + 3) d² + 1 with a = -0.75. Beyond the edge its pixel is held: it has
    all but what is at 1.25, a (d³ - 5 d² + 8 d - 4)."""
    found = resized((0, 0, 0, 0, 1, 0, 0, 0), 16, mode="bicubic")[8]
    assert found == pytest.approx(1.25 * 0.25**3 - 2.25 * 0.25**2 + 1)
    edge = resized((1, 0, 0, 0, 0, 0, 0, 0), 16, mode="bicubic")[0]
    assert edge == pytest.approx(1 + 0.75 * (1.25**3 - 5 * 1.25**2 + 8 * 1.25 - 4))


def test_the_padding_row_of_an_embedding_gets_no_gradient():
    """It starts at 0, and if it holds something else, that comes out."""
    layer = nn.Embedding(3, 2, padding_idx=1)
    assert layer.weight[1].tolist() == [0, 0]
    with torch.no_grad():
        layer.weight.fill_(1.0)
    y = layer(torch.tensor([0, 1]))
    assert y.tolist() == [[1, 1], [1, 1]]
    y.sum().backward()
    assert layer.weight.grad.tolist() == [[1, 1], [0, 0], [0, 0]]


def attended(mask=None, **settings):
    """Two heads of two numbers, projections of 1: a query of 2, 0 in each, keys 1, 0 and 0, 0, whose values are 1 and 0."""
    layer = nn.MultiheadAttention(4, 2, bias=False, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        layer.in_proj_weight.copy_(torch.eye(4).repeat(3, 1))
        layer.out_proj.weight.copy_(torch.eye(4))
    query, keys, values = row(2, 0, 2, 0), torch.stack([row(1, 0, 1, 0), row(0, 0, 0, 0)]), torch.stack([row(1, 1, 1, 1), row(0, 0, 0, 0)])  # fmt: skip
    return layer(query[None, None], keys[None], values[None], attn_mask=mask, need_weights=False)[0][0, 0].tolist()


def test_attention_is_scaled_by_the_size_of_a_head_and_masks_what_is_true():
    """The products are 2 and 0. A mask that is true for the second key leaves the first."""
    assert attended() == pytest.approx([1 / (1 + math.exp(-2 / math.sqrt(2)))] * 4)
    assert attended(torch.tensor([[False, True]])) == [1] * 4
    assert tuple(nn.MultiheadAttention(4, 2).in_proj_weight.shape) == (12, 4)
    assert not nn.MultiheadAttention(4, 2).batch_first


def test_the_function_of_attention_masks_what_is_false_and_always_drops():
    """The opposite of the layer's mask; and there is no mode."""
    query, keys, values = (torch.ones(1, n, 1) for n in (1, 2, 2))
    values[0, 1] = 0
    mask = torch.tensor([[False, True]])
    assert F.scaled_dot_product_attention(query, keys, values, mask).item() == 0
    draws = {F.scaled_dot_product_attention(query, keys, values, dropout_p=0.5).item() for _ in range(40)}
    assert draws == {0, 1}  # a weight of a half, scaled by 2, or dropped


def test_padding_modes():
    x = row(0, 1, 2).reshape(1, 1, 3)
    found = {mode: F.pad(x, (1, 1), mode).flatten().tolist() for mode in ("reflect", "replicate", "circular")}
    assert found == {"reflect": [1, 0, 1, 2, 1], "replicate": [0, 0, 1, 2, 2], "circular": [2, 0, 1, 2, 0]}


def test_pad_reads_its_numbers_from_the_last_axis():
    assert tuple(F.pad(torch.zeros(1, 1, 2, 2), (1, 0)).shape) == (1, 1, 2, 3)
    assert tuple(F.pad(torch.zeros(1, 1, 2, 2), (0, 0, 0, 0, 1, 0, 0, 0)).shape) == (1, 2, 2, 2)
