"""The `results` command without a framework: what it trains, what it takes for trained, what it says of it."""

import dataclasses
import json
import re
import types

import numpy as np
import pytest
from scipy import stats

from common import specs
from common.data import digits
from common.environment import ROOT
from common.errors import UsageError
from common.specs import SPECS
from common.tools import cli, results, results_page, results_worker
from common.tools.evaluation.equivalence import DIFFERENT, EQUIVALENT, UNDECIDED, Margin
from common.tools.margins import MARGINS, PLANS
from common.tools.results import Block, Measured, Row
from tests import planted_results
from tests.conftest import tetrapla_here

COLUMNS = ("pytorch", "paddle", "jax")
DATA = digits.load()
ENVIRONMENT = {"processor": "a CPU", "python": "3", "commit": "abc", "versions": {"numpy": "2", "jax": "1"}}


@pytest.mark.parametrize("model", PLANS)
def test_every_measure_has_a_margin_with_its_reason(model, monkeypatch):
    """And every margin a measure: a name that is spelt otherwise would leave a row undecided."""
    monkeypatch.setattr(results_worker, "samples", lambda *_: None)
    monkeypatch.setattr(results_worker.measures, "distance", lambda *_: 1.0)
    monkeypatch.setattr(results_worker.training, "codes", lambda *_: np.eye(10)[DATA.test_labels])
    spec = SPECS[model]
    losses = {update.objective: 1.0 for update in spec.updates} | ({"info_c1": 2.0} if model == "infogan" else {})
    found = results_worker.measure(types.SimpleNamespace(spec=spec), losses, DATA, None)
    assert {name for owner, name in MARGINS if owner == model} == found.keys()
    for name in found:
        margin = MARGINS[model, name]
        assert len(margin.reason) > 20
        assert margin.value > 1 if margin.ratio else margin.value > 0


def test_as_many_seeds_as_were_promised():
    assert {name: plan.seeds for name, plan in PLANS.items()} == {
        **dict.fromkeys(("autoencoder", "vae", "vae_z100"), 20),
        **dict.fromkeys(
            ("conv_autoencoder", "gan", "gan_two_layer", "aae", "aae_style", "aae_few_labels", "aae_clusters"), 10
        ),
        **dict.fromkeys(("gan_conv", "infogan", "vae_gan_mnist"), 5),
    }


def test_blocks():
    """Every seed of every model in every backend once; the first seeds of all before the next of any."""
    found = results.blocks(["vae", "infogan"], COLUMNS, None, lambda model: 7, jobs=2)
    runs = [(one.model, one.backend, seed) for one in found for seed in one.seeds]
    expected = {("vae", c, seed) for c in COLUMNS for seed in range(20)} | {
        ("infogan", c, s) for c in COLUMNS for s in range(5)
    }
    assert len(runs) == len(expected) and set(runs) == expected
    assert {seed for one in found[:6] for seed in one.seeds} == set(range(5))
    assert max(len(one.seeds) for one in found) == results.BLOCK


@pytest.mark.parametrize(("seeds", "jobs", "sizes"), [(2, 2, [1, 1]), (5, 2, [2, 2, 1]), (7, 1, [5, 2]), (1, 8, [1])])
def test_blocks_leave_no_core_without_work(seeds, jobs, sizes):
    assert [len(one.seeds) for one in results.blocks(["vae"], ("jax",), seeds, lambda model: 7, jobs)] == sizes


def write_run(out, model, backend, seed, values, changed=(), steps=7):
    """What results_worker leaves, as far as it is read; `changed` is what run.json says otherwise."""
    spec = specs.get(model)
    place = results_worker.folder(out, model, backend, seed)
    place.mkdir(parents=True)
    settings = dataclasses.asdict(results_worker.options(spec, backend, steps, seed, DATA))
    run = {
        "model": model,
        "data": {"name": DATA.name, "digest": DATA.digest},
        "options": settings | dict(changed),
        "fingerprint": dict(changed).get("fingerprint", spec.fingerprint()),
        "sessions": [{"seconds": 30.0, "environment": ENVIRONMENT}],
    }
    (place / "run.json").write_text(json.dumps(run))
    (place / "measures.json").write_text(json.dumps({"steps": steps, **values}))
    return place


