"""Recurrent layers, attention and resizing of the catalogue, by definition and by hand; what was planted in them is named."""

import numpy as np
import pytest
from scipy import special

from common.tools.diff.conventions import explain, layers
from common.tools.diff.conventions.base import Unknown

RNG = np.random.default_rng(0)
N, T, I, H = 3, 5, 4, 6  # noqa: E741
X = RNG.normal(size=(N, T, I))
TIGHT = 1e-12


def gates(count):
    shapes = {
        "weight_ih": (count * H, I),
        "weight_hh": (count * H, H),
        "bias_ih": (count * H,),
        "bias_hh": (count * H,),
    }
    return {role: RNG.normal(size=shape) for role, shape in shapes.items()}


LSTM, GRU = gates(4), gates(3)
E = 8
QUERY, OTHER = RNG.normal(size=(N, T, E)), RNG.normal(size=(N, 7, E))
HEADS = {f"{part}_{what}": RNG.normal(size=(E, E) if what == "weight" else E) for part in ("query", "key", "value", "out") for what in ("weight", "bias")}  # fmt: skip


def test_lstm_by_its_definition():
    h, c, found = np.zeros(H), np.zeros(H), []
    for x in X[1]:
        a = LSTM["weight_ih"] @ x + LSTM["bias_ih"] + LSTM["weight_hh"] @ h + LSTM["bias_hh"]
        i, f, g, o = (
            special.expit(a[:H]),
            special.expit(a[H : 2 * H]),
            np.tanh(a[2 * H : 3 * H]),
            special.expit(a[3 * H :]),
        )
        c = f * c + i * g
        h = o * np.tanh(c)
        found.append(h)
    sequence, last, cell = layers.run("lstm", {"layers": 1, "both_ways": False}, LSTM, [X], True)
    np.testing.assert_allclose(sequence[1], found, atol=1e-14)
    np.testing.assert_allclose([last[0, 1], cell[0, 1]], [h, c], atol=1e-14)


@pytest.mark.parametrize("after", [True, False])
def test_gru_by_its_definition(after):
    h = np.zeros(H)
    for x in X[2]:
        a, b = GRU["weight_ih"] @ x + GRU["bias_ih"], GRU["weight_hh"] @ h + GRU["bias_hh"]
        r, z = special.expit(a[:H] + b[:H]), special.expit(a[H : 2 * H] + b[H : 2 * H])
        inner = r * b[2 * H :] if after else GRU["weight_hh"][2 * H :] @ (r * h) + GRU["bias_hh"][2 * H :]
        h = (1 - z) * np.tanh(a[2 * H :] + inner) + z * h
    np.testing.assert_allclose(layers.run("gru", {"reset_after": after}, GRU, [X], True)[1][0, 2], h, atol=1e-14)


def test_a_step_is_one_of_the_sequence_and_time_may_come_first():
    sequence, *last = layers.run("lstm", {}, LSTM, [X], True)
    state = [np.zeros((N, H))] * 2
    for t in range(2):
        whole = layers.run("lstm", {}, LSTM, [X[:, : t + 1]], True)
        step = layers.run("lstm", {"cell": True}, LSTM, [state[1], state[0], X[:, t]], True)[0]  # Flax's carry: c, h
        np.testing.assert_allclose(step, sequence[:, t], atol=1e-14)
        state = [whole[1][0], whole[2][0]]
    rest = layers.run("lstm", {}, LSTM, [X[:, 2:], state[0][None], state[1][None]], True)
    np.testing.assert_allclose(rest[0], sequence[:, 2:], atol=1e-14)
    turned = layers.run("lstm", {"batch": 1}, LSTM, [X.swapaxes(0, 1)], True)[0]
    np.testing.assert_allclose(turned.swapaxes(0, 1), sequence, atol=1e-14)
    back = layers.run("gru", {"backwards": True, "keep_order": True}, GRU, [X], True)[0]
    np.testing.assert_allclose(back[:, ::-1], layers.run("gru", {}, GRU, [X[:, ::-1]], True)[0], atol=1e-14)


