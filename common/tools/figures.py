"""The pictures of training, comparison and benchmarks, as PNG."""

import io
from pathlib import Path

import matplotlib
import numpy as np

from backends import KNOWN
from common.checkpoint import write_atomically
from common.data.batches import to_images
from common.specs.records import Spec

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402  (the backend must be chosen first)
from matplotlib import ticker  # noqa: E402

STYLES = {name: backend.line for name, backend in KNOWN.items()}  # widths differ because the curves coincide


def tile(images: np.ndarray, columns: int, gap: int = 2, zoom: int = 2) -> np.ndarray:
    """(N, H, W) in [0, 1], or (N, H, W, 3) in colour -> one picture with `columns` images a row on a mid-grey ground."""
    rows = -(-len(images) // columns)
    cell = images.shape[1] + gap
    canvas = np.full((rows * cell + gap, columns * cell + gap, *images.shape[3:]), 0.5)
    for k, image in enumerate(images):
        top, left = k // columns * cell + gap, k % columns * cell + gap
        canvas[top : top + cell - gap, left : left + cell - gap] = image
    return canvas.repeat(zoom, axis=0).repeat(zoom, axis=1)


def grid(spec: Spec, pixels: np.ndarray, path: Path) -> None:
    """Samples as a square grid."""
    _save_pixels(tile(to_images(spec, pixels), columns=int(np.ceil(np.sqrt(len(pixels))))), path)


def reconstructions(spec: Spec, pictures: dict[str, np.ndarray], path: Path) -> None:
    """Originals above their reconstructions."""
    rows = np.concatenate([to_images(spec, pictures[name]) for name in ("originals", "reconstructions")])
    _save_pixels(tile(rows, columns=len(pictures["originals"])), path)


def loss_curves(spec: Spec, metrics: dict[str, list[dict]], path: Path) -> None:
    """A row of plots per objective: the loss in training of each backend, overlaid, and how far they are apart."""
    objectives = [update.objective for update in spec.updates]
    columns = 2 if len(metrics) > 1 else 1
    size = (11 if columns == 2 else 7, 3.8 * len(objectives))
    figure, axes = plt.subplots(len(objectives), columns, figsize=size, squeeze=False)
    for row, objective in zip(axes, objectives, strict=True):
        curves = {backend: curve(rows, objective) for backend, rows in metrics.items()}
        for backend, (steps, values) in curves.items():
            row[0].plot(steps, values, label=backend, **STYLES[backend])
        row[0].set(
            title=f"{spec.name}: {objective} in training", xlabel="training step", ylabel=f"{objective} of the batch"
        )
        if all(np.min(values) > 0 for _, values in curves.values()):  # InfoGAN's objectives are not
            row[0].set_yscale("log")
        if columns == 2:
            first, (steps, base) = next(iter(curves.items()))
            for backend, (_, values) in list(curves.items())[1:]:
                style = STYLES[backend] | {"linewidth": 1.5, "alpha": 1.0}
                distance = np.maximum.accumulate(np.abs(values - base) / np.abs(base))
                row[1].plot(steps, np.maximum(distance, 1e-8), label=backend, **style)
            row[1].set(title=f"float32: largest relative distance from {first} so far", xlabel="training step")
            row[1].set(yscale="log", ylim=(1e-8, max(1, row[1].get_ylim()[1])))
        for axis in row:
            axis.legend(frameon=False)
            axis.grid(alpha=0.25)
    save_figure(figure, path)


def growth(spec: Spec, deviations: dict[tuple[str, str], list], path: Path) -> None:
    """How far parameters and running statistics get from the oracle along the updates, by (dtype, backend)."""
    figure, axis = plt.subplots(figsize=(7, 3.8))
    for (dtype, backend), rows in deviations.items():
        label = backend if dtype == "float64" else None
        steps, values = [step for step, _, _ in rows], [max(value, 1e-17) for _, value, _ in rows]
        axis.plot(steps, values, label=label, marker="." if dtype == "float64" else "x", **STYLES[backend])
    axis.set(title=f"{spec.name}: deviation from the oracle; · float64, × float32", xlabel="updates", yscale="log")
    axis.set(ylabel="largest relative deviation", ylim=(1e-17, 10))
    axis.legend(frameon=False)
    axis.grid(alpha=0.25)
    save_figure(figure, path)


def throughput(rows: list[dict], modes: tuple[str, ...], path: Path) -> None:
    """Milliseconds per update of every model: a panel each, a group of bars a mode, a bar a backend, the floor as a line."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    across = min(4, len(models))
    down = -(-len(models) // across)
    figure, axes = plt.subplots(down, across, figsize=(3.6 * across, 2.9 * down), squeeze=False, layout="constrained")
    for axis in axes.flat[len(models) :]:
        axis.axis("off")
    for axis, model in zip(axes.flat, models, strict=False):
        own = [row for row in rows if row["model"] == model and "median" in row]
        shown = [mode for mode in modes if any(row["mode"] == mode for row in own)]
        for k, (backend, style) in enumerate(STYLES.items()):
            values = {row["mode"]: row for row in own if row["backend"] == backend}
            places = [shown.index(mode) + 0.2 * (k - 1.5) for mode in values]
            heights = [1e3 * row["median"] for row in values.values()]
            spread = [[1e3 * abs(row["median"] - row[end]) for row in values.values()] for end in ("least", "most")]
            axis.bar(places, heights, 0.18, yerr=spread, color=style["color"], label=backend)
        if floors := {row["floor"] for row in own if "floor" in row}:
            axis.axhline(1e3 * min(floors), color="#666666", linestyle="--", linewidth=1, label="lower bound")
        axis.set(title=model, yscale="log", ylabel="ms per update")
        axis.set_xticks(range(len(shown)), shown, rotation=30 if len(shown) > 4 else 0)
        axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("")
        axis.grid(axis="y", alpha=0.25)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=8, loc="outside upper center", ncols=len(labels))
    save_figure(figure, path, tight=False)


def sweep(rows: list[dict], over: str, path: Path) -> None:
    """Time of an update over `over` ("batch" or "hidden"), and its multiple of the lower bound: a panel each a model."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    figure, axes = plt.subplots(len(models), 2, figsize=(9, 3.4 * len(models)), squeeze=False)
    for (left, right), model in zip(axes, models, strict=True):
        own = [row for row in rows if row["model"] == model and "floor" in row]
        for backend, style in STYLES.items():
            line = sorted((row for row in own if row["backend"] == backend), key=lambda row: row[over])
            places = [row[over] for row in line]
            shown = {"color": style["color"], "marker": "o", "markersize": 4, "label": backend}
            left.plot(places, [1e3 * row["median"] for row in line], **shown)
            right.plot(places, [row["times_floor"] for row in line], **shown)
        floors = sorted({(row[over], 1e3 * row["floor"]) for row in own})
        left.plot(*zip(*floors, strict=True), color="#666666", linestyle="--", linewidth=1, label="lower bound")
        right.axhline(1, color="#666666", linestyle="--", linewidth=1)
        name = {"batch": "batch size", "hidden": "hidden units"}[over]
        for axis, label in ((left, "ms per update"), (right, "times the lower bound")):
            axis.set(title=model, xscale="log", yscale="log", xlabel=name, ylabel=label)
            axis.set_xticks([place for place, _ in floors], [str(place) for place, _ in floors])
            axis.minorticks_off()
            axis.grid(alpha=0.25)
        right.set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    axes[0, 0].legend(frameon=False, fontsize=8)
    save_figure(figure, path)


def curve(rows: list[dict], name: str, points: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """(steps, losses), as means of blocks of steps where there are many: single batches would only be noise."""
    steps = [row for row in rows if "test" not in row]
    block = max(1, len(steps) // points)
    steps = steps[: len(steps) // block * block]
    return tuple(np.reshape([row[key] for row in steps], (-1, block)).mean(axis=1) for key in ("step", name))


def side_by_side(spec: Spec, pictures: dict[str, dict[str, np.ndarray]], folder: Path) -> list[Path]:
    """Reconstructions of every backend under the originals, and samples side by side, where the model has them."""
    paths, first = [], next(iter(pictures.values()))
    if "reconstructions" in first:
        paths.append(folder / f"{spec.name}-reconstructions.png")
        rows = {"original": first["originals"]} | {name: images["reconstructions"] for name, images in pictures.items()}
        figure, axes = plt.subplots(len(rows), 1, figsize=(8, 0.85 * len(rows)))
        for axis, (name, pixels) in zip(axes, rows.items(), strict=True):
            show(axis, tile(to_images(spec, pixels), columns=len(pixels)))
            axis.set_ylabel(name, rotation=0, ha="right", va="center")
        save_figure(figure, paths[-1])
    if "samples" in first:
        paths.append(folder / f"{spec.name}-samples.png")
        figure, axes = plt.subplots(1, len(pictures), figsize=(3 * len(pictures), 3.3), squeeze=False)
        for axis, (name, images) in zip(axes[0], pictures.items(), strict=True):
            show(axis, tile(to_images(spec, images["samples"][:64]), columns=8))
            axis.set_title(name)
        save_figure(figure, paths[-1])
    return paths


def show(axis: plt.Axes, pixels: np.ndarray) -> None:
    """A picture (H, W) or (H, W, 3) in [0, 1], without axes."""
    axis.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="none")
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def _save_pixels(pixels, path):
    buffer = io.BytesIO()
    plt.imsave(buffer, pixels, cmap="gray", vmin=0, vmax=1, format="png")
    write_atomically(path, buffer.getvalue())


def save_figure(figure: plt.Figure, path: Path, tight: bool = True) -> None:
    """Write and close a figure; `tight` lays it out first, which figures with a shared colour bar or legend do themselves."""
    if tight:
        figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, format="png", pil_kwargs={"optimize": True})
    plt.close(figure)
    write_atomically(path, buffer.getvalue())
