"""The files of a verdict: verdict.json, repro.py with its numbers, and page.html: what a stranger reads first, the heat over layers as
a picture, the tree, and the proof; self-contained."""

import io
import math
from pathlib import Path

import numpy as np

from common.checkpoint import write_atomically, write_json
from common.tools.diff import report
from common.tools.diff.verdict import Row, Verdict, differing, pair
from common.tools.pages import template

LOW, HIGH = -17, 2  # powers of ten of the picture
WIDE, TALL, LEFT = 1000, 180, 46  # its size, and where the layers begin


def write(verdict: Verdict, folder: Path) -> None:
    """verdict.json and page.html, and repro.py with its numbers where a layer is at fault; verdict.json is the last that is
    written. Each is whole or not there, and none is an earlier verdict's."""
    files = {"page.html": html(verdict).encode()}
    if verdict.repro:
        text, arrays = verdict.repro
        data = io.BytesIO()
        np.savez(data, **arrays)
        files |= {"repro.py": text.encode(), "repro.npz": data.getvalue()}
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("verdict.json", "page.html", "repro.py", "repro.npz"):
        (folder / name).unlink(missing_ok=True)
    for name, content in files.items():
        write_atomically(folder / name, content)
    write_json(folder / "verdict.json", verdict.plain())


def html(verdict: Verdict) -> str:
    about = {name: getattr(report, name) for name in ("number", "called", "proof", "anchor", "mark", "spot", "STATES", "SIGNS", "LEGEND")}  # fmt: skip
    about |= {
        "pair": pair,
        "differing": differing,
        "verdict": verdict,
        "headline": report.headline(verdict),
        "causes": [(cause, others, sentence(cause.words)) for cause, others in verdict.alike],
        "ends": report.open_ends(verdict),
        "root": report.tree(verdict),
        "named": report.places(verdict),
        "fold": len(verdict.rows) > report.MANY,
        "bars": bars(verdict),
        "lines": [(f"1e{power}" if power else "1", height(10.0**power)) for power in (-16, -12, -8, -4, 0)],
        "size": (WIDE, TALL, LEFT),
        "most": report.MOST,
        "heat": heat,
        "repro": verdict.repro[0] if verdict.repro else "",
    }
    return template("diff.html", trim_blocks=True, lstrip_blocks=True).render(about)


def sentence(words: str) -> str:
    """With a capital, but for a Greek letter, which would be another."""
    return words[:1].upper() + words[1:] if words[:1].isascii() else words


def height(value: float) -> float:
    """Where a deviation stands in the picture, from the top; what is 0 at the bottom."""
    power = HIGH if math.isinf(value) else min(max(math.log10(max(value, 1e-300)), LOW), HIGH)
    return round(TALL * (HIGH - power) / (HIGH - LOW), 1)


def bars(verdict: Verdict) -> list[dict]:
    """A bar for each layer that was called: its place, the deviations in the model and alone, and the words on it."""
    rows = [row for row in verdict.rows if row.outputs is not None]
    step, named = (WIDE - LEFT) / max(len(rows), 1), report.places(verdict)
    found = []
    for k, row in enumerate(rows):
        where, top = LEFT + (k + 0.5) * step - min(step * 0.86, 60) / 2, height(row.outputs)
        found.append({
            "x": round(where, 2), "width": round(max(min(step * 0.86, 60), 0.5), 2), "y": min(top, TALL - 2), "height": max(TALL - top, 2),
            "colour": heat(row), "state": report.state(row, named), "named": row.reference in named,
            "alone": None if row.alone is None else height(row.alone),
            "words": f"{report.called(row.reference)}: {report.number(row.outputs)}" + (f", alone {report.number(row.alone)}" if row.alone is not None else ""),
        })  # fmt: skip
    return found


def heat(row: Row) -> str:
    """A colour for the deviation of the output, from green at rounding to red at one."""
    value = row.outputs
    if value is None:
        return "#888"
    place = 1.0 if math.isinf(value) else min(max((math.log10(max(value, 1e-17)) + 14) / 14, 0.0), 1.0)
    return f"hsl({130 * (1 - place):.0f} 60% 45%)"
