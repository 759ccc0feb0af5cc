"""What a benchmark makes of its measurements; the measuring itself is tested with each framework in tests/backend."""

import ast
import json
import re
import subprocess
import sys

import pytest
from matplotlib import image
from rich.console import Console

import backends
from benchmarks import cases, floor, suite
from benchmarks.worker import MODES
from common import environment
from common.errors import UsageError
from common.specs import get
from common.tools import bench as report
from tests.conftest import tetrapla, tetrapla_here


def row(backend, mode, seconds, model="vae", batch=128):
    return {"model": model, "batch": batch, "hidden": None, "backend": backend, "mode": mode, "seconds": seconds}


@pytest.fixture
def result():
    rows = [
        row("pytorch", "fast", [0.004, 0.005, 0.0045]),
        row("jax", "fast", [0.002, 0.0021, 0.0022]),
        row("jax", "sampling", [0.01]),
        {key: value for key, value in row("paddle", "fast", []).items() if key != "seconds"}
        | {"problem": "diverges from the oracle"},
    ]
    yardstick = {"product": 400e9, "copy": 50e9}
    for one in rows:
        suite._derive(one, yardstick)
    return {
        "rows": rows,
        "yardstick": yardstick,
        "settings": {"threads": 2, "device": "cpu"},
        "environment": {"processor": "a CPU", "backends": {"jax": {"jax": "1.2"}, "pytorch": {"torch": "3.4"}}},
        "measured": "2026-11-21",
    }


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
        for part in report.tables(result):
            console.print(part)
    text = capture.get()
    line = {word: next(one for one in text.splitlines() if f"│ {word}" in one) for word in ("pytorch", "jax", "paddle")}
    assert "fastest" in line["jax"] and "2.0×" not in line["jax"].replace("× lower bound", "")
    assert "4.5 (4 to 5)" in line["pytorch"] and "2.1×" in line["pytorch"]
    assert "diverges from the oracle" in line["paddle"]
    assert "400 GFLOP/s" in text


def test_against_an_older_result(result):
    """Only what lies outside the other's range of repeats has moved."""
    older = {"rows": [row("pytorch", "fast", [0.0049, 0.006]), row("jax", "fast", [0.0063, 0.0063, 0.0064])]}
    for one in older["rows"]:
        suite._derive(one, {"product": None, "copy": None})
    assert report.compare(older, result) == ["vae 128 jax fast: 3.00 times faster"]
    assert report.compare(result, older) == ["vae 128 jax fast: 3.00 times slower"]
    assert report.compare(result, result) == []


def test_cases():
    assert cases.cases(["vae", "gan"], None, None) == [cases.Case("vae", 128), cases.Case("gan", 128)]
    assert cases.cases(["gan"], 7, None) == [cases.Case("gan", 7)]
    batches = [case.batch for case in cases.cases(["vae"], None, "batch")]
    assert batches[0] == 32 and batches[-1] == 4096
    assert [case.spec.parameter_shapes()["encoder.fc0.weight"] for case in cases.cases(["vae"], 64, "width")][::4] == [
        (400, 784),
        (6400, 784),
    ]


@pytest.fixture
def swept():
    """A backend whose overhead is 1 ms, and one whose is 10, over batches with a floor of 10 µs an image."""
    rows = [
        row(backend, "fast", [overhead + 1e-5 * batch], batch=batch) | {"floor": 1e-5 * batch}
        for backend, overhead in (("jax", 1e-3), ("paddle", 1e-2))
        for batch in (32, 128, 512)
    ]
    for one in rows:
        one |= {"median": one["seconds"][0], "times_floor": one["seconds"][0] / one["floor"]}
    return rows


def test_where_the_overhead_stops_mattering(swept, tmp_path):
    assert report.swept(swept) == "batch"
    assert report.near_the_floor(swept) == [
        "vae in JAX: within 2 times the lower bound from batch 128 on",
        "vae in Paddle: within 2 times the lower bound not for good; 3.0 at batch 512",
    ]
    report.plot({"rows": swept}, tmp_path / "plot.png")
    assert image.imread(tmp_path / "plot.png")[..., :3].std() > 0.05


