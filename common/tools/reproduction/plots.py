"""The figures of the reproductions. Images are (N, 28, 28) in [0, 1]; every function writes one file."""

import io
from pathlib import Path

import numpy as np
from matplotlib import ticker
from PIL import Image

from common.checkpoint import write_atomically
from common.tools.figures import plt, save_figure, show, tile

# Okabe and Ito's colours, told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
FRAMES, FRAME_MILLISECONDS = 60, 120


def lines(
    path: Path,
    curves: dict,
    *,
    title: str,
    x: str,
    y: str,
    log: str = "",
    level: tuple[str, float] | None = None,
    band: tuple[float, float] | None = None,
) -> None:
    """{label: (xs, ys)} as one plot, `log` "x", "y" or "xy"; `level` (label, value) is a horizontal line, `band` limits y.

    Several curves under one label, as {label: [(xs, ys), ...]}, share its colour.
    """
    figure, axis = plt.subplots(figsize=(7, 3.8))
    draw_lines(axis, curves, title=title, x=x, y=y, log=log, level=level)
    if band:
        axis.set_ylim(*band)
    save_figure(figure, path)


def line_panels(path: Path, panels: list[dict]) -> None:
    """Several `lines` side by side; a panel is a dict of the arguments of `draw_lines`."""
    figure, axes = plt.subplots(1, len(panels), figsize=(4.6 * len(panels), 3.8))
    for axis, panel in zip(np.atleast_1d(axes), panels, strict=True):
        draw_lines(axis, **panel)
    save_figure(figure, path)


def draw_lines(
    axis: plt.Axes, curves: dict, *, title: str, x: str, y: str, log: str = "", level: tuple[str, float] | None = None
) -> None:
    if len(curves) > len(COLOURS):
        raise ValueError(f"{len(curves)} labels for {len(COLOURS)} colours; put curves under common labels")
    for colour, (label, found) in zip(COLOURS, curves.items(), strict=False):
        for xs, ys in found if isinstance(found, list) else [found]:
            axis.plot(xs, ys, color=colour, label=label, linewidth=1.4, marker="." if len(xs) < 30 else None)
            label = None  # one entry in the legend
    if level:
        axis.axhline(level[1], color="#666666", linestyle="--", linewidth=1, label=level[0])
    axis.set(title=title, xlabel=x, ylabel=y)
    for name in log:
        getattr(axis, f"set_{name}scale")("log")
        place = getattr(axis, f"{name}axis")
        place.set_major_formatter(ticker.LogFormatter())  # 60 for 6 × 10¹
        place.set_minor_formatter(ticker.LogFormatter())
    if len(curves) > 1 or level:
        axis.legend(facecolor="white", edgecolor="none", framealpha=0.75)  # readable where it covers a curve
    axis.grid(alpha=0.25)


def image_rows(path: Path, rows: dict[str, np.ndarray]) -> None:
    """One row of images under another, each with its label on the left."""
    count = max(len(images) for images in rows.values())
    figure, axes = plt.subplots(len(rows), 1, figsize=(1.6 + 0.62 * count, 0.7 * len(rows)), squeeze=False)
    for axis, (label, images) in zip(axes[:, 0], rows.items(), strict=True):
        show(axis, tile(images, columns=len(images)))
        axis.set_ylabel(label, rotation=0, ha="right", va="center")
    save_figure(figure, path)


def grids(path: Path, sets: dict[str, np.ndarray], columns: int, per_row: int = 4) -> None:
    """Grids of images side by side, `columns` images wide, each under its title."""
    size = max(2.6, 0.45 * columns)
    figure, axes = _panels(len(sets), per_row, size, size + 0.3)
    for axis, (title, images) in zip(axes.flat, sets.items(), strict=False):
        show(axis, tile(images, columns=columns))
        axis.set_title(title, fontsize=10)
    save_figure(figure, path)