def test_a_gru_with_one_bias_for_the_state_has_zeros_for_the_others():
    short = {role: value for role, value in GRU.items() if role != "bias_hh"} | {"bias_hn": GRU["bias_hh"][2 * H :]}
    long = GRU | {"bias_hh": np.concatenate([np.zeros(2 * H), short["bias_hn"]])}
    np.testing.assert_array_equal(layers.run("gru", {}, short, [X], True)[0], layers.run("gru", {}, long, [X], True)[0])


def test_attention_by_its_definition():
    def project(x, part):
        return x @ HEADS[f"{part}_weight"].T + HEADS[f"{part}_bias"]

    q, k, v = project(QUERY, "query"), project(OTHER, "key"), project(OTHER, "value")
    found = np.zeros((N, T, E))
    for n in range(N):
        for head in (slice(0, 4), slice(4, 8)):
            found[n, :, head] = special.softmax(q[n, :, head] @ k[n, :, head].T / 2, 1) @ v[n, :, head]
    np.testing.assert_allclose(
        layers.run("attention", {"heads": 2}, HEADS, [QUERY, OTHER, OTHER], True)[0], project(found, "out"), atol=1e-13
    )


def test_a_causal_place_does_not_see_what_comes_after_it():
    other = QUERY.copy()
    other[:, 3:] = 0
    one, two = (layers.run("attention", {"heads": 2, "causal": True}, HEADS, [x], True)[0] for x in (QUERY, other))
    np.testing.assert_array_equal(one[:, :3], two[:, :3])
    mask = np.triu(np.ones((T, T)), 1)
    masked = layers.run("attention", {"heads": 2}, HEADS, [QUERY, QUERY, QUERY, mask], True)[0]
    kept = layers.run("attention", {"heads": 2, "mask": "kept"}, HEADS, [QUERY, QUERY, QUERY, 1 - mask], True)[0]
    np.testing.assert_allclose(masked, one, atol=1e-14)
    np.testing.assert_allclose(kept, one, atol=1e-14)


def resize(values, **settings):
    return layers.run("resize", settings, {}, [np.array([[values]], float)], True)[0][0, 0].tolist()


def test_resizing_by_hand():
    assert resize([0, 4], scale=2) == [0, 0, 4, 4]
    assert resize([0, 4], size=4, mode="linear") == [0, 1, 3, 4]
    assert resize([0, 3], size=4, mode="linear", corners=True) == pytest.approx([0, 1, 2, 3])
    assert resize([0, 4], size=4, mode="linear", half_pixel=False) == [0, 2, 4, 4]
    assert resize([0, 1, 2, 3, 4], size=3) == [0, 1, 3] and resize([0, 1, 2, 3, 4], size=3, mode="nearest-exact") == [
        0,
        2,
        4,
    ]
    assert resize([0, 1, 2, 3], size=2, mode="linear") == [0.5, 2.5] and resize([0, 0, 0, 8], size=2, mode="linear", antialias=True) == pytest.approx([0, 8 * 3 / 7])  # fmt: skip
    assert resize([1, 2, 3, 4], size=2, mode="area") == [1.5, 3.5]
    # Keys's weights of a pixel at a distance of 1.75, 1.25, 0.75 and 0.25: a (x³ - 5x² + 8x - 4), (a + 2) x³ - (a + 3) x² + 1
    weights = [-0.03515625, -0.10546875, 0.26171875, 0.87890625]
    found = resize([0, 0, 0, 1, 0, 0, 0], size=14, mode="cubic")[3:11]
    assert found == pytest.approx([*weights, *weights[::-1]])
    assert resize([1, 1, 1], size=7, mode="cubic", edge="dropped") == pytest.approx([1] * 7)
    assert resize([0, 1, 2], scale=1.5, mode="linear", ratio="sizes") == resize([0, 1, 2], size=4, mode="linear")