def read(out, steps=7):
    return results.read_block(out, Block("vae", "jax", steps, (0,)), DATA)[0]


def test_what_a_run_left(tmp_path):
    assert read(tmp_path) is None
    place = write_run(tmp_path, "vae", "jax", 0, {"values": {"test loss, nats": 105.0}})
    assert read(tmp_path) == Measured("vae", "jax", 0, 7, {"test loss, nats": 105.0}, None, 30.0, ENVIRONMENT)
    assert read(tmp_path, steps=8) is None  # it is trained further
    (place / "measures.json").write_text("{")  # as no write of ours leaves it
    assert read(tmp_path) is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 1}, "the run has seed 1, not 0"),
        ({"batch_size": 64}, "the run has batch_size 64, not 128"),
        ({"noise": "replayed"}, "the run has noise 'replayed', not 'native'"),
        ({"fingerprint": "other"}, "the run has fingerprint 'other', not"),
    ],
)
def test_a_run_of_something_else_is_not_taken_for_ours(tmp_path, changed, message):
    write_run(tmp_path, "vae", "jax", 0, {"values": {}}, changed)
    with pytest.raises(UsageError, match=message):
        read(tmp_path)


def of(backend, values, measure="test loss, nats", model="vae", failed=()):
    """Runs from seeds 0, 1, ..., some of which failed."""
    return [
        Measured(
            model, backend, s, 7, {} if s in failed else {measure: v}, "why" if s in failed else None, 30.0, ENVIRONMENT
        )
        for s, v in enumerate(values)
    ]


def test_rows():
    (row,) = results.rows(of("jax", [1.0, 2.0]) + of("paddle", [3.0, 4.0], failed=(1,)))
    assert (row.model, row.steps, row.measure, row.values["jax"]) == ("vae", 7, "test loss, nats", {0: 1.0, 1: 2.0})
    assert row.values["paddle"][0] == 3.0 and np.isnan(row.values["paddle"][1])
    both = results.rows(of("jax", [1.0], "a", "gan") + of("jax", [1.0], "b", "autoencoder"))
    assert [one.model for one in both] == ["autoencoder", "gan"]


@pytest.fixture
def trained(tmp_path):
    """Runs of `vae` in four backends: Paddle within δ, JAX beyond it, TensorFlow with a run that failed."""
    random = np.random.default_rng(0)
    shared = random.normal(scale=0.3, size=8)
    shifts = {"pytorch": 0.0, "tensorflow": 0.0, "paddle": 0.1, "jax": 5.0}
    for backend, shift in shifts.items():
        for seed in range(8):
            values = {
                "test loss, nats": 105 + shared[seed] + shift + random.normal(scale=0.02),
                "Fréchet distance": 3.5 + 0.01 * seed,
            }
            failed = backend == "tensorflow" and seed == 3
            write_run(
                tmp_path / "out",
                "vae",
                backend,
                seed,
                {"failed": "at step 5 loss = inf"} if failed else {"values": values},
            )
    return tmp_path / "out"


def judge(out, page=None, columns=("pytorch", "tensorflow", "paddle", "jax")):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "steps_of", lambda *_: 7)
        return results.collect(["vae"], columns, 8, DATA, out, scale=1.0, page=page)


