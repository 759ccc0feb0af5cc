"""Article `gan`: "GAN入门实践", Mo, PyTorch."""

from pathlib import Path

import numpy as np

from common.contract import Column
from common.data import Dataset
from common.tools.reproduction import plots
from common.tools.reproduction.checks import ARTICLE, BESIDE, ELSEWHERE, OURS, Check, graded
from common.tools.reproduction.evidence import Evidence
from common.tools.reproduction.measures import FRECHET_NOTE, PARZEN_NOTE, SAMPLES, shown, unit
from common.tools.reproduction.probe import samples
from common.tools.reproduction.report import Report
from common.tools.reproduction.results import Result, Run

SAYS = (
    "A GAN of fully connected layers on MNIST: a generator from 100 normal numbers to 784 pixels and a discriminator with "
    "dropout, trained in turn on binary cross-entropy, 10 epochs of batches of 128, Adam at 2e-4 for both. The mean losses of "
    "each epoch go to a file. Where the two are in balance is a Nash equilibrium.",
    "The repository that it builds on (same networks and rate, batch 100, 200 epochs) logs mean losses D/G of 0.612/4.823 in "
    "epoch 1, 1.007/1.432 in epoch 100 and 0.853/1.727 in epoch 200; its notebook 0.915/2.447 in epoch 10.",
    "It leaves a GAN of convolutions to its readers: `gan_conv`, of the paper of Radford et al. 2015, is compared with it.",
)


def runs() -> list[Run]:
    return [Run("gan", "pytorch"), Run("gan_conv", "pytorch")]


def probe(column: Column, data: Dataset) -> dict[str, np.ndarray]:
    return {"samples": samples(column, SAMPLES)}


def epochs(result: Result) -> list[list[dict]]:
    """The metrics of training, epoch by epoch."""
    rows, per_epoch = result.training_rows, result.test_rows[0]["step"]
    return [rows[k : k + per_epoch] for k in range(0, len(rows), per_epoch)]


def means(epoch: list[dict], *names: str) -> list[float]:
    return [float(np.mean([row[name] for row in epoch])) for name in names]


# ------------------------------------------------------------------------------------------------- checks


def _balance(evidence: Evidence):
    every = epochs(evidence.one("gan"))
    first, last = (means(epoch, "score_real", "score_fake") for epoch in (every[0], every[-1]))
    ours = f"{first[0]:.2f} / {first[1]:.2f} in epoch 1, {last[0]:.2f} / {last[1]:.2f} in epoch {len(every)}"
    near = [abs(score - 0.5) for score in last]
    nearer = all(now < abs(then - 0.5) for now, then in zip(near, first, strict=True))
    return ours, graded(max(near) <= 0.05, nearer)


def _losses_of_epoch(number):
    def judge(evidence: Evidence):
        every = epochs(evidence.one("gan"))
        if len(every) < number:
            return f"the run has {len(every)} epochs", BESIDE
        d, g = means(every[number - 1], "loss_d", "loss_g")
        return f"{d:.3f} / {g:.3f}", BESIDE

    return judge


def _convolutions(evidence: Evidence):
    dense, convolutional = (evidence.frechet(evidence.one(model)) for model in ("gan", "gan_conv"))
    return f"{convolutional:.2f} against {dense:.2f}", graded(convolutional < dense, convolutional < 1.1 * dense)


def _parzen(evidence: Evidence):
    return shown(evidence.parzen(evidence.one("gan"))), BESIDE


