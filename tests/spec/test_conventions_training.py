"""Losses and optimisers of the catalogue against closed forms, the oracle's Adam and differences; what was planted is named."""

import math

import numpy as np
import pytest
from scipy import special

from common.tools.diff.conventions import updates
from common.tools.diff.conventions.base import Unknown
from common.tools.diff.conventions.losses import explain_loss

RNG = np.random.default_rng(0)
TIGHT = 1e-11

# ------------------------------------------------------------------------------------------ optimisers

P = {"a/weight": RNG.normal(size=(3, 4)), "a/bias": RNG.normal(size=3)}
G = [{name: RNG.normal(size=value.shape) * 10.0**-k for name, value in P.items()} for k in range(3)]
RATES = [1.0, 0.5, 2.0]
ADAM = {"name": "adam", "rate": 1e-2, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "place": "outside", "decay": 0.0}
SGD = {
    "name": "sgd",
    "rate": 1e-2,
    "momentum": 0.9,
    "dampening": 0.0,
    "nesterov": False,
    "rate_inside": False,
    "decay": 0.0,
}
RMS = {"name": "rmsprop", "rate": 1e-2, "keep": 0.9, "epsilon": 1e-8, "place": "outside", "start": 0.0, "momentum": 0.0, "centered": False, "decay": 0.0}  # fmt: skip
ADAGRAD = {"name": "adagrad", "rate": 1e-2, "epsilon": 1e-10, "place": "outside", "start": 0.0, "decay": 0.0}


def one(settings, gradients, rates=None, start=1.0):
    """A single number's course."""
    found = updates.run(
        settings, {"x": np.array([start])}, [{"x": np.array([g])} for g in gradients], rates or [1.0] * len(gradients)
    )
    return [float(value["x"][0]) for value in found]


def test_adams_first_steps_by_hand():
    """With one and the same gradient the corrected moments are g and g²."""
    rate, g, e = 0.1, 0.5, 0.25
    step = rate * g / (g + e)
    assert one(ADAM | {"rate": rate, "epsilon": e}, [g, g]) == pytest.approx([1 - step, 1 - 2 * step], rel=1e-14)
    step = rate * g / math.sqrt(g * g + e)
    assert one(ADAM | {"rate": rate, "epsilon": e, "place": "root"}, [g])[0] == pytest.approx(1 - step, rel=1e-14)
    root = math.sqrt(1e-3)
    step = rate * g / ((g * root + e) / root)
    assert one(ADAM | {"rate": rate, "epsilon": e, "place": "hat"}, [g])[0] == pytest.approx(1 - step, rel=1e-14)
    step = rate * 0.1 * g / (root * g + e)
    assert one(ADAM | {"rate": rate, "epsilon": e, "corrected": False}, [g])[0] == pytest.approx(1 - step, rel=1e-13)


def test_amsgrad_keeps_the_largest():
    """After a large gradient the second moment falls, its maximum does not."""
    plain, kept = (one(ADAM | {"amsgrad": a, "beta1": 0.0, "beta2": 0.5}, [1.0, 0.1, 0.1]) for a in (False, True))
    corrected = one(ADAM | {"amsgrad": "corrected", "beta1": 0.0, "beta2": 0.5}, [1.0, 0.1, 0.1])
    assert plain[0] == kept[0] == corrected[0]
    # v = 1/2, .255, .1325, so that the largest is 1/2, corrected by 1 - .5³; where it is corrected first it is 1
    assert kept[1] - kept[2] == pytest.approx(1e-2 * 0.1 / math.sqrt(0.5 / 0.875), rel=1e-6)
    assert corrected[1] - corrected[2] == pytest.approx(1e-2 * 0.1, rel=1e-6)
    assert plain[1] - plain[2] == pytest.approx(1e-2 * 0.1 / math.sqrt(0.1325 / 0.875), rel=1e-6)


