"""What a benchmark makes of its measurements; the measuring itself is tested with each framework in tests/backend."""

import json

import pytest
from rich.console import Console

from benchmarks import floor, suite
from common.errors import UsageError
from common.specs import get
from tests.conftest import tetrapla


def row(backend, mode, seconds, model="vae", batch=128):
    return {"model": model, "backend": backend, "mode": mode, "batch": batch, "seconds": seconds}


@pytest.fixture
def result():
    rows = [
        row("pytorch", "fast", [0.004, 0.005, 0.0045]),
        row("jax", "fast", [0.002, 0.0021, 0.0022]),
        row("jax", "sampling", [0.01]),
        {"model": "vae", "backend": "paddle", "mode": "fast", "batch": 128, "problem": "parts from the oracle"},
    ]
    yardstick = {"product": 400e9, "copy": 50e9}
    for one in rows:
        suite._derive(one, yardstick)
    settings = {"threads": 2, "device": "cpu"}
    return {"rows": rows, "yardstick": yardstick, "settings": settings, "environment": {"processor": "a CPU"}}


def test_what_is_derived(result):
    pytorch, jax, sampling, paddle = result["rows"]
    assert (pytorch["median"], pytorch["least"], pytorch["most"]) == (0.0045, 0.004, 0.005)
    assert jax["per_second"] == pytest.approx(128 / 0.0021)
    assert sampling["per_second"] == pytest.approx(1000 / 0.01)
    assert "floor" not in sampling
    arithmetic = floor.work(get("vae"), 128).operations / 400e9
    assert jax["floor"] == pytest.approx(arithmetic)
    assert jax["times_floor"] == pytest.approx(0.0021 / arithmetic)
    assert "median" not in paddle


def test_the_table_marks_the_fastest_and_gives_ratios(result):
    console = Console(width=200)
    with console.capture() as capture:
        for part in suite.tables(result):
            console.print(part)
    text = capture.get()
    line = {word: next(one for one in text.splitlines() if f"│ {word}" in one) for word in ("pytorch", "jax", "paddle")}
    assert "fastest" in line["jax"] and "2.0×" not in line["jax"].replace("× floor", "")
    assert "4.5 (4 to 5)" in line["pytorch"] and "2.1×" in line["pytorch"]
    assert "parts from the oracle" in line["paddle"]
    assert "400 GFLOP/s" in text


def test_against_an_older_result(result):
    """Only what lies outside the other's range of repeats has moved."""
    older = {"rows": [row("pytorch", "fast", [0.0049, 0.006]), row("jax", "fast", [0.0063, 0.0063, 0.0064])]}
    for one in older["rows"]:
        suite._derive(one, {"product": None, "copy": None})
    assert suite.compare(older, result) == ["vae jax fast 128: 3.00 times faster"]
    assert suite.compare(result, older) == ["vae jax fast 128: 3.00 times slower"]
    assert suite.compare(result, result) == []


def test_a_result_that_is_none(tmp_path):
    path = tmp_path / "result.json"
    for content in ("", "[]", "{}", json.dumps({"rows": 3})):
        path.write_text(content)
        with pytest.raises(UsageError, match="expected a result of `tetrapla bench`"):
            suite.read(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nope",), "unknown model 'nope'"),
        (("--mode", "slow"), "--mode: 'slow' is unknown; choose one of: naive, compiled, fast, sampling"),
    ],
)
def test_bad_requests(arguments, message):
    result = tetrapla("bench", *arguments)
    assert result.returncode == 2
    assert message in " ".join(result.stderr.split())
