"""`tetrapla diff` on pairs that are equal, and on a few planted mistakes. Sides outlive a verdict (kept.py)."""

import pytest

from common.tools.diff import judge
from common.tools.diff.verdict import DIFFERENT, EQUAL
from tests.diff import kept, planted, zoo
from tests.diff.mistakes import ADAGRAD, ADAM, ADAMW, MISTAKES, RMS, SGD, SHORT

FEW = (
    "batch norm ε", "running variance unbiased", "GELU by tanh", "padding at the end", "flattening order", "gradient stopped",
    "loss summed", "Nesterov",
)  # fmt: skip
RING = "TK KP PJ JT"
# What every one of the two can be told the same: LSTM and GRU have two biases in PyTorch and Paddle, Keras's GRU too, else one.
ALIKE = {"sequence": "KP", "memory": "KJ"}
# The pairs that every one of the two frameworks can be told the same. Keras's Adam adds ε before the correction, and its momentum
# holds the rate; PyTorch's RMSprop adds ε outside of the root, Keras's and Paddle's inside; of Adagrad Keras and Optax have it inside.
OPTIMISERS = [
    ("Adam", "TJ JP", ADAM), ("AdamW", "TJ", ADAMW), ("momentum", "TJ JP", SGD),
    ("RMSprop", "KJ", {"optimizer": RMS["optimizer"] | {"place": "root"}}), ("Adagrad", "KJ TP", ADAGRAD),
]  # fmt: skip


def judged(pair, network, both, knobs, folder):
    reference, port = (SHORT[one] for one in pair)
    kept.between(reference, port)
    return judge.diff(planted.file_of(network, reference, port, both, knobs, folder), timeout=300)


@pytest.mark.parametrize("place, network", list(enumerate(zoo.NETWORKS)))
def test_networks_that_are_equal(processes, place, network, tmp_path):
    verdict = judged(ALIKE.get(network, RING.split()[place % 4]), network, {}, {}, tmp_path)
    assert verdict.outcome == EQUAL, (verdict.parted, verdict.causes)


def test_two_biases_that_move_where_there_is_one(processes, tmp_path):
    """Equal in every stage but the last: what an LSTM adds twice is moved twice."""
    verdict = judged("TJ", "memory", {}, {}, tmp_path)
    assert [stage.name for stage in verdict.stages if stage.verdict == DIFFERENT] == ["trajectory"]
    assert [(one.where, one.settings, one.proven) for one in verdict.causes] == [("lstm", {"biases": (2, 1)}, True)]


@pytest.mark.parametrize("name, pair, both", [(n, p, b) for n, pairs, b in OPTIMISERS for p in pairs.split()])
def test_optimisers_that_are_equal(processes, name, pair, both, tmp_path):
    verdict = judged(pair, "mlp", both, {}, tmp_path)
    assert verdict.outcome == EQUAL, (verdict.parted, verdict.causes)


@pytest.mark.parametrize("name", FEW)
def test_a_planted_mistake_is_found_and_named(processes, name):
    one = planted.Planted(**next(one for one in MISTAKES if one["name"] == name))
    kept.between(*one.pairs[0])
    row = planted.run(one, *one.pairs[0])
    assert (row["stage_is"], row["layer_is"], row["cause_is"]) == (True, True, "right"), row
