"""Article `vae_notes`: "变分自编码器记录与tensorflow代码及pytorch代码分析", TensorFlow and PyTorch."""

import numpy as np

from backends import TITLES
from common.tools.figures import tile
from common.tools.reproduction import plots
from common.tools.reproduction.measures import unit
from common.tools.reproduction.probe import samples
from common.tools.reproduction.report import Report
from common.tools.reproduction.results import Run

SAYS = (
    "One variational autoencoder (784-128-100) written in TensorFlow and in PyTorch: weights N(0, 2/fan_in), the loss a mean "
    "over the batch of reconstruction and KL, Adam at 1e-3, batches of 64; 1,000,000 iterations in TensorFlow and 100,000 in "
    "PyTorch. Every 1,000 iterations it prints the loss and saves a 4×4 grid.",
    "The TensorFlow code takes the cross-entropy on logits, the PyTorch code on sigmoid outputs: the same function.",
)
COMMON = 100_000  # iterations that both frameworks do
MILESTONES = (10_000, 100_000)  # iterations at which the test loss is told
SHOWN = (1, 5, 20, 100, 300, 1000)  # thousands of iterations


def runs():
    return [
        Run("vae_z100", "pytorch", steps=COMMON, evaluate_every=1000),
        Run("vae_z100", "tensorflow", steps=10 * COMMON, evaluate_every=1000),
        Run("vae_z100_epsilon_hat", "tensorflow", steps=10 * COMMON, evaluate_every=1000, bound=True),
    ]


def probe(column, data):
    return {"samples": samples(column, 100)}


def report(results, data, out, scale):
    page = Report("vae_notes", SAYS, (), results, data, scale, out)
    for result in results:
        name, backend = TITLES[result.run.backend], result.run.backend
        every = next(iter(result.kept))
        grids = {step: tile(unit(kept["samples"][:16]), columns=4) for step, kept in result.kept.items()}
        plots.animation(
            page.figure(
                f"grids-{backend}.gif",
                f"The 4×4 grid every {every:,} iterations, {name}",
                f"The same 16 draws of the prior along training, {len(grids)} grids of which the later ones are thinned out.",
            ),
            list(grids.values()),
        )
        chosen = [k * every for k in SHOWN if k * every in result.kept]
        sets = {f"{step:,}": unit(result.kept[step]["samples"][:16]) for step in chosen}
        if sets:
            plots.grids(
                page.figure(
                    f"grids-{backend}.png", f"Some of these grids, {name}", "After as many iterations as stand above."
                ),
                sets,
                columns=4,
                per_row=6,
            )
    named = {TITLES[result.run.backend]: result for result in results}

    def terms(part, title):
        curves = {name: result.curve(part) for name, result in named.items()}
        return {"curves": curves, "title": title, "x": "iteration", "y": "nats per image", "log": "x"}

    panels = [terms("loss", "Loss"), terms("bce", "Reconstruction (BCE)"), terms("kl", "KL")]
    plots.line_panels(
        page.figure(
            "losses.png", "The loss and its two terms in training", "Means of blocks of iterations, both frameworks."
        ),
        panels,
    )
    curves = {name: result.tests("loss") for name, result in named.items()}
    plots.lines(
        page.figure(
            "test.png",
            "Test loss",
            "Mean over the test images of reconstruction and KL, one draw of ε per image.",
        ),
        curves,
        title="Test loss",
        x="iteration",
        y="nats per image",
        log="x",
    )

    common = min(result.steps for result in results)
    at = {name: dict(zip(*result.tests("loss"), strict=True))[common] for name, result in named.items()}
    if len(at) > 1:
        spread = (max(at.values()) - min(at.values())) / min(at.values())
        page.verdict(
            f"Both frameworks give the same model: test loss after {common:,} iterations",
            "the same function, so the same",
            ", ".join(f"{name} {value:.2f}" for name, value in at.items()),
            spread <= 0.01,
            "Other noise in each, the same initial values and batches; reached means within 1%. With the same noise every "
            "stage is equal to 1e-13 (docs/results.md).",
        )
    for name, result in named.items():
        steps, values = result.tests("loss")
        best, by_step = int(np.argmin(values)), dict(zip(steps, values, strict=True))
        shown = ", ".join(f"{by_step[k]:.2f} after {k:,}" for k in MILESTONES if k in by_step and k < steps[-1])
        page.verdict(
            f"Test loss in {name} after {steps[-1]:,} iterations",
            "none",
            f"{values[-1]:.2f} (best {values[best]:.2f} after {steps[best]:,})" + (f"; {shown}" if shown else ""),
            None,
            "The article states no number.",
        )
    page.write()
    return page
