"""`tetrapla diff` on pairs that are equal, on a few planted mistakes, and on ten real threads (threads/)."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from common.tools.diff import judge, page
from common.tools.diff.verdict import DIFFERENT, EQUAL
from tests.diff import kept, planted, zoo
from tests.diff.mistakes import ADAGRAD, ADAM, ADAMW, MISTAKES, RMS, SGD, SHORT

THREADS = sorted((Path(__file__).parent / "threads").glob("*.py"))
PAIRS = sorted((Path(__file__).parent / "pairs").glob("*.py"))
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


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    with kept.keeping(tmp_path_factory.mktemp("sides") / "log"):
        yield


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


@pytest.mark.parametrize("file", THREADS, ids=[file.stem for file in THREADS])
def test_a_real_thread(file):
    """Without the processes that are kept: as a user has it."""
    said = re.match(r'"""(.*?)"""', file.read_text(), re.DOTALL)[1].strip().splitlines()[-1]
    verdict = judge.diff(file, timeout=300)
    if said.startswith("equal"):
        assert verdict.outcome == EQUAL, (verdict.parted, verdict.causes)
        if "initial values" in said:
            wanted = {f"{layer}/weight" for layer in ("dense", "dense_1", "dense_2", "dense_3")}
            wanted |= {f"{layer}/bias" for layer in ("dense", "dense_1", "dense_2")}  # the last has four
            assert {one.key for one in verdict.initial} == wanted
        return
    layer, cause = re.match(r"layer: (\S+) · cause: (.+)", said).groups()
    assert verdict.outcome == DIFFERENT
    proven = [one for one in verdict.causes if one.proven]
    assert [(one.where, list(one.settings)) for one in proven] == [(layer, cause.split())], verdict.causes


def test_repro_shows_the_difference_without_us(tmp_path):
    """In a process that does not know this repository; both layers are of numbers of order one."""
    page.write(judge.diff(THREADS[[file.stem for file in THREADS].index("keras_19291")], timeout=300), tmp_path)
    text = (tmp_path / "repro.py").read_text()
    assert set(re.findall(r"^ *(?:import|from) (\w+)", text, re.MULTILINE)) == {"pathlib", "numpy", "torch", "keras"}
    about = {"cwd": tmp_path, "capture_output": True, "text": True, "check": True}
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.run([sys.executable, "-P", "repro.py"], env=clean, **about).stdout
    assert 1 < float(re.search(r"largest difference of two elements: (\S+)", said)[1]) < 100


@pytest.mark.long
@pytest.mark.parametrize("file", PAIRS, ids=[file.stem for file in PAIRS])
def test_well_known_networks(file):
    """Every difference that its file tells of, read off the sources of both, proven; and nothing else."""
    said = re.match(r'"""(.*?)"""', file.read_text(), re.DOTALL)[1].strip().splitlines()
    verdict = judge.diff(file, timeout=300)
    if said[-1] == "equal":
        assert verdict.outcome == EQUAL, (verdict.parted, verdict.causes)
        return
    stages = [line.groups() for one in said if (line := re.fullmatch(r"(.+): (\d+ x .+)", one))]
    parts = [(stage, part.split(" x ")) for stage, line in stages for part in line.split(", ")]
    expected = {(stage, names, True): int(count) for stage, (count, names) in parts}
    found = Counter((one.stage, " ".join(sorted(one.settings)), one.proven) for one in verdict.causes)
    assert found == expected, verdict.causes
