"""Article `aae`: "PyTorch实现对抗自编码器", 专知, PyTorch."""

import numpy as np
from scipy import stats

from common.data.batches import to_bytes
from common.tools import training
from common.tools.reproduction import plots
from common.tools.reproduction.checks import ARTICLE, BESIDE, ELSEWHERE, Check, graded
from common.tools.reproduction.evidence import Evidence
from common.tools.reproduction.measures import FRECHET_NOTE, PARZEN_NOTE, SAMPLES, shown, unit
from common.tools.reproduction.probe import samples
from common.tools.reproduction.report import Report
from common.tools.reproduction.results import Run

SAYS = (
    "An adversarial autoencoder of fully connected layers with a 120-D code, whose prior is N(0, 5²). Each batch makes three "
    "updates: reconstruction (encoder and decoder), discriminator (prior against code), generator (the encoder, by an optimiser "
    "of its own). 50,000 batches of 100.",
    "Histograms of the prior and of the codes are drawn as training goes on, and are said to grow alike; in the end the generator's "
    "loss is said to fall, while the discriminator finds it ever harder to tell the two apart.",
)
NAMES = {"aae": "each update by its own loss", "aae_as_published": "as published"}
STD, PARTS = 5.0, 10  # of the prior; of a run
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


# ------------------------------------------------------------------------------------------------- checks


def _alike(evidence: Evidence):
    result = evidence.one("aae")
    step, first = next(iter(result.kept.items()))
    first, last = apart(first["codes"]), apart(result.probe["codes"])
    ours = f"Wasserstein distance to N(0, 5²) {first:.2f} after {step:,} steps, {last:.2f} at the end"
    return ours, graded(last <= 0.5 * first and last <= 0.1 * STD, last <= 0.5 * first)


def tenths(result, name: str) -> np.ndarray:
    """Means of a loss over each tenth of the run."""
    return np.array([np.mean(part) for part in np.array_split([row[name] for row in result.training_rows], PARTS)])


def _closing(evidence: Evidence):
    result = evidence.one("aae")
    g, d = tenths(result, "loss_g"), tenths(result, "loss_d")
    onwards = np.diff(g) < 0, np.diff(d) > 0  # from each tenth to the next
    # Until when, counted from the end, both go the way that is claimed.
    held = next((k for k, both in enumerate((onwards[0] & onwards[1])[::-1]) if not both), PARTS - 1)
    ours = f"tenths of the run: G {_listed(g)}; D {_listed(d)}; both as claimed over the last {held} of {PARTS - 1} changes"
    whole = g[-1] < g[0] and d[-1] > d[0] and all(np.sum(one) >= PARTS - 2 for one in onwards)
    return ours, graded(whole, held >= (PARTS - 1) / 2)


def _listed(values):
    return ", ".join(f"{value:.2f}" for value in values)


def _parzen(evidence: Evidence):
    return shown(evidence.parzen(evidence.one("aae"))), BESIDE


CHECKS = (
    Check(
        what="The codes' distribution grows like the prior's",
        whose=ARTICLE,
        claim="As training goes on the histogram of the codes grows like that of the prior.",
        criterion="The Wasserstein distance of all 120 numbers of all test images to N(0, 5²) is at least halved from the first evaluation "
        "to the end, and under a tenth of the prior's deviation; in part: halved.",
        chance="One run.",
        models=("aae",),
        judge=_alike,
    ),
    Check(
        what="The two adversarial losses",
        whose=ARTICLE,
        claim="The generator's loss falls, and the discriminator finds it ever harder to tell (its loss rises towards 2 ln 2 = 1.39).",
        criterion="Of ten tenths of the run, the generator's mean loss falls and the discriminator's rises from each to the next, with one "
        "exception each at most, and from the first to the last; in part: without exception over the last half of the run.",
        chance="One run; means over 5,000 steps.",
        models=("aae",),
        judge=_closing,
    ),
    Check(
        what="Parzen log-likelihood",
        whose=ELSEWHERE,
        claim="340 ± 2 (Makhzani et al. 2015: 8-D code, networks of 1,200 units)",
        criterion=f"None: other networks. {PARZEN_NOTE}",
        chance="One run.",
        models=("aae",),
        judge=_parzen,
    ),
)


# --------------------------------------------------------------------------------------------------- page


def report(results, data, out, scale):
    page = Report("aae", SAYS, (), CHECKS, Evidence(results, data), scale, out)
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
        "; the erratum beside, with the same seed, initial values, batches and noise" if len(results) > 1 else ""
    )
    page.tables.append((f"{caption}. {FRECHET_NOTE}", ["", *(NAMES[r.spec.name] for r in results)], rows))
