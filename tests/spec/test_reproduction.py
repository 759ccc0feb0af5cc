"""What a reproduction runs, measures and writes; the training itself is tested with each framework in tests/backend."""

import dataclasses
import html.parser
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from common import data, specs
from common.errors import TrainingFailed, UsageError
from common.processes import Children
from common.tools import figures, reproduction
from common.tools.articles import ARTICLES
from common.tools.reproduction import aae, checks, infogan, infogan_checks, measures, plots
from common.tools.reproduction.evidence import Evidence
from common.tools.reproduction.report import Report, ran
from common.tools.reproduction.results import Run
from tests.conftest import tetrapla_here

NATIVE = {  # of ARTICLES.md, with the steps that 60,000 images and its batches make
    ("autoencoder", "pytorch"): 46_800,
    ("conv_autoencoder", "pytorch"): 46_800,
    ("vae", "pytorch"): 46_800,
    ("vae_z100", "tensorflow"): 1_000_000,
    ("vae_z100", "pytorch"): 100_000,
    ("vae_z100_epsilon_hat", "tensorflow"): 1_000_000,
    ("gan", "pytorch"): 4_680,
    ("aae", "pytorch"): 50_000,
    ("aae_as_published", "pytorch"): 50_000,
    ("gan_two_layer", "paddle"): 46_800,
    ("infogan", "paddle"): 5_000,
    ("infogan_paper", "tensorflow"): 5_000,
    ("aae_style", "pytorch"): 60_000,
    ("aae_few_labels", "pytorch"): 15_000,
    ("aae_few_labels_paper", "pytorch"): 15_000,
    ("aae_clusters", "pytorch"): 15_000,
    ("aae_clusters_30", "pytorch"): 15_000,
    ("gan_conv", "pytorch"): 4_680,
}
# Of what the articles point to: what fits, and stands on each page; their own lengths are more.
SHORTER = {
    ("vae_gan_mnist", "pytorch"): 5_000,
    ("infogan_svhn", "pytorch"): 1_500,
    ("infogan_celeba", "pytorch"): 300,
    ("infogan_faces", "pytorch"): 1_000,
    ("infogan_chairs", "pytorch"): 300,
}


class Mnist:
    train_images = np.zeros((60_000, 1, 1))


def test_every_article_in_its_own_framework_at_its_own_length():
    found = {
        ((run.model, run.backend), run.steps_on(Mnist))
        for article in ARTICLES
        for run in reproduction.runs(article, None, None, 1.0, 0)
    }
    assert (NATIVE | SHORTER).items() <= found
    # That of 64 × 64 in colour takes 11 seconds an update on two cores, and is trained by `train` alone.
    assert {model for (model, _), _ in found} == (specs.SPECS.keys() | specs.VARIANTS.keys()) - {"vae_gan"}


def test_at_least_five_seeds_of_infogan():
    runs = [run for run in reproduction.runs("infogan", "infogan", None, 1.0, 0)]
    assert len({run.seed for run in runs}) >= 5


def test_in_one_framework():
    (run,) = reproduction.runs("vae_notes", None, "jax", 0.01, 3)
    assert (run.name, run.steps_on(Mnist)) == ("vae_z100-jax-3", 10_000)
    models = {run.model for run in reproduction.runs("aae", None, "jax", 1.0, 0)}
    assert "aae" in models and "aae_as_published" not in models


def test_five_seeds_of_every_number_of_labels():
    runs = reproduction.runs("aae", "aae_few_labels", "jax", 1.0, 0)
    assert {(run.labelled, run.seed) for run in runs} == {(n, k) for n in (100, 1000, 3000) for k in range(5)}
    assert len({run.name for run in runs}) == 15
    options = {run.labelled: run.options(data.load("digits")) for run in runs}
    assert options[100][options[100].index("--labelled") + 1] == "100"
    most = int(options[3000][options[3000].index("--labelled") + 1])  # as many as there are of every class
    counts = np.bincount(data.load("digits").train_labels)
    assert most == 10 * counts.min() < 1437


def test_a_smaller_batch_is_asked_for():
    chosen = {run.model: run.options(Mnist) for run in reproduction.runs("infogan_chairs", None, None, 1.0, 0)}
    asked = {
        model: words[words.index("--batch-size") + 1] for model, words in chosen.items() if "--batch-size" in words
    }
    assert asked == {
        **dict.fromkeys(("infogan_chairs", "infogan_chairs_width", "infogan_chairs_plain"), "32"),
        **dict.fromkeys(("infogan_chairs_joint", "infogan_chairs_joint_plain"), "64"),
    }
    assert chosen["vae_chairs"][chosen["vae_chairs"].index("--steps") + 1] == "46800"  # epochs of its own batches


