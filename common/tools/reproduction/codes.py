"""What the codes of InfoGAN, of a plain GAN and of a VAE carry of the factors that made an image: what the pages on made data
take from a model and show of it."""

import hashlib
import json
from pathlib import Path

import numpy as np
import sklearn

import backends
from common.checkpoint import write_json
from common.contract import Column
from common.data import Dataset
from common.data.batches import to_bytes
from common.data.made import digest
from common.noise import draw
from common.specs.records import Spec
from common.tools import training
from common.tools.evaluation import dci
from common.tools.evaluation import factors as factors_module
from common.tools.evaluation.factors import Carried, carried
from common.tools.reproduction import plots
from common.tools.reproduction.evidence import Evidence
from common.tools.reproduction.measures import FRECHET_NOTE, KNOWN, unit, variety
from common.tools.reproduction.probe import samples
from common.tools.reproduction.report import Report
from common.tools.reproduction.results import Result

SAMPLES = 2_000
WALK, ROWS = 9, 6  # columns of a walk; its rows where a model has no category


def probe(column: Column, data: Dataset) -> dict[str, np.ndarray]:
    """Samples, the walks along every code, and the codes of the test images and of the first training images."""
    spec = column.spec
    found = {"samples": samples(column, SAMPLES)}
    for name, latents in walks(spec).items():
        found[f"walk_{name}"] = to_bytes(spec, column.sample(latents))
    found["codes"] = training.codes(column, data.test_images)
    found["known"] = training.codes(column, data.train_images[:KNOWN])
    return found


def walks(spec: Spec) -> dict[str, dict[str, np.ndarray]]:
    """{code: latents}. Of a category a row a class and a column a z; of a continuous code WALK columns from -2 to 2, a row a class
    of c1, or a z where there is no category."""
    if "latent" in spec.options:  # a VAE's code is all that it has
        size = spec.options["latent"]
        drawn = draw(spec.sampling_noise, ROWS, 0, "sampling", 2)["z"]
        return {f"z{k + 1}": {"z": _moved(drawn, k, size)} for k in range(size)}
    categories, classes, codes = (spec.options[name] for name in ("categories", "classes", "codes"))
    found = {}
    for k in range(categories):
        drawn = draw(spec.sampling_noise, WALK, 0, "sampling", 2)
        latents = {name: np.tile(value, (classes, *(1 for _ in value.shape[1:]))) for name, value in drawn.items()}
        category = latents["category"].reshape(-1, categories, classes).copy()
        category[:, k] = np.repeat(np.eye(classes), WALK, axis=0)
        found[f"c{k + 1}"] = latents | {"category": category.reshape(latents["category"].shape)}
    for k in range(codes):
        rows = min(classes, 10) if categories else ROWS
        drawn = draw(spec.sampling_noise, 1 if categories else rows, 0, "sampling", 2)
        latents = {
            name: np.repeat(np.broadcast_to(value, (rows, *value.shape[1:])), WALK, axis=0)
            for name, value in drawn.items()
        }
        if categories:
            category = latents["category"].reshape(-1, categories, classes).copy()
            category[:, 0] = np.repeat(np.eye(classes)[:rows], WALK, axis=0)
            latents["category"] = category.reshape(latents["category"].shape)
        values = latents["codes"].copy()
        values[:, k] = np.tile(np.linspace(-2, 2, WALK), rows)
        found[f"c{categories + k + 1}"] = latents | {"codes": values}
    return found


def _moved(drawn, k, size):
    values = np.repeat(drawn, WALK, axis=0)
    values[:, k] = np.tile(np.linspace(-2, 2, WALK), len(drawn))
    return values.reshape(-1, size)


def named(spec: Spec, codes: np.ndarray) -> dict[str, np.ndarray]:
    """{code: (N,)} of what `encode` gives: the most probable class of every category, an integer, and the continuous codes."""
    if "latent" in spec.options:
        return {f"z{k + 1}": values for k, values in enumerate(codes.T)}
    categories, classes = spec.options["categories"], spec.options["classes"]
    parts = [codes[:, k * classes : (k + 1) * classes].argmax(axis=1) for k in range(categories)]
    every = [*parts, *codes[:, categories * classes :].T]
    return {f"c{k + 1}": values for k, values in enumerate(every)}


def told(result: Result, data: Dataset, factors: tuple[str, ...], periods: dict[str, float]) -> Carried:
    """What the codes of the test images say of `factors`; the trees of DCI are fitted to those of the first training images.

    They take a minute a run, so that the result is kept in its folder, and measured anew where codes, factors or the measures
    themselves are others.
    """
    known = len(result.probe["known"])
    given = (
        named(result.spec, result.probe["known"]),
        {name: data.train_factors[name][:known] for name in factors},
        named(result.spec, result.probe["codes"]),
        {name: data.test_factors[name] for name in factors},
    )
    path, of = result.folder / "carried.json", _digest(given, periods)
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["of"] == of:
            return Carried.read(kept["carried"])
    found = carried(*given, periods)
    write_json(path, {"of": of, "carried": found.plain()})
    return found


