"""What article `aae` announces, and its paper has: style apart from content, classes from a few labels, clusters without any."""

import numpy as np

from common.contract import Column
from common.data.batches import to_bytes
from common.noise import draw
from common.tools.reproduction import plots
from common.tools.reproduction.aae_checks import LABELS, PAPERS, SEEDS, errors, spread
from common.tools.reproduction.measures import FRECHET_NOTE, unit
from common.tools.reproduction.report import Report
from common.tools.reproduction.results import Run

STYLES = 8  # rows of a figure
FEW = {
    "aae_few_labels": "the repository's settings",
    "aae_few_labels_paper": "the paper's settings",
    "aae_few_labels_supervised": "the labels alone",
}
ALONE = "aae_few_labels_supervised"
CLUSTERS = {"aae_clusters": "16 clusters", "aae_clusters_30": "30 clusters"}
PUBLIC = {3000: 3.5}  # of so many labels, in percent; the paper's are PAPERS


def runs() -> list[Run]:
    """One of `aae_style`, SEEDS of all others, and of each number of labels."""
    return [
        Run("aae_style", "pytorch", evaluate_every=1000),
        *(
            Run(model, "pytorch", seed, evaluate_every=1500 if model != ALONE else 500, keep=10_000, labelled=count)
            for count in LABELS
            for model in FEW
            for seed in range(SEEDS)
        ),
        *(Run(model, "pytorch", seed, evaluate_every=1000) for model in CLUSTERS for seed in range(SEEDS)),
    ]


def probe(column: Column) -> dict[str, np.ndarray]:
    """ "styles" of all classes: STYLES rows of one z; "heads" of z = 0, which is the middle of the prior."""
    (category, classes), (z, size) = ((noise.name, noise.shape[0]) for noise in column.spec.sampling_noise)
    drawn = draw(column.spec.sampling_noise, STYLES, 0, "sampling", 2)[z]
    every = {"styles": np.repeat(drawn, classes, axis=0), "heads": np.zeros((classes, size))}
    found = {}
    for name, values in every.items():
        one_hot = np.tile(np.eye(classes), (len(values) // classes, 1))
        found[name] = to_bytes(column.spec, column.sample({category: one_hot, z: values}))
    return found


def show(page: Report) -> None:
    """The figures and tables of those of the series' models that were run."""
    evidence = page.evidence
    for result in evidence.of("aae_style"):
        _style(page, result)
    if few := {model: evidence.of(model) for model in FEW if evidence.of(model)}:
        _few(page, few)
    if clusters := {model: evidence.of(model) for model in CLUSTERS if evidence.of(model)}:
        _clusters(page, clusters)


def _style(page, result):
    plots.matrix(
        page.figure(
            "style.png", "Style apart from content", "A row is one z, drawn from the prior; a column, a digit."
        ),
        unit(result.probe["styles"]),
        10,
        rows="style",
        across="digit, 0 to 9",
    )
    rows = [["`aae_style`, z (2)", *_told(page.evidence, result)]]
    rows += [["`aae`, code (120)", *_told(page.evidence, one)] for one in page.evidence.of("aae")]
    page.tables.append(
        (
            "How often a classifier errs that is given the code, on the test images: fitted to the codes of the first 10,000 training "
            "images; 88.7% are wrong where it knows nothing",
            ["code", "logistic regression", "5 nearest"],
            rows,
        )
    )


def _told(evidence, result):
    return [f"{100 * error:.1f}%" for error in evidence.told(result)]


def _few(page, few):
    data, panels = page.evidence.data, []
    for count in LABELS:
        curves = {}
        for model, title in FEW.items():
            for result in few.get(model, []):
                if result.run.labelled == count:
                    found = [100 * np.mean(_classes(kept) != data.test_labels) for kept in result.kept.values()]
                    curves.setdefault(title, []).append((list(result.kept), found))
        if curves:
            level = ("paper", PAPERS[count][0]) if count in PAPERS else ("public", PUBLIC[count])
            panels.append(
                {
                    "curves": curves,
                    "title": f"{count:,} labels",
                    "x": "step",
                    "y": "error, %",
                    "log": "y",
                    "level": level,
                }
            )
    plots.line_panels(
        page.figure(
            "labels.png", "Error on the test images", "Every run, a line a seed; the encoder's most probable class."
        ),
        panels,
    )
    rows = []
    for model, title in FEW.items():
        if model in few:
            found = {count: errors(page.evidence, model, count) for count in LABELS}
            rows.append([title, *(spread(one) if one else "" for one in found.values())])
    rows.append(["the paper", *(f"{e:.2f} ± {d:.2f}%" for e, d in PAPERS.values()), ""])
    head = ["", *(f"{count:,} labels" for count in LABELS)]
    page.tables.append(("Error on the test images, mean of the seeds (least to most)", head, rows))
    (first, *_) = next(iter(few.values()))
    plots.matrix(
        page.figure(
            "labels-styles.png", "Classes and styles", f"Of {first.run.name}: a row is one z; a column, a class."
        ),
        unit(first.probe["styles"]),
        10,
        rows="style",
        across="class, 0 to 9",
    )


def _classes(kept):
    """The most probable classes in the codes [y, z] of `aae_few_labels`."""
    return kept["codes"][:, :10].argmax(axis=1)


def _clusters(page, clusters):
    error = page.evidence.label_error
    for model, results in clusters.items():
        plots.image_rows(
            page.figure(
                f"{model}.png",
                f"Heads of {CLUSTERS[model]}",
                "Each cluster's picture at z = 0, the middle of the prior; a row a seed, with its error.",
            ),
            {f"seed {r.run.seed}: {100 * error(r):.1f}%": unit(r.probe["heads"]) for r in results},
        )
    rows = [
        [CLUSTERS[r.spec.name], f"{r.run.seed}", f"{100 * error(r):.2f}%", f"{page.evidence.frechet(r):.2f}"]
        for results in clusters.values()
        for r in results
    ]
    page.tables.append((f"Clusters, every run. {FRECHET_NOTE}", ["", "seed", "error", "Fréchet distance"], rows))
