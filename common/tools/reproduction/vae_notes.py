"""Article `vae_notes`: "变分自编码器记录与tensorflow代码及pytorch代码分析", TensorFlow and PyTorch."""

from pathlib import Path

import numpy as np

from backends import TITLES
from common.contract import Column
from common.data import Dataset
from common.tools.figures import tile
from common.tools.reproduction import plots
from common.tools.reproduction.checks import OURS, SHORT, Check, graded
from common.tools.reproduction.evidence import Evidence
from common.tools.reproduction.measures import unit
from common.tools.reproduction.probe import samples
from common.tools.reproduction.report import Report
from common.tools.reproduction.results import Result, Run

SAYS = (
    "One variational autoencoder (784-128-100) written in TensorFlow and in PyTorch: weights N(0, 2/fan_in), the loss a mean "
    "over the batch of reconstruction and KL, Adam at 1e-3, batches of 64; 1,000,000 iterations in TensorFlow and 100,000 in "
    "PyTorch. Every 1,000 iterations it prints the loss and saves a 4×4 grid.",
    "The TensorFlow code takes the cross-entropy on logits, the PyTorch code on sigmoid outputs: the same function. Its optimiser is "
    "not the same: TensorFlow's adds ε before the bias correction. The article states no number and does not claim that the two "
    "programs agree.",
)
COMMON = 100_000  # iterations that both frameworks do
MILESTONES = (10_000, 100_000)  # iterations at which the test loss is told
SHOWN = (1, 5, 20, 100, 300, 1000)  # thousands of iterations
HAT = "vae_z100_epsilon_hat"


def runs() -> list[Run]:
    return [
        Run("vae_z100", "pytorch", steps=COMMON, evaluate_every=1000),
        Run("vae_z100", "tensorflow", steps=10 * COMMON, evaluate_every=1000),
        Run(HAT, "tensorflow", steps=10 * COMMON, evaluate_every=1000, bound=True),
    ]


def probe(column: Column, data: Dataset) -> dict[str, np.ndarray]:
    return {"samples": samples(column, 100)}


def name_of(result: Result) -> str:
    return TITLES[result.run.backend] + (", ε̂" if result.run.model == HAT else "")


def _tests(result) -> dict[int, float]:
    """{iteration: test loss}."""
    return dict(zip(*result.tests("loss"), strict=True))


# ------------------------------------------------------------------------------------------------- checks


def _two_frameworks(evidence: Evidence):
    at = [(name_of(result), _tests(result).get(COMMON)) for result in evidence.of("vae_z100")]
    if len(at) < 2 or None in dict(at).values():
        return f"no two runs of {COMMON:,} iterations", SHORT
    (_, one), (_, other) = at
    apart = abs(one - other) / min(one, other)
    return ", ".join(f"{name} {value:.2f}" for name, value in at), graded(apart <= 0.01, apart <= 0.02)


def _epsilon_hat(evidence: Evidence):
    plain = [result for result in evidence.of("vae_z100") if result.run.backend == evidence.one(HAT).run.backend]
    if not plain:
        return "no run without ε̂ in its framework", SHORT
    ours, hat = _tests(plain[0]), _tests(evidence.one(HAT))
    steps = [step for step in (*MILESTONES, 10 * COMMON) if step in ours and step in hat]
    apart = [hat[step] - ours[step] for step in steps]
    text = "; ".join(f"{hat[step]:.2f} against {ours[step]:.2f} after {step:,}" for step in steps)
    within = [abs(difference) <= 0.5 for difference in apart]
    return text or "no run has a milestone", graded(bool(within) and all(within), bool(within) and within[-1])


CHECKS = (
    Check(
        what=f"Both frameworks give the same model: test loss after {COMMON:,} iterations",
        whose=OURS,
        claim="One specification, trained in two frameworks with noise of their own, comes to the same test loss.",
        criterion="Within 1% of each other; in part: within 2%.",
        chance="One run each, with the same initial values and batches; with the same noise too, every stage of the specification is "
        "equal to rounding (docs/results.md).",
        models=("vae_z100",),
        judge=_two_frameworks,
    ),
    Check(
        what="What TensorFlow's ε̂ changes: test loss",
        whose=OURS,
        claim="The optimiser of the article's TensorFlow code takes another course and comes to the same result.",
        criterion=f"After {MILESTONES[0]:,}, {MILESTONES[1]:,} and {10 * COMMON:,} iterations the test losses with ε̂ and by Algorithm 1 are within "
        "0.5 nats; in part: at the end.",
        chance="One run each with the same initial values, batches and noise. 0.5 nats are half a percent, and more than the noise of a "
        "framework moves it.",
        models=("vae_z100", HAT),
        judge=_epsilon_hat,
    ),
)


# --------------------------------------------------------------------------------------------------- page


def report(results: list[Result], data: Dataset, out: Path, scale: float) -> Report:
    page = Report("vae_notes", SAYS, (), CHECKS, Evidence(results, data), scale, out)
    for result in results:
        _grids(page, result)
    named = {name_of(result): result for result in results}

    def terms(part: str, title: str) -> dict:
        curves = {name: result.curve(part) for name, result in named.items()}
        return {"curves": curves, "title": title, "x": "iteration", "y": "nats per image", "log": "x"}

    panels = [terms("loss", "Loss"), terms("bce", "Reconstruction (BCE)"), terms("kl", "KL")]
    plots.line_panels(
        page.figure(
            "losses.png", "The loss and its two terms in training", "Means of blocks of iterations, every run."
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
    _measured(page, named)
    page.write()
    return page


def _grids(page, result):
    name, backend = name_of(result), result.run.backend + ("-epsilon-hat" if result.run.model == HAT else "")
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


def _measured(page, named):
    rows = []
    for name, result in named.items():
        steps, values = result.tests("loss")
        best, tests = int(np.argmin(values)), _tests(result)
        at = [f"{tests[step]:.2f}" if step in tests else "" for step in MILESTONES]
        rows.append([name, *at, f"{values[-1]:.2f} after {steps[-1]:,}", f"{values[best]:.2f} after {steps[best]:,}"])
    head = ["run", *(f"after {step:,}" for step in MILESTONES), "at its end", "least"]
    page.tables.append(("Test loss per image in nats, of which the article states nothing", head, rows))
