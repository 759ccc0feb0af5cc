"""Article `autoencoders`: "深度学习自动编码器还能用于数据生成？这篇文章告诉你答案", Liao Xingyu, PyTorch."""

import dataclasses
from pathlib import Path

import numpy as np

from common.contract import Column
from common.data import Dataset
from common.data.batches import BATCH, model_inputs, to_bytes
from common.noise import draw, stream
from common.reference.networks import Networks
from common.tools import training
from common.tools.reproduction import plots
from common.tools.reproduction.checks import ARTICLE, ELSEWHERE, SHORT, Check, graded
from common.tools.reproduction.evidence import Evidence
from common.tools.reproduction.measures import FRECHET_NOTE, SAMPLES, greyness, unit
from common.tools.reproduction.probe import samples
from common.tools.reproduction.report import Report
from common.tools.reproduction.results import Result, Run

SAYS = (
    "Three models on MNIST: an autoencoder whose code is three numbers, a convolutional one, and a variational autoencoder "
    "with a 20-D code. Codes are specific to the data and lossy; a variational autoencoder can draw new pictures, and its results "
    "are much better than the plain autoencoder's; they stay blurrier than a GAN's.",
    "The article prints the networks and the VAE's loss. The autoencoders' loss, rate, batch, epochs, decay and normalisation come "
    "from the repository that it links.",
)
DEVIATIONS = (
    "Each model's notes stand with its run below; the errata of the VAE's loss among them.",
    "The article has no GAN; the one that its VAE is compared with is that of article gan, at its own length.",
)
WALKS, STEPS = 6, 12
PUBLISHED = 105.6  # nats per image after 10 epochs, public PyTorch VAE example
AUTOENCODERS = ("autoencoder", "conv_autoencoder", "vae")


def runs() -> list[Run]:
    return [
        Run("autoencoder", "pytorch", keep=10_000),
        Run("conv_autoencoder", "pytorch"),
        Run("vae", "pytorch"),
        Run("gan", "pytorch"),
    ]


def probe(column: Column, data: Dataset) -> dict[str, np.ndarray]:
    spec = column.spec
    mirrored = dataclasses.replace(data, test_images=np.ascontiguousarray(data.test_images[:, :, ::-1]))
    returned = _reconstructed(column, data.test_images)
    found = {
        "reconstructions": returned[: training.FIGURE_IMAGES],
        "error": np.mean((unit(returned) - unit(data.test_images)) ** 2),
        "exact": np.mean((returned == data.test_images).all(axis=(1, 2))),
        "codes": training.codes(column, data.test_images),
        "mirrored": np.array(training.evaluate(column, mirrored, 0)["loss"]),
    }
    if spec.sample:
        return found | {
            "samples": samples(column, SAMPLES),
            "walk": to_bytes(spec, column.sample({"z": _walk(found, data)})),
        }
    return found | {"drawn": _drawn(column, found["codes"])}


def _reconstructed(column, images):
    """uint8 (N, 28, 28): each through the code and back."""
    parts = []
    for number, start in enumerate(range(0, len(images), BATCH)):
        inputs = model_inputs(column.spec, {"images": images[start : start + BATCH]})
        noise = draw(column.spec.noise, len(inputs["images"]), 0, "evaluation", number)
        parts.append(to_bytes(column.spec, column.reconstruct(inputs, noise)))
    return np.concatenate(parts)


def _drawn(column, codes):
    """uint8 (SAMPLES, 28, 28): pictures of a model without a prior, of codes from the normal distribution that has the mean and
    the covariance of `codes`."""
    flat = codes.reshape(len(codes), -1).astype(np.float64)
    values = stream(0, "sampling", "codes").multivariate_normal(flat.mean(0), np.cov(flat, rowvar=False), SAMPLES)
    networks = Networks(column.spec, column.parameters(), column.statistics(), training=False)
    return to_bytes(column.spec, networks.decoder(values.reshape(-1, *codes.shape[1:])))


