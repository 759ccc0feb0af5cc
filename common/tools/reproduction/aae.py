"""Article `aae`: "PyTorch实现对抗自编码器", 专知, PyTorch."""

from pathlib import Path

import numpy as np

from common.contract import Column
from common.data import Dataset
from common.data.batches import to_bytes
from common.tools import training
from common.tools.reproduction import aae_series, plots
from common.tools.reproduction.aae_checks import CHECKS, STD, apart
from common.tools.reproduction.evidence import Evidence
from common.tools.reproduction.measures import FRECHET_NOTE, KNOWN, SAMPLES, shown, unit
from common.tools.reproduction.probe import samples
from common.tools.reproduction.report import Report
from common.tools.reproduction.results import Result, Run

SAYS = (
    "An adversarial autoencoder of fully connected layers with a 120-D code, whose prior is N(0, 5²). Each batch makes three "
    "updates: reconstruction (encoder and decoder), discriminator (prior against code), generator (the encoder, by an optimiser "
    "of its own). 50,000 batches of 100.",
    "Histograms of the prior and of the codes are drawn as training goes on, and are said to grow alike; in the end the generator's "
    "loss is said to fall, while the discriminator finds it ever harder to tell the two apart.",
    "It opens its series with what such models do: compress, separate content and style, classify with few labels, generate. The "
    "second and third of these are models of the paper (Makhzani et al. 2015, sections 4 to 6) and of the repository that the series "
    "follows: the decoder is given the label with the code; the encoder names a class, which a few labels or none teach it.",
)
DEVIATIONS = (
    "The models with classes or clusters are trained for 15,000 steps: the repository's 500 epochs are as many batches of 100, each "
    "ending with its 3,000 labelled images. Ours are drawn by the seed, 100 being a part of 1,000 and those of 3,000. The supervised "
    "update alone takes 3,000 steps.",
)
NAMES = {"aae": "each update by its own loss", "aae_as_published": "as published"}
LIMITS = (-20.0, 20.0)


def runs() -> list[Run]:
    often = {"evaluate_every": 1000, "keep": 1000}
    return [
        Run("aae", "pytorch", **often),
        Run("aae_as_published", "pytorch", **often, bound=True),
        *aae_series.runs(),
    ]


def probe(column: Column, data: Dataset) -> dict[str, np.ndarray]:
    found = {
        "samples": samples(column, SAMPLES),
        "codes": training.codes(column, data.test_images),
        "known": training.codes(column, data.train_images[:KNOWN]),
    }
    if column.spec.name in NAMES:
        return found | {"reconstructions": to_bytes(column.spec, training.pictures(column, data, 0)["reconstructions"])}
    return found | aae_series.probe(column)


def report(results: list[Result], data: Dataset, out: Path, scale: float) -> Report:
    page = Report("aae", SAYS, DEVIATIONS, CHECKS, Evidence(results, data), scale, out)
    if plain := [result for result in results if result.spec.name in NAMES]:
        _plain(page, plain, data)
    aae_series.show(page)
    page.write()
    return page


def _plain(page, results, data):
    for result in results:
        _codes(page, result)
    _curves(page, results)
    rows = {"original": unit(data.test_images[: training.FIGURE_IMAGES])}
    rows |= {NAMES[result.spec.name]: unit(result.probe["reconstructions"]) for result in results}
    plots.image_rows(page.figure("reconstructions.png", "Reconstructions", "The first ten test digits."), rows)
    sets = {NAMES[result.spec.name]: unit(result.probe["samples"][:100]) for result in results}
    plots.grids(
        page.figure("samples.png", "Samples from the prior", "The same 100 draws of N(0, 5²), none chosen by hand."),
        sets,
        columns=10,
        per_row=2,
    )
    _measured(page, results)


def _codes(page, result):
    steps = list(result.kept)
    chosen = sorted({steps[0], *(steps[round(k * (len(steps) - 1) / 4)] for k in range(5))})
    prior = np.random.default_rng(0).normal(0, STD, 100_000)
    shown_codes = {f"{step:,} steps": np.ravel(result.kept[step]["codes"]) for step in chosen}
    file = f"codes-{result.spec.name}.png"
    plots.histograms(
        page.figure(
            file,
            f"Prior and codes, {NAMES[result.spec.name]}",
            "Grey: the prior. Blue: all 120 numbers of the codes of 1,000 test images, as training goes on; what lies "
            "outside is counted in the outermost bars.",
        ),
        prior,
        shown_codes,
        LIMITS,
    )


def _curves(page, results):
    def of(part):
        return {NAMES[result.spec.name]: result.curve(part) for result in results}

    def along(measure):
        return {
            NAMES[result.spec.name]: (list(result.kept), [measure(kept["codes"]) for kept in result.kept.values()])
            for result in results
        }

    plots.line_panels(
        page.figure("losses.png", "The three losses in training", "Means of blocks of steps."),
        [
            {"curves": of("loss_r"), "title": "Reconstruction", "x": "step", "y": "BCE per pixel, nats"},
            {
                "curves": of("loss_d"),
                "title": "Discriminator",
                "x": "step",
                "y": "loss",
                "level": ("cannot tell", 2 * np.log(2)),
            },
            {
                "curves": of("loss_g"),
                "title": "Generator",
                "x": "step",
                "y": "loss",
                "level": ("cannot tell", np.log(2)),
            },
        ],
    )
    plots.line_panels(
        page.figure(
            "dimensions.png",
            "Mean and deviation per dimension",
            "Of the codes of 1,000 test images: each of the 120 dimensions has a mean and a deviation; their averages along "
            "training, and how far all numbers together are from N(0, 5²).",
        ),
        [
            {
                "curves": along(lambda codes: np.abs(codes.mean(axis=0)).mean()),
                "title": "Means of the code's dimensions",
                "x": "step",
                "y": "mean absolute value",
                "level": ("prior", 0.0),
            },
            {
                "curves": along(lambda codes: codes.std(axis=0).mean()),
                "title": "Their deviations",
                "x": "step",
                "y": "mean over dimensions",
                "level": ("prior", STD),
            },
            {"curves": along(apart), "title": "Distance to the prior", "x": "step", "y": "Wasserstein, all numbers"},
        ],
    )


def _measured(page, results):
    """Of each run, and so of the erratum, where both are there."""
    evidence = page.evidence
    what = {
        "reconstruction of test images, BCE per pixel": lambda r: f"{r.tests('loss_r')[1][-1]:.4f}",
        "Wasserstein distance of codes to the prior": lambda r: f"{apart(r.probe['codes']):.2f}",
        "mean absolute mean of a code's dimension (prior: 0)": lambda r: (
            f"{np.abs(r.probe['codes'].mean(axis=0)).mean():.2f}"
        ),
        "mean deviation of a code's dimension (prior: 5)": lambda r: f"{r.probe['codes'].std(axis=0).mean():.2f}",
        "Parzen log-likelihood of samples": lambda r: shown(evidence.parzen(r)),
        "Fréchet distance of samples": lambda r: f"{evidence.frechet(r):.2f}",
    }
    rows = [[name, *(measure(result) for result in results)] for name, measure in what.items()]
    caption = "Measured, where nothing is published" + (
        "; the erratum for comparison, with the same seed, initial values, batches and noise"
        if len(results) > 1
        else ""
    )
    page.tables.append((f"{caption}. {FRECHET_NOTE}", ["", *(NAMES[r.spec.name] for r in results)], rows))