IMAGE = RNG.normal(size=(2, 3, 5, 6))
RESIZED = {"size": [8, 9], "mode": "linear"}
PLANTED = [
    ("lstm", {}, {"gates": "iofg"}, LSTM, [X]),
    ("lstm", {}, {"gates": "igfo"}, LSTM, [X]),
    ("lstm", {}, {"bias_gates": "iofg"}, LSTM, [X]),
    ("lstm", {}, {"forget_bias": 1.0}, LSTM, [X]),
    ("lstm", {}, {"recurrent_activation": {"name": "hard_sigmoid", "slope": 0.2, "offset": 0.5}}, LSTM, [X]),
    ("lstm", {}, {"backwards": True}, LSTM, [X]),
    ("lstm", {"gates": "iofg"}, {"gates": "ifgo", "forget_bias": 1.0}, LSTM, [X]),
    ("gru", {"reset_after": True}, {"reset_after": False}, GRU, [X]),
    ("gru", {"reset_after": True}, {"gates": "zrn"}, GRU, [X]),
    ("gru", {"reset_after": True}, {"keeps": False}, GRU, [X]),
    ("gru", {"reset_after": False}, {"bias_gates": "zrn"}, GRU, [X]),
    *(("attention", {"heads": 2}, {"scale": s}, HEADS, [QUERY]) for s in ("width", "none")),
    ("attention", {"heads": 2}, {"heads": 4}, HEADS, [QUERY]),
    ("attention", {"heads": 2}, {"causal": True}, HEADS, [QUERY]),
    ("attention", {"heads": 2}, {"split": "heads_last"}, HEADS, [QUERY]),
    ("attention", {"heads": 2}, {"batch": 1}, HEADS, [QUERY]),
    ("attention", {"heads": 2}, {"over": -2}, HEADS, [QUERY]),
    ("attention", {"heads": 2}, {"order": "qvk"}, HEADS, [QUERY, OTHER, 2 * OTHER]),
    ("attention", {"heads": 2}, {"mask": "kept"}, HEADS, [QUERY, QUERY, QUERY, np.tril(np.ones((T, T)))]),
    ("resize", RESIZED, {"corners": True}, {}, [IMAGE]),
    ("resize", RESIZED, {"half_pixel": False}, {}, [IMAGE]),
    ("resize", RESIZED, {"mode": "cubic"}, {}, [IMAGE]),
    ("resize", RESIZED | {"mode": "cubic"}, {"cubic": -0.5}, {}, [IMAGE]),
    ("resize", RESIZED | {"mode": "cubic"}, {"cubic": -0.5, "edge": "dropped"}, {}, [IMAGE]),
    ("resize", RESIZED | {"mode": "nearest"}, {"mode": "nearest-exact"}, {}, [IMAGE]),
    ("resize", {"size": [3, 4], "mode": "linear"}, {"antialias": True}, {}, [IMAGE]),
    ("resize", {"scale": [1.5, 1.3], "mode": "linear"}, {"ratio": "sizes"}, {}, [IMAGE]),
]  # fmt: skip


@pytest.mark.parametrize("case", PLANTED, ids=lambda case: f"{case[0]}-{case[2]}")
def test_what_was_planted_is_named_and_nothing_else(case):
    kind, declared, planted, tensors, inputs = case
    true = declared | planted
    outputs = layers.run(kind, true, tensors, inputs, True)
    assert explain.explain(kind, true, tensors, inputs, outputs, True, TIGHT) == true
    assert explain.explain(kind, declared, tensors, inputs, outputs, True, TIGHT) == true
    assert set(explain.differing(kind, declared, true, tensors, inputs, True)) == set(planted)


@pytest.mark.parametrize("kind", ["lstm", "gru", "attention", "resize"])
def test_what_nothing_explains_is_left_unexplained(kind):
    _, declared, _, tensors, inputs = next(case for case in PLANTED if case[0] == kind)
    noise = [one + 1e-6 * RNG.normal(size=one.shape) for one in layers.run(kind, declared, tensors, inputs, True)]
    assert explain.explain(kind, declared, tensors, inputs, noise, True, TIGHT) is None


@pytest.mark.parametrize("returned", [[0], [1], [0, 1, 2], [1, 1, 2], [1, 2], [0, 1]], ids=str)
def test_a_recurrent_layer_may_return_a_part_of_what_it_knows(returned):
    whole = layers.run("lstm", {"forget_bias": 1.0}, LSTM, [X], True)
    outputs = [whole[k] if k == 0 else whole[k][0] for k in returned]
    assert explain.explain("lstm", {}, LSTM, [X], outputs, True, TIGHT) == {"forget_bias": 1.0}


def test_recurrent_settings_that_are_not_understood():
    for settings in ({"layers": 2}, {"both_ways": True}, {"gates": "ifgx"}, {"dropout": 0.5}):
        with pytest.raises(Unknown):
            layers.run("lstm", settings, LSTM, [X], True)