def _walk(found, data):
    """Straight lines between the codes of test digits 0 and 1, 1 and 2, ...: (WALKS · STEPS, latent)."""
    first = [int(np.flatnonzero(data.test_labels == digit)[0]) for digit in range(WALKS + 1)]
    ends, along = found["codes"][first].astype(np.float64), np.linspace(0, 1, STEPS)[:, None]
    return np.concatenate([a + along * (b - a) for a, b in zip(ends, ends[1:], strict=False)])


# ------------------------------------------------------------------------------------------------- checks


def _specific(evidence: Evidence):
    ratios = {
        name: evidence.one(name).probe["mirrored"].item() / evidence.one(name).tests("loss")[1][-1]
        for name in AUTOENCODERS
    }
    worse = [ratio > 1 for ratio in ratios.values()]
    ours = "loss of mirrored digits: " + ", ".join(f"{name} {ratio:.2f} times" for name, ratio in ratios.items())
    return ours, graded(all(worse), any(worse))


def _lossy(evidence: Evidence):
    exact = {name: evidence.one(name).probe["exact"].item() for name in AUTOENCODERS}
    ours = "come back exactly: " + ", ".join(f"{name} {100 * share:.2g}%" for name, share in exact.items())
    return ours, graded(not any(exact.values()), max(exact.values()) <= 0.001)


def _better(evidence: Evidence):
    plain, vae = evidence.one("autoencoder"), evidence.one("vae")
    errors = [result.probe["error"].item() for result in (plain, vae)]
    distances = [evidence.frechet(plain, "drawn"), evidence.frechet(vae)]
    ours = (
        f"squared error of a pixel {errors[1]:.4f} (autoencoder {errors[0]:.4f}); Fréchet distance of drawn pictures "
        f"{distances[1]:.2f} (autoencoder {distances[0]:.2f})"
    )
    halved = [vae <= 0.5 * plain for plain, vae in (errors, distances)]
    return ours, graded(all(halved), any(halved))


def _blurred(evidence: Evidence):
    vae, gan = evidence.one("vae"), evidence.one("gan")
    sharp = [evidence.sharpness(result) for result in (vae, gan)]
    grey = [greyness(unit(result.probe["samples"])) for result in (vae, gan)]
    ours = f"sharpness {sharp[0]:.2f} (GAN {sharp[1]:.2f}); {100 * grey[0]:.0f}% of the ink is grey (GAN {100 * grey[1]:.0f}%)"
    return ours, graded(sharp[0] < sharp[1] and grey[0] > grey[1], sharp[0] < sharp[1] or grey[0] > grey[1])


def _tenth_epoch(evidence: Evidence):
    tenth = evidence.one("vae").test_at("loss", 10)
    if tenth is None:
        return "the run has no tenth epoch", SHORT
    return f"{tenth:.2f} nats", graded(abs(tenth - PUBLISHED) <= 0.5, abs(tenth - PUBLISHED) <= 1)