def _panels(count, per_row, width, height, **options):
    """(figure, axes) of `count` panels of that many inches in rows; what is left of the last row stays empty."""
    per_row = min(per_row, count)
    rows = -(-count // per_row)
    figure, axes = plt.subplots(rows, per_row, figsize=(width * per_row, height * rows), squeeze=False, **options)
    for axis in axes.flat[count:]:
        axis.axis("off")
    return figure, axes


def matrix(path: Path, images: np.ndarray, columns: int, *, rows: str, across: str) -> None:
    """One grid whose rows and columns mean something."""
    height = -(-len(images) // columns)
    figure, axis = plt.subplots(figsize=(0.9 + 0.55 * columns, 0.8 + 0.55 * height))
    show(axis, tile(images, columns=columns))
    axis.set(xlabel=across, ylabel=rows)
    save_figure(figure, path)


def tables(path: Path, sets: dict[str, np.ndarray], *, rows: str, across: str, per_row: int = 4) -> None:
    """Square tables of shares in [0, 1] as shades, side by side, each under its title."""
    figure, axes = _panels(len(sets), per_row, 2.7, 2.9, layout="constrained")
    for axis, (title, shares) in zip(axes.flat, sets.items(), strict=False):
        shades = axis.imshow(shares, cmap="cividis", vmin=0, vmax=1)
        axis.set(xticks=range(shares.shape[1]), yticks=[])
        axis.tick_params(labelsize=8, length=0)
        axis.set_title(title, fontsize=9)
    figure.supxlabel(across, fontsize=9)
    figure.supylabel(rows, fontsize=9)
    figure.colorbar(shades, ax=axes, fraction=0.02)
    save_figure(figure, path, tight=False)


def scatter(path: Path, codes: np.ndarray, labels: np.ndarray, title: str) -> None:
    """(N, 3) codes coloured by digit, in three projections."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.4), layout="constrained")
    for axis, (a, b) in zip(axes, ((0, 1), (0, 2), (1, 2)), strict=True):
        points = axis.scatter(codes[:, a], codes[:, b], c=labels, cmap="tab10", vmin=-0.5, vmax=9.5, s=3, linewidths=0)
        axis.set(xlabel=f"code {a + 1}", ylabel=f"code {b + 1}")
    axes[1].set_title(title)
    figure.colorbar(points, ax=axes, ticks=range(10), label="digit", fraction=0.02)
    save_figure(figure, path, tight=False)


def histograms(path: Path, prior: np.ndarray, codes: dict[str, np.ndarray], limits: tuple[float, float]) -> None:
    """The prior's histogram behind that of the codes, once for each title in `codes`."""
    bins = np.linspace(*limits, 81)
    figure, axes = plt.subplots(1, len(codes), figsize=(2.9 * len(codes), 3), sharey=True, squeeze=False)
    for axis, (title, values) in zip(axes[0], codes.items(), strict=True):
        axis.hist(np.clip(prior, *limits), bins, density=True, color="#BBBBBB", label="prior")
        axis.hist(np.clip(values, *limits), bins, density=True, histtype="step", color=COLOURS[0], label="codes")
        axis.set_title(title, fontsize=10)
    axes[0, 0].legend(frameon=False, fontsize=8)
    save_figure(figure, path)


def animation(path: Path, frames: list[np.ndarray]) -> None:
    """A GIF of at most FRAMES grey pictures (H, W) in [0, 1]; the first ones as they come, then ever sparser."""
    wanted = np.unique(np.geomspace(1, len(frames), min(FRAMES, len(frames))).round().astype(int)) - 1
    pictures = [Image.fromarray(np.rint(frames[k] * 255).astype(np.uint8)).quantize(16) for k in wanted]
    buffer = io.BytesIO()
    durations = [FRAME_MILLISECONDS] * (len(pictures) - 1) + [3000]
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0)
    write_atomically(path, buffer.getvalue())