def test_the_tables(trained, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{results.BEGIN}\nold\n{results.END}\nafter\n")
    text = judge(trained, page)
    value = json.loads((trained / "results.json").read_text())
    assert value == json.loads((tmp_path / "page.json").read_text())
    assert text in page.read_text() and "old" not in page.read_text() and page.read_text().endswith("after\n")
    nats, distance = value["rows"]
    assert nats["values"]["tensorflow"]["3"] is None and len(nats["values"]["jax"]) == 8
    verdicts = {(one["a"], one["b"]): one["verdict"] for one in nats["pairs"]}
    assert verdicts["pytorch", "paddle"] == EQUIVALENT
    assert verdicts["pytorch", "jax"] == verdicts["paddle", "jax"] == DIFFERENT
    assert all(verdict == UNDECIDED for pair, verdict in verdicts.items() if "tensorflow" in pair)
    (line,) = (line for line in text.splitlines() if line.startswith("| `vae` | test loss, nats |") and "≢" in line)
    assert re.search(r"\| ≡ \(-0\.\d+\)\* \|.*\| \*\*≢\*\* \(-(4\.9|5)\d*\) \|", line)
    assert "| 1" not in line  # nothing is decided where a run failed
    assert "tensorflow has no finite value for seed 3" in text
    assert all("does not vary" in one["why"] or "no finite" in one["why"] for one in distance["pairs"])
    honest = list(nats["values"]["pytorch"].values())
    assert f"{np.mean(honest):.5g} ± {np.std(honest, ddof=1):.2g} (8)" in text
    assert "(7, 1 failed)" in text
    assert "Measured on a CPU, Python 3, commit abc; jax 1, numpy 2; " in text
    assert "- vae in tensorflow, seed 3: at step 5 loss = inf" in text
    assert MARGINS["vae", "test loss, nats"].reason in text


def test_the_picture_of_the_verdicts(trained, tmp_path, monkeypatch):
    """Every pair that could be tested, at its difference over δ, with SciPy's interval; further out, an arrow at the edge."""
    page = tmp_path / "page.md"
    page.write_text(f"{results.BEGIN}\n{results.END}\n")
    judge(trained, page)
    assert "![" in page.read_text() and "(images/results.png)" in page.read_text()
    assert (trained / "results.png").read_bytes() == (tmp_path / "images" / "results.png").read_bytes()
    nats, distance = json.loads((trained / "results.json").read_text())["rows"]
    drawn = []
    monkeypatch.setattr(results_page, "save_figure", lambda figure, path, tight: drawn.append(figure.axes[0]))
    assert results_page.picture([nats, distance], tmp_path / "unused.png")
    labels = [label.get_text() for label in drawn[0].get_yticklabels()]
    assert labels == ["vae: test loss, nats"]  # the distances do not vary
    lines = drawn[0].get_lines()[1:]  # the first is that of no difference
    tested = [one for one in nats["pairs"] if not one["why"] or one["verdict"] == EQUIVALENT]
    assert len(lines) == 2 * len(tested) == 6
    for one, interval, mark in zip(tested, lines[::2], lines[1::2], strict=True):
        a, b = (np.array([nats["values"][name][str(seed)] for seed in one["seeds"]]) for name in (one["a"], one["b"]))
        bounds = np.array(stats.ttest_1samp(a - b, 0).confidence_interval(0.90)) / nats["margin"]["value"]
        far = abs(np.mean(a - b)) > 3 * nats["margin"]["value"]
        assert far == ("jax" in (one["a"], one["b"]))
        assert mark.get_marker() == ("<" if far else "o")
        np.testing.assert_allclose(interval.get_xdata(), np.clip(bounds, -3, 3))
        np.testing.assert_allclose(mark.get_xdata(), np.clip(np.mean(a - b) / nats["margin"]["value"], -3, 3))
    assert set(results_page.COLOURS) == {EQUIVALENT, DIFFERENT, UNDECIDED}


def test_what_is_there_is_judged_though_seeds_are_missing(trained):
    for seed in (5, 6):
        (results_worker.folder(trained, "vae", "paddle", seed) / "measures.json").unlink()
    judge(trained)
    (pair,) = [
        one
        for one in json.loads((trained / "results.json").read_text())["rows"][0]["pairs"]
        if (one["a"], one["b"]) == ("pytorch", "paddle")
    ]
    assert pair["seeds"] == [0, 1, 2, 3, 4, 7]


def test_one_framework_alone(trained):
    assert "One framework alone is not compared." in judge(trained, columns=("jax",))


def test_nothing_is_there(tmp_path):
    with pytest.raises(UsageError, match="no finished run of these models"):
        judge(tmp_path)


def test_a_page_without_a_place_is_told_before_anything_is_trained(tmp_path, monkeypatch):
    (tmp_path / "page.md").write_text("no place")
    with pytest.raises(UsageError, match="expected a line"):
        judge(tmp_path, tmp_path / "page.md")
    monkeypatch.setattr(results, "train", lambda *_, **options: pytest.fail("it is trained"))
    how = {"data_name": "digits", "data_dir": None, "device": "cpu", "scale": 1.0, "jobs": 1}
    with pytest.raises(UsageError, match="expected a line"):
        results.results(["vae"], ("jax",), 8, DATA, tmp_path, page=tmp_path / "page.md", **how)


@pytest.mark.parametrize("marks", [(results.BEGIN, results.END), (planted_results.BEGIN, planted_results.END)])
def test_the_page_of_the_repository_has_a_place(marks):
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert page.index(marks[0]) < page.index(marks[1])


def test_the_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda name: None)
    result = tetrapla_here("results", "vae")
    assert result.returncode == 3
    assert "statsmodels is not installed; install it with: pip install -e '.[results]'" in result.stderr