def test_momentum_by_hand():
    """Gradients of 1: velocities 1, 1.9, 2.71. A rate that halves after the first step: inside, the old part keeps the old rate."""
    rates = [1.0, 0.5, 0.5]
    assert one(SGD, [1.0] * 3) == pytest.approx([0.99, 0.971, 0.9439])
    assert one(SGD, [1.0] * 3, rates) == pytest.approx([0.99, 0.99 - 0.0095, 0.99 - 0.0095 - 0.01355])
    assert one(SGD | {"rate_inside": True}, [1.0] * 2, rates[:2]) == pytest.approx([0.99, 0.99 - 0.009 - 0.005])
    assert one(SGD | {"nesterov": True}, [1.0])[0] == pytest.approx(1 - 0.019)
    assert one(SGD | {"dampening": 0.5}, [1.0, 1.0]) == pytest.approx([0.99, 0.99 - 0.014])
    assert one(SGD | {"dampening": 0.5, "first_whole": False}, [1.0])[0] == pytest.approx(0.995)


def test_rmsprop_and_adagrad_by_hand():
    assert one(RMS | {"epsilon": 0.5}, [2.0])[0] == pytest.approx(1 - 0.02 / (math.sqrt(0.4) + 0.5))
    assert one(RMS | {"epsilon": 0.5, "place": "root", "start": 1.0}, [2.0])[0] == pytest.approx(
        1 - 0.02 / math.sqrt(0.9 + 0.4 + 0.5)
    )
    assert one(RMS | {"epsilon": 0.0, "centered": True}, [2.0])[0] == pytest.approx(1 - 0.02 / math.sqrt(0.4 - 0.04))
    assert one(RMS | {"epsilon": 0.0, "corrected": True}, [2.0])[0] == pytest.approx(1 - 0.01)
    assert one(ADAGRAD | {"epsilon": 0.0}, [3.0, 4.0]) == pytest.approx([0.99, 0.99 - 0.04 / 5])
    assert one(ADAGRAD | {"epsilon": 0.5, "place": "root", "start": 0.1}, [3.0])[0] == pytest.approx(
        1 - 0.03 / math.sqrt(9.6)
    )
    assert one(ADAGRAD | {"epsilon": 0.0, "rate_decay": 1.0}, [3.0, 4.0])[1] == pytest.approx(0.99 - 0.04 / 5 / 2)


def test_decay_by_hand():
    plain = SGD | {"momentum": 0.0, "decay": 0.5, "rate": 0.1}
    assert one(plain, [1.0], [0.5], 2.0) == pytest.approx([2 - 0.05 * 2])
    assert one(plain | {"decoupled": True}, [1.0], [0.5], 2.0) == pytest.approx([2 - 0.05 - 0.05])
    assert one(plain | {"decoupled": True, "decay_rate": "base"}, [1.0], [0.5], 2.0) == pytest.approx([2 - 0.05 - 0.1])
    assert one(plain | {"decoupled": True, "decay_rate": "none"}, [1.0], [0.5], 2.0) == pytest.approx([2 - 0.05 - 1])
    adam = ADAM | {"decay": 0.5, "epsilon": 0.0}
    assert one(adam, [1.0])[0] == pytest.approx(0.99)  # Adam hides what is in the gradient
    assert one(adam | {"decoupled": True}, [1.0])[0] == pytest.approx(0.985)


def test_clipping_by_hand():
    gradients = {"a": np.array([3.0, 4.0]), "b": np.array([12.0])}

    def clip(kind, value, **more):
        found = updates.clipped({"kind": kind, "value": value} | more, gradients)
        return [*found["a"].tolist(), *found["b"].tolist()]

    assert clip("norm", 5) == [3, 4, 5] and clip("norm", 10) == [3, 4, 10] and clip("value", 3.5) == [3, 3.5, 3.5]
    assert clip("global_norm", 6.5) == [1.5, 2, 6] and clip("global_norm", 13) == [3, 4, 12]
    assert clip("global_norm", 7, guard=1.0) == [1.5, 2, 6]
    both = SGD | {"momentum": 0.0, "rate": 1.0, "decay": 3.0, "clip": {"kind": "value", "value": 1.0}}
    assert one(both, [1.0]) == [-3] and one(both | {"decay_first": True}, [1.0]) == [0]


def test_a_parameter_without_a_gradient_stays_and_unknown_words_are_refused():
    found = updates.run(ADAM, P, [{"a/bias": G[0]["a/bias"]}], [1.0])[0]
    assert np.array_equal(found["a/weight"], P["a/weight"]) and not np.array_equal(found["a/bias"], P["a/bias"])
    for settings, words in (
        ({"name": "lion"}, "lion"),
        (ADAM | {"lookahead": 5}, "lookahead"),
        (ADAM | {"place": "below"}, "below"),
    ):
        with pytest.raises(Unknown, match=words):
            updates.run(settings, P, G, RATES)


