"""Article `autoencoders`: "深度学习自动编码器还能用于数据生成？这篇文章告诉你答案", Liao Xingyu, PyTorch."""

import dataclasses

import numpy as np

from common.data.batches import to_bytes
from common.tools import training
from common.tools.reproduction import plots
from common.tools.reproduction.measures import (
    FRECHET_NOTE,
    SAMPLES,
    distance,
    features,
    relative_sharpness,
    unit,
)
from common.tools.reproduction.probe import samples
from common.tools.reproduction.report import Report
from common.tools.reproduction.results import Run

SAYS = (
    "Three models on MNIST: an autoencoder whose code is three numbers, a convolutional one, and a variational autoencoder "
    "with a 20-D code. Codes are specific to the data and lossy; a variational autoencoder can draw new pictures, better ones "
    "than the plain autoencoder's; they stay blurrier than a GAN's.",
    "The article prints the networks and the VAE's loss. Rate, batch, epochs, decay and normalisation come from the repository "
    "that it links.",
)
DEVIATIONS = ("Each model's notes stand with its run below; the errata of the VAE's loss among them.",)
WALKS, STEPS = 6, 12
PUBLISHED = 105.6  # nats per image after 10 epochs, public PyTorch VAE example


def runs():
    return [Run("autoencoder", "pytorch", keep=10_000), Run("conv_autoencoder", "pytorch"), Run("vae", "pytorch")]


def probe(column, data):
    spec = column.spec
    mirrored = dataclasses.replace(data, test_images=np.ascontiguousarray(data.test_images[:, :, ::-1]))
    found = {
        "reconstructions": to_bytes(spec, training.pictures(column, data, 0)["reconstructions"]),
        "codes": training.codes(column, data.test_images),
        "mirrored": np.array(training.evaluate(column, mirrored, 0)["loss"]),
    }
    if spec.sample:
        found |= {"samples": samples(column, SAMPLES), "walk": to_bytes(spec, column.sample({"z": _walk(found, data)}))}
    return found


def _walk(found, data):
    """Straight lines between the codes of test digits 0 and 1, 1 and 2, ...: (WALKS · STEPS, latent)."""
    first = [int(np.flatnonzero(data.test_labels == digit)[0]) for digit in range(WALKS + 1)]
    ends, along = found["codes"][first].astype(np.float64), np.linspace(0, 1, STEPS)[:, None]
    return np.concatenate([a + along * (b - a) for a, b in zip(ends, ends[1:], strict=False)])


def report(results, data, out, scale):
    page = Report("autoencoders", SAYS, DEVIATIONS, results, data, scale, out)
    found = {result.spec.name: result for result in results}
    _losses(page, found)
    rows = {"original": unit(data.test_images[: training.FIGURE_IMAGES])}
    rows |= {name: unit(result.probe["reconstructions"]) for name, result in found.items()}
    plots.image_rows(
        page.figure(
            "reconstructions.png",
            "Reconstructions side by side",
            "The first ten test digits and what each model makes of them, through 3, 8×2×2 and 20 numbers.",
        ),
        rows,
    )
    for name in ("autoencoder", "conv_autoencoder"):
        if name in found:
            _autoencoder(page, found[name], data)
    if "vae" in found:
        _vae(page, found["vae"], data)
    page.write()
    return page


def _losses(page, found):
    panels = [
        {
            "curves": {"training": result.curve("loss"), "test": result.tests("loss")},
            "title": name,
            "x": "update",
            "y": "squared error, pixels in [-1, 1]" if result.spec.reduction == "mean" else "nats per image",
        }
        for name, result in found.items()
    ]
    for panel, result in zip(panels, found.values(), strict=True):
        if result.spec.reduction == "sum":  # the batch's sum in training, the mean per image in the test
            steps, values = panel["curves"]["training"]
            panel["curves"]["training"] = (steps, values / result.description["options"]["batch_size"])
    plots.line_panels(
        page.figure("losses.png", "Loss curves", "In training and, once an epoch, on the test images."), panels
    )


def _autoencoder(page, result, data):
    name = result.spec.name
    if name == "autoencoder":
        plots.scatter(
            page.figure(
                "codes.png",
                "The 3-D code",
                "Every test digit as a point, in three projections: digits of one class lie together though no label was used.",
            ),
            result.probe["codes"],
            data.test_labels,
            "Codes of the test images, by digit",
        )
    error = result.tests("loss")[1][-1]
    page.verdict(
        f"{name}: test error",
        "none",
        f"{error:.4f} (pixels in [-1, 1]; {error / 4:.4f} in [0, 1])",
        None,
        f"Mean squared error over pixels after {result.test_rows[-1]['epoch']:g} epochs; the article states no number.",
    )
    mirrored = result.probe["mirrored"].item()
    page.verdict(
        f"{name}: the code is specific to its data",
        "what it was not trained on comes back worse",
        f"error of mirrored test digits {mirrored:.4f}, {mirrored / error:.1f} times that of upright ones",
        mirrored > error,
        "",
    )


def _vae(page, result, data):
    plots.grids(
        page.figure("samples.png", "Samples of the VAE", "100 draws of the prior, none chosen by hand."),
        {"": unit(result.probe["samples"][:100])},
        columns=10,
    )
    plots.matrix(
        page.figure(
            "walk.png", "The latent walk", "Straight lines between the codes of two test digits, in twelve steps."
        ),
        unit(result.probe["walk"]),
        STEPS,
        rows="",
        across="from one test digit's code to another's",
    )
    if (tenth := result.test_at("loss", 10)) is not None:
        page.verdict(
            "vae: test loss per image after 10 epochs",
            f"{PUBLISHED} (public PyTorch VAE example: the same network, loss, rate and batch)",
            f"{tenth:.2f} nats",
            abs(tenth - PUBLISHED) <= 0.5,
            "Reached means within 0.5.",
        )
    row = result.test_rows[-1]
    page.verdict(
        f"vae: test loss per image after {row['epoch']:g} epochs",
        "none",
        f"{row['test']['loss']:.2f} nats ({row['test']['bce']:.2f} reconstruction, {row['test']['kl']:.2f} KL)",
        None,
        "",
    )
    sharp = relative_sharpness(result.probe["samples"], data)
    page.verdict(
        "vae: its pictures are blurred",
        "blurrier than a GAN's",
        f"sharpness {sharp:.2f} of the test images'",
        sharp < 1,
        "Energy of the Laplacian; the GAN's is in the report of article gan.",
    )
    page.verdict(
        "vae: Fréchet distance of its samples to the test images",
        "none",
        f"{distance(features(data), result.probe['samples'], data):.2f}",
        None,
        FRECHET_NOTE,
    )