def test_a_single_batch_is_no_sweep(result):
    assert report.swept(result["rows"]) is None
    assert report.near_the_floor(result["rows"]) == []


def test_publish(result, tmp_path, monkeypatch):
    page = tmp_path / "docs" / "benchmarks.md"
    (tmp_path / "docs" / "images").mkdir(parents=True)
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    report.publish(result, "cpu-one")
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| `vae`, 128 | fast | " in text and "| **2.1 (" in text and "diverges from the oracle" in text
    assert "a CPU, cpu, 2 threads, 2026-11-21; best matrix product 400 GFLOP/s" in text
    assert json.loads((tmp_path / "results" / "cpu-one.json").read_text())["rows"] == result["rows"]
    assert (tmp_path / "docs" / "images" / "bench-cpu-one.png").exists()
    with pytest.raises(UsageError, match="must be a name of small letters"):
        report.publish(result, "../cpu")


def test_the_page_shows_the_results_that_are_kept():
    text = report.PAGE.read_text(encoding="utf-8")
    assert text.split(report.BEGIN)[1].split(report.END)[0].strip() == report.published().strip()


def test_an_interrupted_benchmark_goes_on(tmp_path, monkeypatch):
    """Killed in its second case, it measures that and what follows, and keeps what it had."""
    wanted, columns, settings = cases.cases(["vae", "gan", "aae"], None, None), ("jax", "paddle"), suite.Settings()
    measured, fail_at = [], "gan"

    def together(case, pairs, settings, folder):
        if case.model == fail_at:
            raise KeyboardInterrupt
        measured.append(case.model)
        return [row(*pair, [0.001], model=case.model, batch=case.batch) for pair in pairs]

    monkeypatch.setattr(suite, "_together", together)

    def go(done):
        return suite.run(wanted, columns, ["fast"], settings, done, keep=lambda result: report.write(result, tmp_path))

    with pytest.raises(KeyboardInterrupt):
        go([])
    fail_at = None
    result = go(report.unfinished(tmp_path, vars(settings)))
    assert measured == ["vae", "gan", "aae"]
    assert [one["model"] for one in result["rows"]] == ["vae", "vae", "gan", "gan", "aae", "aae"]
    with pytest.raises(UsageError, match="measured with another repeats"):
        report.unfinished(tmp_path, vars(settings) | {"repeats": 9})
    assert report.unfinished(tmp_path / "nothing", vars(settings)) == []


def test_a_result_that_is_none(tmp_path):
    path = tmp_path / "result.json"
    for content in ("", "[]", "{}", json.dumps({"rows": 3})):
        path.write_text(content)
        with pytest.raises(UsageError, match="expected a result of `tetrapla bench`"):
            report.read(path)


def test_of_the_environment_only_our_own_settings_are_published():
    """Those that hold a process to its cores, and what the engines set: the names in their process.py."""
    known = {environment.CORES, *environment.POOLS}
    for backend in backends.BACKENDS:
        source = (environment.ROOT / "backends" / backend / "process.py").read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "environment.settle":
                known |= {keyword.arg for keyword in node.keywords if keyword.arg}
            if isinstance(node, ast.Constant) and re.fullmatch("[A-Z]+_[A-Za-z_]+", str(node.value)):
                known.add(node.value)
    assert "TF_CLI_CONFIG_FILE" not in known
    for path in report.RESULTS.glob("*.json"):
        for row in report.read(path)["rows"]:
            assert row.get("environment", {}).keys() <= known, path


def test_the_time_of_a_plan():
    """In closed form, from an earlier result of one model on a CPU."""
    timed = {"build_seconds": 2.0, "first_seconds": 3.0, "updates": 10, "median": 0.5}
    earlier = [{"settings": {"device": "cpu"}, "rows": [row("jax", "fast", []) | timed, row("jax", "naive", [])]}]

    def seconds(model, modes, device):
        settings = suite.Settings(device=device, repeats=7, seconds=1.5)
        (one,) = suite.plan(cases.cases([model], None, None), ("jax",), modes, settings, earlier)
        return one.seconds - suite.PREPARED * len(one.workers)

    assert seconds("vae", ["fast"], "cpu") == pytest.approx(2 + 3 + 7 * 2 * (10 * 0.5))
    assert seconds("vae", ["fast"], "gpu") == pytest.approx(
        2 + 3 + 7 * 2 * 1.5
    )  # a CPU's updates say nothing of a GPU's
    assert seconds("gan", ["fast"], "cpu") == pytest.approx(2 + 3 + 7 * 2 * 1.5)
    assert seconds("vae", ["tf32"], "gpu") == seconds("vae", ["fast"], "gpu")
    assert seconds("vae", ["naive"], "cpu") == pytest.approx(7 * 2 * 1.5)  # of a row without a number nothing is known
    assert seconds("vae", ["naive", "fast"], "gpu") == pytest.approx(5 + 2 * 7 * 2 * 1.5)


def test_a_plan_has_the_processes_of_the_benchmark(tmp_path, monkeypatch):
    """A convolutional model's and another's, on a GPU, with the modes that each framework has there."""
    started, columns = [], ("paddle", "jax")
    monkeypatch.setattr(
        suite, "_together", lambda case, pairs, *_: started.extend((case, *pair) for pair in pairs) or []
    )
    given = (cases.cases(["conv_autoencoder", "vae"], None, None), columns, list(MODES), suite.Settings(device="gpu"))
    suite.run(*given, [], keep=lambda result: None)
    planned = suite.plan(*given, [])
    assert [(one.case, *pair) for one in planned for pair in one.workers] == started
    assert len(started) == (5 - 1 + 5) + (6 - 1 + 6)  # no bfloat16 in Paddle, no sampling from conv_autoencoder


class NoFramework:
    """The first to be asked when something is imported."""

    def find_spec(self, name, path=None, target=None):
        assert name.partition(".")[0] not in FRAMEWORKS, f"{name} was imported"


FRAMEWORKS = {package for one in backends.KNOWN.values() for package in one.packages}


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_dry_run_imports_no_framework_and_starts_nothing(device, monkeypatch):
    for name in FRAMEWORKS & set(sys.modules):  # from other tests
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [NoFramework(), *sys.meta_path])
    monkeypatch.setattr(subprocess.Popen, "__init__", lambda *given, **more: pytest.fail("a process was started"))
    columns = [word for name in backends.BACKENDS for word in ("--backend", name)]
    result = tetrapla_here("bench", "vae", "infogan", *columns, "--device", device, "--dry-run", "--threads", "4")
    monkeypatch.undo()
    assert (result.returncode, result.stderr) == (0, "")
    said = " ".join(result.stdout.split())
    assert f"{device}, 4 threads, 5 repeats of 1 s" in said and "PyTorch, TensorFlow, Paddle, JAX" in said
    assert ("bfloat16" in said) == (device == "gpu")
    assert re.search(rf"2 cases, {44 if device == 'gpu' else 32} processes, about [1-9]\d* minutes", said)