COUPLED = {"decay": 0.1}
CLIP = {"kind": "norm", "value": 1.0}
PLANTED = [
    *((ADAM, {"epsilon": e}) for e in (1e-7, 1e-6, 1e-3)),
    *((ADAM | {"epsilon": 1e-3}, {"place": p}) for p in ("hat", "root")),
    (ADAM, {"corrected": False}),
    (ADAM, {"amsgrad": True}),
    (ADAM, {"amsgrad": "corrected"}),
    (ADAM, {"beta2": 0.99}),
    (ADAM, {"float32": ["rate", "beta1", "beta2"]}),
    (ADAM, {"float32": ["rate", "powers"]}),
    (ADAM, {"epsilon": 1e-7, "place": "hat"}),
    (ADAM | COUPLED, {"decoupled": True}),
    (ADAM | COUPLED | {"decoupled": True}, {"decay_rate": "none"}),
    (ADAM | COUPLED | {"decoupled": True}, {"decay_rate": "base"}),
    (ADAM | COUPLED | {"decoupled": True}, {"decay": 0.0}),
    (SGD, {"rate_inside": True}),
    (SGD, {"nesterov": True}),
    (SGD, {"dampening": 0.9}),
    (SGD | {"momentum": 0.0}, {"momentum": 0.9}),
    (SGD | COUPLED, {"decoupled": True}),
    (SGD | {"momentum": 0.0}, {"clip": CLIP}),
    (SGD | {"clip": CLIP}, {"clip": CLIP | {"kind": "global_norm"}}),
    (SGD | {"clip": CLIP}, {"clip": CLIP | {"kind": "value"}}),
    (SGD | {"clip": CLIP}, {"clip": CLIP | {"guard": 1e-6}}),
    (SGD | {"clip": CLIP} | COUPLED, {"decay_first": True}),
    (RMS | {"epsilon": 1e-3}, {"place": "root"}),
    (RMS, {"start": 1.0}),
    (RMS, {"keep": 0.99}),
    (RMS, {"centered": True}),
    (RMS, {"corrected": True}),
    (RMS, {"epsilon": 1e-7, "place": "root"}),
    (RMS | {"momentum": 0.9}, {"rate_inside": True}),
    (ADAGRAD, {"start": 0.1}),
    (ADAGRAD | {"epsilon": 1e-3}, {"place": "root"}),
    (ADAGRAD, {"epsilon": 1e-7}),
]


@pytest.mark.parametrize(("declared", "planted"), PLANTED, ids=[f"{a['name']}-{b}" for a, b in PLANTED])
def test_what_was_planted_in_an_optimiser_is_named(declared, planted):
    true = declared | planted
    after = updates.run(true, P, G, RATES)
    assert updates.explain_update(true, P, G, RATES, after, TIGHT) == true
    assert updates.explain_update(declared, P, G, RATES, after, TIGHT) == true
    assert set(updates.differing(declared, true, P, G, RATES)) == set(planted)
    assert all(updates.anchor(true, name) for name in planted)


@pytest.mark.parametrize("settings", [ADAM, SGD, RMS, ADAGRAD], ids=lambda s: s["name"])
def test_an_optimiser_that_nothing_explains_is_left_unexplained(settings):
    after = [
        {name: value + 1e-7 * RNG.normal(size=value.shape) for name, value in a.items()}
        for a in updates.run(settings, P, G, RATES)
    ]
    assert updates.explain_update(settings, P, G, RATES, after, TIGHT) is None


def test_equal_courses_are_not_told_apart():
    """Without a rate that changes, it does not matter where the rate stands."""
    assert updates.differing(SGD, SGD | {"rate_inside": True}, P, G, [1.0] * 3) == []
    assert updates.differing(SGD, SGD | {"title": "keras.optimizers.SGD"}, P, G, RATES) == []


# ----------------------------------------------------------------------------------------------- losses

