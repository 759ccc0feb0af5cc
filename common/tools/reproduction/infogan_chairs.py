"""InfoGAN on 3-D chairs: whether a code carries their rotation, and another their width, measured."""

from pathlib import Path

import numpy as np

from common.data import Dataset
from common.tools.evaluation.factors import Carried
from common.tools.reproduction import codes
from common.tools.reproduction.checks import OURS, PAPER, Check, graded
from common.tools.reproduction.evidence import Evidence
from common.tools.reproduction.report import Report
from common.tools.reproduction.results import Result, Run

SAYS = (
    "Stand-in data: 63 chairs and stools rendered here (docs/data.md), not the paper's 1,393. Azimuth, elevation, chair and width "
    "of each image are known, so that what a code carries is measured.",
    "The paper (Chen et al. 2016, section 7.2 and appendix C.5) finds the rotation of chairs in its continuous code, or, with "
    "other weights, their width. Article `infogan` shows its pictures.",
)
DEVIATIONS = (
    "InfoGAN and the plain GAN: batches of 32, where the paper's code has 128, and 300 of 5,000 updates. At 128 one takes 3.6 "
    "seconds on two cores. Their samples stay grey patterns. What has `joint` in its name is a quarter as wide, sees 1,000 batches of "
    "64, and its trunk's batch norms see real and generated images in one batch (why: docs/reproducing.md).",
    "The paper shows no number for chairs. All criteria are ours, written down before the first run.",
)
FACTORS, PERIODS = ("azimuth", "elevation", "chair", "width"), {"azimuth": 360.0}
SEEDS, FOLLOWS = 3, 0.7
SHORT = {"steps": 300, "evaluate_every": 300, "batch": 32}
JOINT = {"steps": 1_000, "evaluate_every": 1_000, "batch": 64}
RUNS = {  # of each model its seeds and its length
    "infogan_chairs": (SEEDS, SHORT),
    "infogan_chairs_width": (1, SHORT),
    "infogan_chairs_plain": (SEEDS, SHORT),
    "infogan_chairs_joint": (SEEDS, JOINT),
    "infogan_chairs_joint_plain": (SEEDS, JOINT),
    "vae_chairs": (SEEDS, {"evaluate_every": 300}),
}


def runs() -> list[Run]:
    return [Run(model, "pytorch", seed, **length) for model, (seeds, length) in RUNS.items() for seed in range(seeds)]


probe = codes.probe


def told(evidence: Evidence, model: str) -> list[Carried]:
    return codes.told_every(evidence, model, FACTORS, PERIODS)


def _correlation(one, code, factor):
    return float(one.correlation[one.codes.index(code), FACTORS.index(factor)])


def _follows(model, code, factor):
    def judge(evidence: Evidence):
        every = told(evidence, model)
        found = [_correlation(one, code, factor) for one in every]
        first = [one.correlation[one.codes.index(code)].argmax() == FACTORS.index(factor) for one in every]
        text = f"{code}: " + ", ".join(f"{value:.2f}" for value in found)
        return text, graded(float(np.mean(found)) >= FOLLOWS, all(first))

    return judge


def _above(model, other, name, measure):
    """Reached if every seed of `model` is above all of `other`, in part if the mean is."""

    def judge(evidence: Evidence):
        ours, theirs = ([measure(one) for one in told(evidence, each)] for each in (model, other))
        text = f"{name} {codes.spread(ours)} against {codes.spread(theirs)}"
        return text, graded(min(ours) > max(theirs), float(np.mean(ours)) > float(np.mean(theirs)))

    return judge


CHECKS = (
    Check(
        what="The continuous code is the rotation",
        whose=PAPER,
        claim="The continuous code captures the pose of the chair (section 7.2; weights 10 and 1)",
        criterion=f"Circular correlation of c4 with the azimuth, mean of the seeds, at least {FOLLOWS}; in part: with every seed it is "
        "the factor that c4 follows best.",
        chance=f"{SEEDS} seeds.",
        models=("infogan_chairs",),
        judge=_follows("infogan_chairs", "c4", "azimuth"),
        runs=0,
    ),
    Check(
        what="With other weights it is the width",
        whose=PAPER,
        claim="A continuous code interpolates between widths (section 7.2; weights .05 and 2)",
        criterion=f"Rank correlation of c4 with the width at least {FOLLOWS}; in part: it is the factor that c4 follows best.",
        chance="One run.",
        models=("infogan_chairs_width",),
        judge=_follows("infogan_chairs_width", "c4", "width"),
        runs=0,
    ),
    Check(
        what="The rotation, in a joint batch and with lighter weights",
        whose=OURS,
        claim="The continuous code captures the pose of the chair once the samples are chairs (weights 0.1 and 0.1)",
        criterion=f"Circular correlation of c4 with the azimuth, mean of the seeds, at least {FOLLOWS}; in part: with every seed it is "
        "the factor that c4 follows best.",
        chance=f"{SEEDS} seeds, the first seen before this was written.",
        models=("infogan_chairs_joint",),
        judge=_follows("infogan_chairs_joint", "c4", "azimuth"),
        runs=0,
    ),
    Check(
        what="The rotation, more than the same networks as a plain GAN follow it",
        whose=OURS,
        claim="The bound in G's objective is what makes the continuous code the rotation",
        criterion="The least circular correlation of c4 with the azimuth is above the plain GAN's largest; in part: the mean is above "
        "the other's.",
        chance=f"{SEEDS} seeds of each, the first of each seen before this was written.",
        models=("infogan_chairs_joint", "infogan_chairs_joint_plain"),
        judge=_above(
            "infogan_chairs_joint",
            "infogan_chairs_joint_plain",
            "c4",
            lambda one: _correlation(one, "c4", "azimuth"),
        ),
        runs=0,
    ),
    *(
        Check(
            what=f"More than {name}",
            whose=OURS,
            claim=f"InfoGAN's codes are better separated than those of {name}",
            criterion="The least MIG of the seeds is above the other's largest; in part: the mean is above the other's.",
            chance=f"{SEEDS} seeds of each.",
            models=("infogan_chairs", model),
            judge=_above("infogan_chairs", model, "MIG", lambda one: one.mig),
            runs=0,
        )
        for model, name in (
            ("infogan_chairs_plain", "the same networks as a plain GAN"),
            ("vae_chairs", "a VAE with as many numbers in its code"),
        )
    ),
)


def report(results: list[Result], data: Dataset, out: Path, scale: float) -> Report:
    page = Report("infogan_chairs", SAYS, DEVIATIONS, CHECKS, Evidence(results, data), scale, out)
    found = {model: told(page.evidence, model) for model in RUNS if page.evidence.of(model)}
    codes.show(page, "infogan_chairs_joint", found)  # walks of the others are grey patterns, as their samples
    page.write()
    return page
