"""`tetrapla diff` as a user has it, a process for each side: ten real threads (threads/), well-known networks (pairs/), and repro.py.

Apart from test_diff.py, whose sides outlive a verdict: there these would be asked too.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from common.tools.diff import judge, page
from common.tools.diff.verdict import DIFFERENT, EQUAL

THREADS = sorted((Path(__file__).parent / "threads").glob("*.py"))
PAIRS = sorted((Path(__file__).parent / "pairs").glob("*.py"))


@pytest.mark.parametrize("file", THREADS, ids=[file.stem for file in THREADS])
def test_a_real_thread(file):
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