def test_a_short_trial_is_of_one_seed():
    runs = reproduction.runs("aae", None, "jax", 0.009, 0)
    assert {run.seed for run in runs} == {0} and len(runs) == 2 + 3 * 3 + 2


def test_a_model_of_another_article():
    with pytest.raises(
        UsageError, match="model 'gan' is not of article aae; choose one of: aae, aae_as_published, aae_style"
    ):
        reproduction.runs("aae", "gan", None, 1.0, 0)


@pytest.mark.parametrize("model", ["aae_as_published", "vae_z100_epsilon_hat"])
def test_a_variant_that_is_not_written_there(model):
    with pytest.raises(UsageError, match=f"{model} is not written in jax; leave --backend out"):
        reproduction.runs(specs.get(model).about.article, model, "jax", 1.0, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nope",), "unknown article 'nope'; choose one of: autoencoders, vae_notes, gan, aae, infogan, vae_gan"),
        (("gan", "aae"), "model 'aae' is not of article gan; choose one of: gan, gan_conv"),
        (("gan", "--scale", "0"), "--scale: expected above 0 and at most 1, found 0"),
        (("gan", "--backend", "mxnet"), "unknown backend 'mxnet'"),
        (("gan", "--resume", "--overwrite"), "--resume and --overwrite exclude each other"),
    ],
)
def test_bad_requests(arguments, message):
    result = tetrapla_here("reproduce", *arguments)
    assert result.returncode == 2
    assert message in " ".join(result.stderr.split())


def test_the_erratum_is_of_one_model():
    assert specs.as_published("aae").accumulates
    with pytest.raises(UsageError, match="gan has no --as-published; choose one of: aae"):
        specs.as_published("gan")


def test_distance_to_the_prior():
    """0 for the prior's own quantiles; the mean of |N(0, 5²)| for codes that are all 0."""
    quantiles = stats.norm.ppf((np.arange(1200) + 0.5) / 1200, 0, 5)
    assert aae.apart(np.random.default_rng(0).permutation(quantiles).reshape(10, 120)) == pytest.approx(0, abs=1e-12)
    assert aae.apart(np.zeros((1000, 120))) == pytest.approx(5 * np.sqrt(2 / np.pi), rel=1e-4)
    assert aae.apart(quantiles.reshape(10, 120) + 2) == pytest.approx(2)


def test_error_of_the_categories():
    """Categories that are digits under another name, but for a tenth of them."""
    digits = data.load("digits")
    renamed = (digits.test_labels.astype(int) * 3 + 1) % 10
    renamed[::10] = (renamed[::10] + 1) % 10
    codes = np.concatenate([np.eye(10)[renamed] * 0.5, np.random.default_rng(0).random((len(renamed), 2))], axis=1)
    assert infogan_checks.error(codes, digits) == pytest.approx(0.1)
    shares = infogan_checks.shares(codes, digits)
    assert shares.sum(axis=0) == pytest.approx(np.ones(10))
    assert shares.diagonal() == pytest.approx(
        [(renamed == (k * 3 + 1) % 10)[digits.test_labels == k].mean() for k in range(10)]
    )


def test_no_curve_is_left_out(tmp_path):
    curve = ([0, 1], [0, 1])
    with pytest.raises(ValueError, match="8 labels for 7 colours"):
        plots.lines(tmp_path / "a.png", {str(k): curve for k in range(8)}, title="", x="", y="")
    _, axis = plots.plt.subplots()
    plots.draw_lines(axis, {"a": [curve] * 9, "b": curve}, title="", x="", y="")
    assert len(axis.lines) == 10 and len(axis.get_legend().texts) == 2


def test_walks_along_the_codes():
    latents = infogan._walk(1)
    assert latents["category"].argmax(axis=1).tolist() == [c for c in range(10) for _ in range(9)]
    assert latents["codes"][:9, 1].tolist() == np.linspace(-2, 2, 9).tolist()
    assert not latents["codes"][:, 0].any()
    assert np.ptp(latents["z"], axis=0).max() == 0


def check(what, judge, models=(), runs=1):
    return checks.Check(what, checks.OURS, "It holds.", "When it does.", "One run.", models, judge, "成立", runs)


@pytest.fixture
def page(tmp_path):
    """A report of no run, with a picture and an animation."""
    verdicts = {"one": checks.REACHED, "two": checks.IN_PART, "three": checks.MISSED, "four": checks.BESIDE}
    declared = tuple(
        check(what, lambda evidence, verdict=verdict: ("1", verdict)) for what, verdict in verdicts.items()
    )
    evidence = Evidence([], data.load("digits"))
    report = Report("gan", ("It <says> this.",), ("A departure.",), declared, evidence, 0.5, tmp_path)
    plots.lines(report.figure("a.png", "A", "Caption a."), {"x": ([1, 2], [3, 4])}, title="t", x="x", y="y")
    frames = [figures.tile(np.random.default_rng(k).random((4, 28, 28)), 2) for k in range(90)]
    plots.animation(report.figure("b.gif", "B", "Caption b."), frames)
    return report