CHECKS = (
    Check(
        what="The two networks come into balance: mean scores of real and of generated images",
        whose=ARTICLE,
        claim="Their balance is a Nash equilibrium. (There D says ½ of every image.)",
        criterion="Both mean scores of the last epoch are within 0.05 of ½; in part: both are nearer to ½ than in the first epoch. "
        "The article gives no number: the criterion is ours.",
        chance="One run; means over an epoch.",
        models=("gan",),
        judge=_balance,
    ),
    *(
        Check(
            what=f"Mean losses D/G in epoch {number}",
            whose=ELSEWHERE,
            claim=f"{published} ({where} that the article builds on)",
            criterion="None: batches of 100 there, of 128 here, so other numbers of updates an epoch.",
            chance="One run.",
            models=("gan",),
            judge=_losses_of_epoch(number),
        )
        for number, published, where in (
            (1, "0.612 / 4.823", "the log of the repository"),
            (10, "0.915 / 2.447", "a notebook of the repository"),
        )
    ),
    Check(
        what="Convolutions draw what is nearer to the test images",
        whose=OURS,
        claim="The Fréchet distance of gan_conv's samples is below that of gan's",
        criterion=f"It is, after 10 epochs of each; in part: it is less than a tenth above. {FRECHET_NOTE}",
        chance="One run of each; 10,000 samples.",
        models=("gan", "gan_conv"),
        judge=_convolutions,
    ),
    Check(
        what="Parzen log-likelihood",
        whose=ELSEWHERE,
        claim="225 ± 2 (Goodfellow et al. 2014)",
        criterion=f"None: other networks. {PARZEN_NOTE}",
        chance="One run.",
        models=("gan",),
        judge=_parzen,
    ),
)


# --------------------------------------------------------------------------------------------------- page


def report(results: list[Result], data: Dataset, out: Path, scale: float) -> Report:
    page = Report("gan", SAYS, (), CHECKS, Evidence(results, data), scale, out)
    for result in page.evidence.of("gan"):
        _dense(page, result)
    for result in page.evidence.of("gan_conv"):
        _convolutional(page, result)
    page.write()
    return page


def _dense(page, result):
    every, per_epoch = epochs(result), result.test_rows[0]["step"]
    lines = [means(epoch, "loss_d", "loss_g") for epoch in every]
    page.text.append(
        (
            "The loss file, in the article's format",
            "\n".join(
                f"[{e}/{len(lines)}]: loss_d: {d:.3f}, loss_g: {g:.3f}" for e, (d, g) in enumerate(lines, start=1)
            ),
        )
    )
    plots.line_panels(
        page.figure(
            "losses.png",
            "Losses and scores",
            "Left: the losses of both networks. Right: the discriminator's mean probability that an image is real.",
        ),
        [
            {
                "curves": {"discriminator": result.curve("loss_d"), "generator": result.curve("loss_g")},
                "title": "Losses",
                "x": "update",
                "y": "binary cross-entropy, nats",
            },
            {
                "curves": {"real": result.curve("score_real"), "generated": result.curve("score_fake")},
                "title": "What D says of real and generated images",
                "x": "update",
                "y": "mean probability of being real",
                "level": ("cannot tell", 0.5),
            },
        ],
    )
    sets = {f"epoch {round(step / per_epoch)}": unit(kept["samples"][:25]) for step, kept in result.kept.items()}
    plots.grids(
        page.figure("epochs.png", "Samples over the epochs", "The same 25 draws of z after each epoch."),
        sets,
        columns=5,
        per_row=5,
    )
    plots.grids(
        page.figure("samples.png", "Samples at the end", "100 draws of z, none chosen by hand, after the last epoch."),
        {"": unit(result.probe["samples"][:100])},
        columns=10,
    )
    measured = [
        ["Fréchet distance of samples to the test images", f"{page.evidence.frechet(result):.2f}", FRECHET_NOTE],
        [
            "sharpness of samples, of the test images'",
            f"{page.evidence.sharpness(result):.2f}",
            "Energy of the Laplacian; above 1 is noise, as single pixels of a GAN of dense layers are.",
        ],
    ]
    page.tables.append(("Measured, where nothing is published", ["what", "ours", "how"], measured))


def _convolutional(page, result):
    plots.grids(
        page.figure("conv-samples.png", "Samples of the GAN of convolutions", "100 draws of z, none chosen by hand."),
        {"": unit(result.probe["samples"][:100])},
        columns=10,
    )
    plots.lines(
        page.figure("conv-scores.png", "Its discriminator", "The mean probability that an image is real."),
        {"real": result.curve("score_real"), "generated": result.curve("score_fake")},
        title="What the D of convolutions says of real and generated images",
        x="update",
        y="mean probability of being real",
        level=("cannot tell", 0.5),
    )
    rows = [["`gan_conv`", f"{page.evidence.frechet(result):.2f}", f"{page.evidence.sharpness(result):.2f}"]]
    page.tables.append(("The GAN of convolutions", ["model", "Fréchet", "sharpness, of the test images'"], rows))
