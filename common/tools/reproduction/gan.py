"""Article `gan`: "GAN入门实践", Mo, PyTorch."""

import numpy as np

from common.tools.reproduction import plots
from common.tools.reproduction.measures import (
    FRECHET_NOTE,
    PARZEN_NOTE,
    SAMPLES,
    distance,
    features,
    likelihood,
    relative_sharpness,
    shown,
    unit,
)
from common.tools.reproduction.probe import samples
from common.tools.reproduction.report import Report
from common.tools.reproduction.results import Run

SAYS = (
    "A GAN of fully connected layers on MNIST: a generator from 100 normal numbers to 784 pixels and a discriminator with "
    "dropout, trained in turn on binary cross-entropy, 10 epochs of batches of 128, Adam at 2e-4 for both. The mean losses of "
    "each epoch go to a file.",
    "The repository that it builds on (same networks and rate, batch 100, 200 epochs) logs mean losses D/G of 0.612/4.823 in "
    "epoch 1, 1.007/1.432 in epoch 100 and 0.853/1.727 in epoch 200.",
)


def runs():
    return [Run("gan", "pytorch")]


def probe(column, data):
    return {"samples": samples(column, SAMPLES)}


def report(results, data, out, scale):
    (result,) = results
    page = Report("gan", SAYS, (), results, data, scale, out)
    rows, per_epoch = result.training_rows, result.test_rows[0]["step"]
    epochs = [rows[k : k + per_epoch] for k in range(0, len(rows), per_epoch)]
    means = [[np.mean([row[name] for row in epoch]) for name in ("loss_d", "loss_g")] for epoch in epochs]
    page.text.append(
        (
            "The loss file, in the article's format",
            "\n".join(
                f"[{e}/{len(means)}]: loss_d: {d:.3f}, loss_g: {g:.3f}" for e, (d, g) in enumerate(means, start=1)
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

    d, g = means[0]
    page.verdict(
        "Mean losses D/G in epoch 1",
        "0.612 / 4.823",
        f"{d:.3f} / {g:.3f}",
        None,
        "Of the repository that the article builds on: batch 100 there, 128 here, so other numbers of updates an epoch.",
    )
    d, g = means[-1]
    page.verdict(
        f"Mean losses D/G in epoch {len(means)}",
        "none for epoch 10 (epoch 100: 1.007 / 1.432)",
        f"{d:.3f} / {g:.3f}",
        None,
        "Of the same repository.",
    )
    real, fake = (np.mean([row[name] for row in epochs[-1]]) for name in ("score_real", "score_fake"))
    page.verdict(
        "D is fooled in part: its scores of real and generated images draw together",
        "towards 0.5 / 0.5",
        f"{real:.2f} / {fake:.2f}",
        0.5 <= real <= 0.9 and 0.1 <= fake <= 0.5,
        "In the last epoch; reached means both within 0.4 of one half, on their own side of it.",
    )
    page.verdict(
        "Parzen log-likelihood",
        "225 ± 2 (Goodfellow et al. 2014, other networks)",
        shown(likelihood(result.probe["samples"], data)),
        None,
        PARZEN_NOTE,
    )
    page.verdict(
        "Fréchet distance to the test images",
        "none",
        f"{distance(features(data), result.probe['samples'], data):.2f}",
        None,
        FRECHET_NOTE,
    )
    page.verdict(
        "Sharpness of the samples, beside test images",
        "none",
        f"{relative_sharpness(result.probe['samples'], data):.2f}",
        None,
        "Energy of the Laplacian; above 1 is noise, as single pixels of a GAN of dense layers are.",
    )
    page.write()
    return page