def _digest(given: tuple[dict[str, np.ndarray], ...], periods: dict[str, float]) -> str:
    """Of what is measured, and of the files that measure it."""
    measures = [Path(module.__file__).read_text(encoding="utf-8") for module in (factors_module, dci)]
    of = [sklearn.__version__, str(periods), *measures, *(digest(part) for part in given)]
    return hashlib.sha256("\n".join(of).encode()).hexdigest()


def told_every(evidence: Evidence, model: str, factors: tuple[str, ...], periods: dict[str, float]) -> list[Carried]:
    """`told` of every run of the model, measured once."""
    return [
        evidence.once("told", one, lambda r: told(r, evidence.data, factors, periods)) for one in evidence.of(model)
    ]


def show(page: Report, model: str, found: dict[str, list[Carried]]) -> None:
    """All of a page on known factors: the walks of the first run of `model`, samples, the tables of `found`, distances."""
    for result in page.evidence.of(model)[:1]:
        show_walks(page, result)
    show_samples(page, page.evidence.results)
    show_factors(page, found)
    show_distances(page, page.evidence.results)


def show_walks(page: Report, result: Result) -> None:
    """A figure for every code of one run."""
    spec = result.spec
    for name in walks(spec):
        category = name.startswith("c") and int(name[1:]) <= spec.options["categories"]
        rows = f"class of {name}" if category else "class of c1" if spec.options["categories"] else "z"
        plots.matrix(
            page.figure(
                f"{spec.name}-{name}.png".replace("_", "-"),
                f"{spec.about.title}: {name}",
                "A row a class, a column one draw of everything else."
                if category
                else "Everything else of a row is one draw; training saw codes in [-1, 1] only.",
            ),
            unit(result.probe[f"walk_{name}"]),
            WALK,
            rows=rows,
            across="draw" if category else f"{name}, from -2 to 2",
        )


def show_samples(page: Report, results: list[Result]) -> None:
    """100 samples of the first run of every model, beside test images."""
    first = {result.spec.name: result for result in reversed(results)}
    sets = {"test images": unit(page.evidence.data.test_images[:100])}
    sets |= {name: unit(first[name].probe["samples"][:100]) for name in reversed(first)}
    plots.grids(page.figure("samples.png", "Samples", "None chosen by hand."), sets, columns=10, per_row=3)


def show_backends(page: Report, model: str) -> None:
    """100 samples of the first run of `model` in every framework in which it was trained."""
    first = {result.run.backend: result for result in reversed(page.evidence.of(model))}
    sets = {backends.KNOWN[name].title: unit(first[name].probe["samples"][:100]) for name in reversed(first)}
    file = f"{model}-frameworks.png".replace("_", "-")
    title = f"{page.evidence.one(model).spec.about.title}: the same in every framework"
    caption = "None chosen by hand; each framework with noise of its own."
    plots.grids(page.figure(file, title, caption), sets, columns=10)


def show_factors(page: Report, found: dict[str, list[Carried]]) -> None:
    """Tables of `found` {model: of every run}: which code follows which factor, and the three measures."""
    (factors,) = {one.factors for every in found.values() for one in every}
    rows = []
    for model, every in found.items():
        for result, one in zip(page.evidence.of(model), every, strict=True):
            best = one.correlation.argmax(axis=0)
            told = [f"{one.codes[k]} {one.correlation[k, column]:.2f}" for column, k in enumerate(best)]
            rows.append([f"`{result.run.name}`", *told])
    page.tables.append(
        (
            "The code that follows each factor best, with its rank correlation on training images (of an angle all around: "
            "circular), run by run",
            ["run", *factors],
            rows,
        )
    )
    rows = []
    for model, every in found.items():
        measures = {
            "MIG": [one.mig for one in every],
            "disentanglement": [one.disentanglement for one in every],
            "completeness": [one.completeness for one in every],
            "informativeness": [one.informativeness for one in every],
        }
        rows.append([f"`{model}`", f"{len(every)}", *(spread(values) for values in measures.values())])
    samples = {one.samples for every in found.values() for one in every}
    head = ["model", "runs", "MIG", "disentanglement", "completeness", "informativeness"]
    page.tables.append(
        (
            f"Mean of the runs (least to most); DCI of {max(samples)[0]:,} training and {max(samples)[1]:,} test images",
            head,
            rows,
        )
    )


def show_distances(page: Report, results: list[Result]) -> None:
    """Of every run whether its discriminator tells samples from images, whether the samples differ, and how far they are off."""
    rows = []
    for result in results:
        scores = [result.late(name) for name in ("score_real", "score_fake")]
        told = ["" if score is None else f"{score:.2f}" for score in scores]
        alike = f"{variety(result.probe['samples'], page.evidence.data.test_images):.0%}"
        distance = f"{page.evidence.frechet(result):.2f}"
        rows.append([f"`{result.run.name}`", f"{result.steps:,}", *told, alike, distance])
    note = (
        "D: the mean probability that it gives to images and to samples, mean of the last 100 updates. Variety: the variance of the "
        f"samples' pixels as a part of the test images'; 0% where all samples are alike. {FRECHET_NOTE}"
    )
    page.tables.append(
        (f"Every run. {note}", ["run", "steps", "D of images", "D of samples", "variety", "Fréchet"], rows)
    )


def spread(values: list[float]) -> str:
    return f"{np.mean(values):.2f}" + (f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else "")