def test_workers_are_told_whole_paths(tmp_path, monkeypatch):
    """A folder beside the user is that folder for a worker too, wherever that runs."""
    (tmp_path / "images").mkdir()
    monkeypatch.chdir(tmp_path)
    jobs = []

    def worker(job, *_):
        jobs.append(job)
        raise KeyError

    monkeypatch.setattr(suite, "Worker", worker)
    settings = suite.Settings(data="images", data_dir="mnist")
    with pytest.raises(KeyError):
        suite._together(cases.Case("vae", 128), [("jax", "fast")], settings, tmp_path)
    assert (jobs[0]["data"], jobs[0]["data_dir"]) == (str(tmp_path / "images"), str(tmp_path / "mnist"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nope",), "unknown model 'nope'"),
        (("gan", "--sweep", "width"), "--sweep width: only vae has a width to sweep"),
        (("--sweep", "depth"), "--sweep: 'depth' is unknown; choose one of: batch, width"),
        (
            ("--mode", "slow"),
            "--mode: 'slow' is unknown; choose one of: naive, compiled, fast, tf32, bfloat16, sampling",
        ),
        (("--mode", "tf32"), "--mode tf32: a GPU's; on a CPU choose one of: naive, compiled, fast, sampling"),
    ],
)
def test_bad_requests(arguments, message):
    result = tetrapla("bench", *arguments)
    assert result.returncode == 2
    assert message in " ".join(result.stderr.split())