CHECKS = (
    Check(
        what="Codes are specific to their data",
        whose=ARTICLE,
        claim="An autoencoder compresses only what is like the data that it was trained on.",
        criterion="Mirrored test digits have a larger loss than upright ones in all three models; in part: in some.",
        chance="One run each, means over all test images.",
        models=AUTOENCODERS,
        judge=_specific,
    ),
    Check(
        what="Codes are lossy",
        whose=ARTICLE,
        claim="What is decoded is worse than what was encoded.",
        criterion="No test image comes back as it was, to its 256 grey levels, in any of the three; in part: at most one in 1,000.",
        chance="One run each, all test images.",
        models=AUTOENCODERS,
        judge=_lossy,
    ),
    Check(
        what="The VAE is much better than the plain autoencoder",
        whose=ARTICLE,
        claim="The variational autoencoder's results are much better than the plain autoencoder's.",
        criterion="Both of these are at most half of the autoencoder's: the squared error of reconstructed test images, and the Fréchet "
        "distance of drawn pictures to the test images (of the autoencoder, which has no prior, from the normal distribution of its "
        "codes); in part: one of them.",
        chance="One run each. The article's two codes are of 20 and of 3 numbers, which is left as it is.",
        models=("autoencoder", "vae"),
        judge=_better,
    ),
    Check(
        what="The VAE's pictures are blurrier than a GAN's",
        whose=ARTICLE,
        claim="Its pictures are blurred compared with those of a GAN.",
        criterion="Compared with the samples of article gan's model: less sharp (energy of the Laplacian, which noise raises too) and a larger part "
        "of the ink grey (pixels from 0.25 to 0.75, which noise does not make); in part: one of them.",
        chance="One run each, 10,000 samples.",
        models=("vae", "gan"),
        judge=_blurred,
    ),
    Check(
        what="VAE: test loss per image after 10 epochs",
        whose=ELSEWHERE,
        claim=f"{PUBLISHED} (the public PyTorch VAE example: the same network, loss, rate and batch)",
        criterion="Within 0.5 nats; in part: within 1.",
        chance="One run; a seed moves it by 0.1 to 0.2.",
        models=("vae",),
        judge=_tenth_epoch,
        runs=0,
    ),
)


# --------------------------------------------------------------------------------------------------- page


def report(results: list[Result], data: Dataset, out: Path, scale: float) -> Report:
    page = Report("autoencoders", SAYS, DEVIATIONS, CHECKS, Evidence(results, data), scale, out)
    found = {result.spec.name: result for result in results}
    coders = {name: found[name] for name in AUTOENCODERS if name in found}
    if coders:
        _losses(page, coders)
        rows = {"original": unit(data.test_images[: training.FIGURE_IMAGES])}
        rows |= {name: unit(result.probe["reconstructions"]) for name, result in coders.items()}
        plots.image_rows(
            page.figure(
                "reconstructions.png",
                "Reconstructions side by side",
                "The first ten test digits and what each model makes of them, through 3, 8×2×2 and 20 numbers.",
            ),
            rows,
        )
    if "autoencoder" in found:
        plots.scatter(
            page.figure(
                "codes.png",
                "The 3-D code",
                "Every test digit as a point, in three projections: digits of one class lie together though no label was used.",
            ),
            found["autoencoder"].probe["codes"],
            data.test_labels,
            "Codes of the test images, by digit",
        )
    drawn = {
        name: unit(result.probe["drawn" if "drawn" in result.probe else "samples"][:100])
        for name, result in found.items()
    }
    plots.grids(
        page.figure(
            "samples.png",
            "Drawn pictures",
            "100 each, none chosen by hand: the VAE's and the GAN's from their priors, the autoencoders', which have none, from the "
            "normal distribution of their codes.",
        ),
        drawn,
        columns=10,
    )
    if "vae" in found:
        plots.matrix(
            page.figure(
                "walk.png", "The latent walk", "Straight lines between the codes of two test digits, in twelve steps."
            ),
            unit(found["vae"].probe["walk"]),
            STEPS,
            rows="",
            across="from one test digit's code to another's",
        )
    _measured(page, found)
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


def _measured(page, found):
    """What no article states."""
    rows, evidence = [], page.evidence
    for name, result in found.items():
        row, drawn = [name, f"{result.test_rows[-1]['epoch']:g}"], "drawn" if "drawn" in result.probe else "samples"
        if name in AUTOENCODERS:
            test = result.test_rows[-1]["test"]
            parts = f" ({test['bce']:.2f} reconstruction, {test['kl']:.2f} KL)" if "kl" in test else ""
            row += [f"{test['loss']:.4g}{parts}", f"{result.probe['error'].item():.4f}"]
        else:
            row += ["", ""]
        rows.append([*row, f"{evidence.frechet(result, drawn):.2f}"])
    head = ["model", "epochs", "test loss", "squared error of a pixel in [0, 1]", "Fréchet distance of drawn pictures"]
    page.tables.append((f"Measured on the test images, where nothing is published. {FRECHET_NOTE}", head, rows))
