"""Article `aae`: "PyTorch实现对抗自编码器", 专知, PyTorch."""

import numpy as np
from scipy import stats

from common.data.batches import to_bytes
from common.tools import training
from common.tools.reproduction import plots
from common.tools.reproduction.measures import (
    FRECHET_NOTE,
    PARZEN_NOTE,
    SAMPLES,
    distance,
    features,
    likelihood,
    shown,
    unit,
)
from common.tools.reproduction.probe import samples
from common.tools.reproduction.report import Report
from common.tools.reproduction.results import Run

SAYS = (
    "An adversarial autoencoder of fully connected layers with a 120-D code, whose prior is N(0, 5²). Each batch makes three "
    "updates: reconstruction (encoder and decoder), discriminator (prior against code), generator (the encoder, by an optimiser "
    "of its own). 50,000 batches of 100.",
    "Histograms of the prior and of the codes are drawn as training goes on, and are said to grow alike.",
)
NAMES = {"aae": "each update by its own loss", "aae_as_published": "as published"}
STD = 5.0  # of the prior
LIMITS = (-20.0, 20.0)


def runs():
    often = {"evaluate_every": 1000, "keep": 1000}
    return [Run("aae", "pytorch", **often), Run("aae_as_published", "pytorch", **often, bound=True)]


def probe(column, data):
    return {
        "samples": samples(column, SAMPLES),
        "codes": training.codes(column, data.test_images),
        "reconstructions": to_bytes(column.spec, training.pictures(column, data, 0)["reconstructions"]),
    }


def apart(codes: np.ndarray) -> float:
    """Wasserstein distance of all numbers in `codes` to N(0, STD²), by its quantiles: 0 when they are alike."""
    values = np.sort(np.ravel(codes).astype(np.float64))
    return float(np.mean(np.abs(values - stats.norm.ppf((np.arange(len(values)) + 0.5) / len(values), 0, STD))))


def report(results, data, out, scale):
    page = Report("aae", SAYS, (), results, data, scale, out)
    space = features(data)
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
    measured = {result.spec.name: _measure(result, data, space) for result in results}
    _claims(page, results[0], measured[results[0].spec.name])
    if len(results) > 1:
        _erratum(page, measured)
    page.write()
    return page


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


def _measure(result, data, space):
    codes = result.probe["codes"]
    first = next(iter(result.kept.values()))["codes"]
    return {
        "reconstruction": result.tests("loss_r")[1][-1],
        "first": apart(first),
        "apart": apart(codes),
        "mean": float(np.abs(codes.mean(axis=0)).mean()),
        "deviation": float(codes.std(axis=0).mean()),
        "parzen": likelihood(result.probe["samples"], data),
        "frechet": distance(space, result.probe["samples"], data),
        "step": next(iter(result.kept)),
    }


def _claims(page, result, found):
    page.verdict(
        "The codes' distribution grows like the prior's",
        "the two histograms grow alike",
        f"Wasserstein distance to N(0, 5²) {found['first']:.2f} after {found['step']:,} steps, {found['apart']:.2f} at the end",
        found["apart"] < 0.5 * found["first"] and found["apart"] < 0.1 * STD,
        "All 120 numbers of all test images together; reached means at least halved, and under a tenth of the prior's deviation.",
    )
    page.verdict(
        "Per dimension, codes of the test images",
        "mean 0, deviation 5 (the prior)",
        f"mean absolute mean {found['mean']:.2f}, mean deviation {found['deviation']:.2f}",
        None,
        "",
    )
    page.verdict(
        "Parzen log-likelihood",
        "340 ± 2 (Makhzani et al. 2015: 8-D code, networks of 1,200 units)",
        shown(found["parzen"]),
        None,
        PARZEN_NOTE,
    )
    page.verdict("Fréchet distance to the test images", "none", f"{found['frechet']:.2f}", None, FRECHET_NOTE)


def _erratum(page, measured):
    head = ["", *(NAMES[name] for name in measured)]
    rows = [
        ("reconstruction of test images, BCE per pixel", "reconstruction", "{:.4f}"),
        ("Wasserstein distance of codes to the prior", "apart", "{:.2f}"),
        ("mean absolute mean of a code's dimension (prior: 0)", "mean", "{:.2f}"),
        ("mean deviation of a code's dimension (prior: 5)", "deviation", "{:.2f}"),
        ("Fréchet distance of samples", "frechet", "{:.2f}"),
    ]
    table = [[what, *(form.format(found[key]) for found in measured.values())] for what, key, form in rows]
    table.append(["Parzen log-likelihood of samples", *(shown(found["parzen"]) for found in measured.values())])
    page.tables.append(("The erratum measured: same seed, same initial values, batches and noise", head, table))
