"""Article `infogan`: "InfoGAN：一种无监督生成方法 | 经典论文复现", Huang Tao, PaddlePaddle static programs."""

import math
import sys
from pathlib import Path

import numpy as np

import backends
from common.contract import Column
from common.data import Dataset
from common.data.batches import in_batches, model_inputs, to_bytes
from common.environment import ROOT
from common.noise import draw
from common.reference.networks import Networks
from common.specs import get
from common.tools import training
from common.tools.reproduction import plots
from common.tools.reproduction.evidence import Evidence
from common.tools.reproduction.infogan_checks import CATEGORIES, CHECKS, CODES, bound, error, of_program, shares
from common.tools.reproduction.measures import FRECHET_NOTE, SAMPLES, unit
from common.tools.reproduction.probe import samples
from common.tools.reproduction.report import Report
from common.tools.reproduction.results import Result, Run
from common.tools.sections import text_of

SAYS = (
    "What a static Program is, on a GAN of two layers: a Program per job, because every operator in a Program runs whether or "
    "not its result is fetched; parameters shared between Programs by name; each optimiser restricted to one network.",
    "InfoGAN adds latent codes to the noise and rewards the generator for making them recognisable: a lower bound L_I of their "
    "mutual information with the image, given by a network Q. It is an autoencoder, the article remarks, whose encoder is G and whose "
    "decoder is Q. Rows of its figures vary the category c1, columns vary a continuous code from -2 to 2.",
    "The paper (Chen et al. 2016), to which it refers for sizes, and where Q shares the discriminator's layers: L_I(c1) reaches "
    "ln 10 ≈ 2.30 while a plain GAN's stays low; c1 alone, matched to digits, classifies with an error of about 5% without a label; "
    "on a plain GAN c1 means nothing.",
)
DEVIATIONS = (
    "The article prints no sizes for InfoGAN and refers to the paper, whose MNIST network this is; each model's notes stand with "
    "its run below.",
    "The study over seeds takes 2,000 of the 5,000 steps, its variants 1,000, the plain GAN and the settings of the paper's code all of them; it runs in TensorFlow unless "
    "--backend says otherwise: the four implementations are proven equal, and a step takes two thirds of Paddle's time on this CPU.",
)
PROGRAM = ROOT / "backends/paddle/printed/infogan.py"  # the article's own
WALK, VARIED = 9, 6  # columns of a walk; rows of the figure that varies c1
KEEP = {"evaluate_every": 250, "keep": 10_000}
# Seeds 0, 1, ... and steps of each.
STUDY = {
    "infogan": (5, 2_000),
    "infogan_plain": (1, 5_000),
    "infogan_slope": (2, 1_000),
    "infogan_codes": (2, 1_000),
    "infogan_category": (2, 1_000),
    "infogan_joint": (2, 1_000),
    "infogan_paper": (5, 5_000),
}
TITLES = {
    "infogan": "InfoGAN",
    "infogan_plain": "plain GAN, Q on the side",
    "infogan_slope": "InfoGAN, slope 0.01",
    "infogan_codes": "InfoGAN, weight of c2 and c3 1",
    "infogan_category": "InfoGAN, weight of c2 and c3 0",
    "infogan_joint": "InfoGAN, real and generated in one batch",
    "infogan_paper": "InfoGAN, the paper's code",
}


def runs() -> list[Run]:
    study = [
        Run(name, "tensorflow", seed, steps, **KEEP) for name, (seeds, steps) in STUDY.items() for seed in range(seeds)
    ]
    return [Run("infogan", "paddle", **KEEP), *study, Run("gan_two_layer", "paddle")]