def test_the_page_is_self_contained(page, tmp_path, monkeypatch):
    monkeypatch.setattr("common.tools.reproduction.report._run", lambda result: RUN)
    page.evidence.results = [None]
    text = page.write().read_text()
    tags = []

    class Links(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            attributes = dict(attributes)
            tags.append(tag)
            for name in ("src", "href"):
                assert attributes.get(name, "data:image/").startswith(
                    ("data:image/png;", "data:image/gif;", "data:image/")
                )
            if tag == "img":
                assert attributes["alt"] and int(attributes["width"]) > 50

    Links().feed(text)
    assert tags.count("img") == 2
    assert "It &lt;says&gt; this." in text
    assert "A trial at 0.5 of the article" in text
    assert '<b>ours</b>: It holds. <span lang="zh">(成立)</span>' in text
    assert re.findall(r"[✓◐✗] [\w ]+", text) == ["✓ reached", "◐ in part", "✗ missed"]
    report = json.loads((tmp_path / "report.json").read_text())
    assert [one["verdict"] for one in report["checks"]] == ["reached", "in part", "missed", "beside"]
    assert {one["whose"] for one in report["checks"]} == {"ours"}


RUN = {
    "name": "gan-jax-0", "model": "gan", "title": "GAN", "backend": "jax", "steps": 10, "seconds": 3.0,
    "settings": {"batch": 128}, "updates": [], "notes": ("Erratum.",), "versions": {"jax": "1"}, "processor": "a CPU",
}  # fmt: skip


def test_an_animation_thins_out_its_frames(page, tmp_path):
    from PIL import Image

    with Image.open(tmp_path / "b.gif") as image:
        assert 30 < image.n_frames <= plots.FRAMES
        first = np.asarray(image.convert("L"), float)
        image.seek(image.n_frames - 1)
        assert np.abs(np.asarray(image.convert("L"), float) - first).mean() > 20


def test_a_second_run_of_a_model_says_what_is_other_than_in_the_first():
    first = {
        "steps": 1_000,
        "backend": "jax",
        "seconds": 89.0,
        "versions": {"jax": "1.0"},
        "settings": {"seed": 0, "batch": 8},
    }
    second = first | {"seconds": 30.0, "settings": {"seed": 1, "batch": 8}}
    assert ran(first) == "1,000 steps in jax, 1 min; jax 1.0, seed 0, batch 8."
    assert ran(second, first) == "1,000 steps in jax, 0.5 min; seed 1."
    assert ran(first, first) == "1,000 steps in jax, 1 min."
    other = first | {"versions": {"torch": "2.0"}}
    assert ran(other, first) == "1,000 steps in jax, 1 min; torch 2.0."


def test_the_templates_exist():
    assert {path.name for path in (Path(figures.__file__).parent / "templates").iterdir()} >= {
        "article.html",
        "style.css",
    }


def test_pictures_in_colour_are_measured_and_tiled_in_one_order():
    """A set to itself is at distance 0, whether its colours come before or after height and width."""
    colour = np.random.default_rng(0).integers(256, size=(70, 3, 32, 32)).astype(np.uint8)
    set_of = dataclasses.replace(data.load("digits"), train_images=colour, test_images=colour)
    space = measures.features(set_of)
    assert measures.distance(space, np.moveaxis(colour, 1, -1), set_of) == pytest.approx(0, abs=1e-9)
    assert measures.distance(space, np.moveaxis(colour[:, ::-1], 1, -1), set_of) > 1
    tiled = figures.tile(measures.unit(colour[:3]), columns=2, gap=1, zoom=1)
    assert tiled.shape == (67, 67, 3)
    assert np.array_equal(tiled[34:66, 1:33] * 255, np.moveaxis(colour[2], 0, -1))


@pytest.mark.parametrize("jobs", [1, 2])
def test_after_a_failure_no_run_is_begun(tmp_path, monkeypatch, jobs):
    begun = []

    class Process:
        def wait(self):
            time.sleep(0.2)
            return 1

    def start(self, module, *arguments, **options):
        begun.append(arguments)
        return Process()

    monkeypatch.setattr(Children, "start", start)
    chosen = [Run("vae", "jax", seed) for seed in range(6)]
    with pytest.raises(TrainingFailed, match="train ended with exit code 1"):
        reproduction.carry_out(
            "autoencoders",
            chosen,
            data.load("digits"),
            tmp_path,
            data_name="digits",
            data_dir=None,
            device="cpu",
            jobs=jobs,
        )
    assert len(begun) <= jobs