N, K = 6, 5
LOGITS, LABELS = RNG.normal(size=(N, K)), RNG.integers(0, K, N)
HOT = np.eye(K)[LABELS]
PROBABILITIES = RNG.uniform(0.05, 0.95, (N, K))
SHARES = special.softmax(RNG.normal(size=(N, K)), 1)
TARGETS = RNG.normal(size=(N, K))
SIGMOID, LSM = special.expit, lambda x: special.log_softmax(x, -1)


def smooth(a, spread="even"):
    return HOT * (1 - a) + (a / K if spread == "even" else (1 - HOT) * a / (K - 1))


def huber(r, d):
    return np.where(abs(r) <= d, r * r / 2, d * (abs(r) - d / 2))


def clipped(p, e=1e-7):
    return np.clip(p, e, 1 - e)


def bce(p, y):
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


BINARY = (TARGETS > 0).astype(float)
EXTREME = np.where(BINARY > 0, PROBABILITIES, 1e-9)
# (what is to be found, loss of the output, output, target)
LOSSES = [
    ({"name": "squared", "reduction": "mean", "factor": 1.0}, lambda x: ((x - TARGETS) ** 2).mean(), LOGITS, TARGETS),
    ({"name": "squared", "reduction": "sum", "factor": 1.0}, lambda x: ((x - TARGETS) ** 2).sum(), LOGITS, TARGETS),
    ({"name": "squared", "reduction": "sum", "factor": 0.5}, lambda x: ((x - TARGETS) ** 2).sum() / 2, LOGITS, TARGETS),
    ({"name": "squared", "reduction": "mean", "factor": 0.5}, lambda x: ((x - TARGETS) ** 2).mean() / 2, LOGITS, TARGETS),
    ({"name": "squared", "reduction": "batch"}, lambda x: ((x - TARGETS) ** 2).sum(1).mean(), LOGITS, TARGETS),
    ({"name": "squared", "reduction": "sum", "factor": 0.3}, lambda x: 0.3 * ((x - TARGETS) ** 2).sum(), LOGITS, TARGETS),
    ({"name": "squared", "broadcast": True}, lambda x: ((x - TARGETS[:, 0]) ** 2).mean(), LOGITS[:, :1], TARGETS[:, 0]),
    ({"name": "squared", "reduction": "mean"}, lambda x: ((x[:, 0] - TARGETS[:, 0]) ** 2).mean(), LOGITS[:, :1], TARGETS[:, 0]),
    ({"name": "absolute", "reduction": "mean"}, lambda x: abs(x - TARGETS).mean(), LOGITS, TARGETS),
    *(({"name": "huber", "delta": d}, lambda x, d=d: huber(x - TARGETS, d).mean(), LOGITS, TARGETS) for d in (1.0, 0.5, 2.0)),
    ({"name": "huber", "delta": 0.5, "factor": 2.0, "reduction": "mean"}, lambda x: huber(x - TARGETS, 0.5).mean() / 0.5, LOGITS, TARGETS),
    ({"name": "log_cosh"}, lambda x: np.log(np.cosh(x - TARGETS)).mean(), LOGITS, TARGETS),
    ({"name": "bce", "takes": "logits", "smoothing": 0.0}, lambda x: bce(SIGMOID(x), BINARY).mean(), LOGITS, BINARY),
    ({"name": "bce", "takes": "logits", "smoothing": 0.1}, lambda x: bce(SIGMOID(x), 0.9 * BINARY + 0.05).mean(), LOGITS, BINARY),
    ({"name": "bce", "takes": "logits", "reduction": "batch"}, lambda x: bce(SIGMOID(x), BINARY).sum(1).mean(), LOGITS, BINARY),
    ({"name": "bce", "takes": "probabilities", "guard": "none"}, lambda x: bce(x, BINARY).mean(), PROBABILITIES, BINARY),
    ({"name": "bce", "takes": "probabilities", "guard": ["clip", 1e-7]}, lambda x: bce(clipped(x), 1 - BINARY).mean(), EXTREME, 1 - BINARY),
    ({"name": "bce", "guard": ["add", 1e-5]}, lambda x: -(BINARY * np.log(x + 1e-5) + (1 - BINARY) * np.log(1 - x + 1e-5)).mean(), PROBABILITIES, BINARY),
    ({"name": "cross_entropy", "takes": "logits", "labels": "integers", "reduction": "mean"}, lambda x: -(HOT * LSM(x)).sum(1).mean(), LOGITS, LABELS),
    ({"name": "cross_entropy", "takes": "logits", "labels": "shares", "reduction": "mean"}, lambda x: -(HOT * LSM(x)).sum(1).mean(), LOGITS, HOT),
    ({"name": "cross_entropy", "takes": "logits", "reduction": "sum"}, lambda x: -(HOT * LSM(x)).sum(), LOGITS, LABELS),
    *(
        ({"name": "cross_entropy", "smoothing": a, "spread": s}, lambda x, a=a, s=s: -(smooth(a, s) * LSM(x)).sum(1).mean(), LOGITS, LABELS)
        for a in (0.1, 0.2)
        for s in ("even", "others")
        if (a, s) != (0.2, "others")  # of five classes, which is 0.25 evenly
    ),
    ({"name": "cross_entropy", "takes": "log_probabilities"}, lambda x: -(HOT * x).sum(1).mean(), LSM(LOGITS), LABELS),
    ({"name": "cross_entropy", "takes": "probabilities", "normalised": False}, lambda x: -(HOT * np.log(x)).sum(1).mean(), SHARES, LABELS),
    ({"name": "cross_entropy", "takes": "probabilities", "normalised": True}, lambda x: -(HOT * np.log(x / x.sum(1, keepdims=True))).sum(1).mean(), SHARES, LABELS),
    ({"name": "cross_entropy", "ignored": -100}, lambda x: -(HOT * LSM(x))[1:].sum(1).mean(), LOGITS, np.where(np.arange(N) == 0, -100, LABELS)),
    *(
        ({"name": "kl", "takes": "log_probabilities", "reduction": r}, lambda x, r=r: (SHARES * (np.log(SHARES) - x)).sum() / {"mean": N * K, "batch": N, "sum": 1}[r], LSM(LOGITS), SHARES)
        for r in ("mean", "batch", "sum")
    ),
    ({"name": "kl", "against": "log_probabilities"}, lambda x: (SHARES * (np.log(SHARES) - x)).sum(1).mean(), LSM(LOGITS), np.log(SHARES)),
    ({"name": "kl", "takes": "probabilities"}, lambda x: (SHARES * np.log(SHARES / x)).sum(1).mean(), special.softmax(LOGITS, 1), SHARES),
    ({"name": "hinge"}, lambda x: np.maximum(1 - x * (2 * BINARY - 1), 0).mean(), LOGITS, 2 * BINARY - 1),
]  # fmt: skip