def probe(column: Column, data: Dataset) -> dict[str, np.ndarray]:
    found = {"samples": samples(column, SAMPLES)}
    if column.spec.name == "gan_two_layer":
        # The article's own program runs where Paddle is the backend.
        return found | (backends.engine("paddle", "printed.infogan").probe(data) if "paddle" in sys.modules else {})
    for k in range(CODES):
        found[f"walk_c{k + 2}"] = to_bytes(column.spec, column.sample(_walk(k)))
    # Batch norms with the running statistics, which mix real and generated images; and with the test images' own.
    networks = Networks(column.spec, column.parameters(), column.statistics(), training=True)
    return found | {
        "varied": to_bytes(column.spec, column.sample(_varied())),
        "recognised": training.codes(column, found["samples"]),
        "codes": training.codes(column, data.test_images),
        "codes_of_batches": in_batches(
            lambda part: column.spec.encode(networks, model_inputs(column.spec, {"images": part})), data.test_images
        ),
    }


def _varied():
    """Latents of VARIED rows, each of one z and one pair of codes, and CATEGORIES columns, one a category."""
    drawn = draw(get("infogan").sampling_noise, VARIED, 0, "sampling", 3)
    return {name: value.repeat(CATEGORIES, axis=0) for name, value in drawn.items()} | {
        "category": np.tile(np.eye(CATEGORIES), (VARIED, 1))
    }


def _walk(code):
    """Latents of CATEGORIES rows, one a category, and WALK columns along one continuous code; one z for all."""
    z = draw(get("infogan").sampling_noise, 1, 0, "sampling", 2)["z"]
    category = np.repeat(np.eye(CATEGORIES), WALK, axis=0)
    codes = np.zeros((CATEGORIES * WALK, CODES))
    codes[:, code] = np.tile(np.linspace(-2, 2, WALK), CATEGORIES)
    return {"z": z.repeat(CATEGORIES * WALK, axis=0), "category": category, "codes": codes}


def report(results: list[Result], data: Dataset, out: Path, scale: float) -> Report:
    page = Report("infogan", SAYS, DEVIATIONS, CHECKS, Evidence(results, data), scale, out)
    study = [result for result in results if result.spec.name != "gan_two_layer"]
    if study:
        _pictures(page, study[0])
        _varied_figure(page, study)
        _curves(page, study, data)
        _study(page, study, data)
    for result in page.evidence.of("gan_two_layer"):
        _two_layers(page, result)
    page.write()
    return page


def _pictures(page, result):
    for code in ("c2", "c3"):
        file = f"walk-{code}.png"
        images = unit(result.probe[f"walk_{code}"])
        plots.matrix(
            page.figure(file, f"c1 down, {code} across", "One z for all; training saw codes in [-1, 1] only."),
            images,
            WALK,
            rows="category c1, 0 to 9",
            across=f"{code}, from -2 to 2",
        )
    plots.grids(
        page.figure("samples.png", "Samples of InfoGAN", "100 draws of the latents, none chosen by hand."),
        {"": unit(result.probe["samples"][:100])},
        columns=10,
    )


def _varied_figure(page, study):
    """The paper's figures 2a and 2b."""
    first = {result.spec.name: result for result in reversed(study) if result.spec.name in ("infogan", "infogan_plain")}
    plots.grids(
        page.figure(
            "varied.png",
            "c1 varied, on InfoGAN and on a plain GAN",
            "A column a category, a row one z with one pair of codes.",
        ),
        {TITLES[name]: unit(first[name].probe["varied"]) for name in TITLES if name in first},
        columns=CATEGORIES,
        per_row=2,
    )


def _label(result, separator=", "):
    return f"{TITLES[result.spec.name]}{separator}{result.run.backend} {result.run.seed}"