@pytest.mark.parametrize("field", planted_results.MISTAKES)
def test_one_number_is_planted(field):
    honest, wrong = (spec.described()["updates"] for spec in (SPECS["aae"], planted_results.planted("aae", field)))
    for one, other in zip(honest, wrong, strict=True):
        differ = {name for name in one["optimizer"] if one["optimizer"][name] != other["optimizer"][name]}
        assert differ == {field}
    assert planted_results.planted("vae", field).fingerprint() != SPECS["vae"].fingerprint()


@pytest.mark.parametrize(
    ("shift", "noise", "said"),
    [
        (0.0, 0.02, "let it pass as equivalent"),
        (0.1, 0.02, "notice it, inside δ"),
        (3.0, 0.02, "notice it"),
        (0.0, 9.0, "are undecided"),
    ],
)
def test_what_the_statistics_say_of_a_planted_column(shift, noise, said, monkeypatch):
    monkeypatch.setitem(MARGINS, ("vae", "test loss, nats"), Margin(0.3, "as a test has it"))
    random = np.random.default_rng(1)
    shared = random.normal(size=10)
    true = [
        run
        for b in ("pytorch", "tensorflow", "paddle", "jax")
        for run in of(b, 105 + shared + random.normal(scale=0.02, size=10))
    ]
    wrong = of("jax", 105 + shared + shift + random.normal(scale=noise, size=10))
    chosen = types.SimpleNamespace(model="vae", backend="jax", seeds=10)
    (row,) = planted_results.judged("epsilon", chosen, true, wrong)
    assert row["statistics"] == said
    assert {pair for one in row["pairs"] for pair in (one["a"], one["b"])} == {"pytorch", "tensorflow", "paddle", "jax"}
    assert row["effect"]["difference"] == pytest.approx(
        np.mean(
            [a.values["test loss, nats"] - b.values["test loss, nats"] for a, b in zip(wrong, true[-10:], strict=True)]
        )
    )
    proofs = {"epsilon": {"stage": "one update", "tensor": "x", "bars": 12345.0}}
    text = planted_results.table([row], proofs, chosen)
    assert f"| {said} | one update, 1.2e+04 bars |" in text and "Keras's ε, 1e-7 for 1e-8" in text
    if shift == 3.0:  # every difference is that of the planted column from another
        assert len(re.findall(r"\*\*≢\*\* \(\+[23]", text)) == 4


def test_honest_runs_that_are_missing_are_named(tmp_path):
    chosen = types.SimpleNamespace(model="vae", backend="jax", seeds=2, honest=tmp_path)
    with pytest.raises(UsageError, match="no run of vae in pytorch over 7 steps from seeds 0, 1; train them first"):
        planted_results.honest(chosen, 7, DATA)


def test_rows_of_one_measure_have_its_margin():
    assert Row("vae", 1, "test loss, nats", {}).margin is MARGINS["vae", "test loss, nats"]
    assert Row("vae", 1, "another", {}).margin is None