def slopes(function, x):
    """By the complex step where the function is smooth, else by differences: not the catalogue's own derivatives."""
    found = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        h = 1e-6 * max(abs(x[place]), 1e-9)
        step = np.zeros_like(x)
        step[place] = h
        found[place] = (
            8 * (function(x + step) - function(x - step)) - (function(x + 2 * step) - function(x - 2 * step))
        ) / (12 * h)
    return found


@pytest.mark.parametrize("case", LOSSES, ids=lambda case: "-".join(f"{value}" for value in case[0].values()))
def test_losses_are_named(case):
    wanted, function, x, target = case
    found = explain_loss({"": x}, {"y": target}, function(x), {"": slopes(function, x)}, 1e-6)
    for name, value in wanted.items():
        assert found[name] == (pytest.approx(value, rel=1e-6) if isinstance(value, float) else value)
    assert found["output"] == "" and found["target"] == "y"


def test_a_loss_whose_value_or_gradient_does_not_fit_is_not_named():
    x, y = LOGITS, TARGETS
    value, slope = float(((x - y) ** 2).mean()), 2 * (x - y) / x.size
    assert explain_loss({"": x}, {"z": RNG.normal(size=x.shape), "y": y}, value, {"": slope}, TIGHT)["target"] == "y"
    assert explain_loss({"": x}, {"y": y}, value * (1 + 1e-6), {"": slope}, TIGHT) is None
    assert explain_loss({"": x}, {"y": y}, value, {"": slope + 1e-7 * RNG.normal(size=x.shape)}, TIGHT) is None
    assert explain_loss({"": x}, {"y": y}, value, {"": slope * 0}, TIGHT) is None