def _curves(page, study, data):
    first = {result.spec.name: result for result in reversed(study)}  # of each kind
    curves = {TITLES[name]: first[name].curve("info_c1") for name in TITLES if name in first}
    plots.lines(
        page.figure(
            "information.png",
            "The bound of the mutual information",
            "Of InfoGAN and of a plain GAN, whose generator is not rewarded for it; means of blocks of steps.",
        ),
        curves,
        title="L_I(c1) in training",
        x="step",
        y="nats",
        level=("ln 10", math.log(10)),
    )
    curves = {}
    for result in study:
        errors = [100 * error(kept["codes"], data) for kept in result.kept.values()]
        curves.setdefault(f"{TITLES[result.spec.name]}, {result.run.backend}", []).append((list(result.kept), errors))
    plots.lines(
        page.figure(
            "errors.png",
            "Error of c1 as an unsupervised classifier",
            "Every run, a line a seed. Best one-to-one matching of categories to digits at each point.",
        ),
        curves,
        title="c1 as a classifier of test digits",
        x="step",
        y="error, %",
        level=("paper", 5.0),
        band=(0, 100),
    )
    plots.tables(
        page.figure(
            "categories.png",
            "Where the digits go",
            "Of each digit of the test images, the share that falls into each category, at the end of every run; the categories "
            "are in the order of the digits that they are matched to, so that a perfect classifier is a bright diagonal.",
        ),
        {_label(result, "\n") + f": {100 * error(result.probe['codes'], data):.0f}%": shares(result.probe["codes"], data)
         for result in study},
        rows="category",
        across="digit",
        per_row=5,
    )  # fmt: skip


def _lengths(study, data):
    """Rows of what the runs of each kind had reached when the shortest of all ended, and when their own did."""
    shortest = min(result.steps for result in study)
    rows = []
    for name, title in TITLES.items():
        runs = [result for result in study if result.spec.name == name]
        for step in sorted({shortest} | {result.steps for result in runs}):
            there = [result for result in runs if step in result.kept]
            errors = [100 * error(result.kept[step]["codes"], data) for result in there]
            if there:
                rows.append(
                    [
                        title,
                        f"{step:,}",
                        f"{len(there)}",
                        f"{np.mean([bound(result, step) for result in there]):.3f}",
                        f"{np.mean(errors):.1f}%",
                        f"{min(errors):.1f}% to {max(errors):.1f}%",
                    ]
                )
    return rows


def _study(page, study, data):
    rows = []
    for result in study:
        values = {key: error(result.probe[key], data) for key in ("codes", "codes_of_batches")}
        rows.append(
            [
                _label(result),
                f"{result.steps:,}",
                f"{bound(result):.3f}",
                f"{100 * values['codes']:.1f}%",
                f"{100 * values['codes_of_batches']:.1f}%",
                f"{100 * min(error(kept['codes'], data) for kept in result.kept.values()):.1f}%",
                f"{page.evidence.frechet(result):.2f}",
            ]
        )
    head = ["run", "steps", "L_I(c1), last 100", "error of c1", "with the batch's statistics", "least error", "Fréchet"]
    page.tables.append((f"Every run. {FRECHET_NOTE}", head, rows))
    head = ["what", "after steps", "runs", "L_I(c1), mean", "error of c1, mean", "least and most"]
    page.tables.append(("By slope, weight and length", head, _lengths(study, data)))


def _two_layers(page, result):
    plots.grids(
        page.figure("two-layers.png", "The two-layer GAN", "100 draws of z, none chosen by hand."),
        {"": unit(result.probe["samples"][:100])},
        columns=10,
    )
    curves = {"discriminator": result.curve("loss_d"), "generator": result.curve("loss_g")}
    plots.lines(
        page.figure("two-layers-losses.png", "Its losses", "Means of blocks of steps."),
        curves,
        title="The two-layer GAN",
        x="step",
        y="loss, nats",
    )
    rows = [["the two-layer GAN, 10,000 samples", f"{page.evidence.frechet(result):.2f}"]]
    page.tables.append(("Fréchet distance of samples to the test images", ["samples", "distance"], rows))
    if found := of_program(result.probe):
        plots.grids(
            page.figure(
                "program.png",
                "What the article's program draws, called as printed",
                f"After {found['steps']:,} steps of both Programs, by the Program for inference: of the generator that is there as it "
                "began.",
            ),
            {"": unit(result.probe["program_samples"])},
            columns=10,
        )
        page.text.append(
            (
                "The article's program, its calls translated to paddle.static, nothing repaired",
                text_of(PROGRAM.read_text(encoding="utf-8"), "build"),
            )
        )
