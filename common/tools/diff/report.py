"""What `diff` shows: a tree on the terminal, verdict.json, page.html with the same and the heat over layers, for a Verdict."""

import io
import math
from collections import Counter
from pathlib import Path

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from common.checkpoint import write_atomically, write_json
from common.tools.diff.verdict import DIFFERENT, EQUAL, NOT_JUDGED, Row, Verdict
from common.tools.pages import template

SIGNS = {EQUAL: ("✓", "green"), DIFFERENT: ("✗", "bold red"), NOT_JUDGED: ("–", "dim")}
MANY = 40  # rows that are all shown
FEW = 3  # layers that are named of which a cause says the same as of the first


def number(value: float | None) -> str:
    if value is None:
        return ""
    return "0" if value == 0 else "∞" if math.isinf(value) else f"{value:.1e}"


def shown(verdict: Verdict) -> Group:
    """For the terminal."""
    a, b = (
        f"{name} {next(iter(versions.values()), '')}"
        for name, versions in zip(verdict.frameworks, verdict.versions, strict=True)
    )
    parts = [Text.assemble(("reference ", "dim"), a, ("   port ", "dim"), b, ("   in ", "dim"), verdict.dtype)]
    if verdict.rows:
        parts += [tree(verdict.rows), Text()]
    parts += [stages(verdict), Text()]
    for cause, others in verdict.alike:
        title = "cause, proven: " if cause.proven else "unknown: "
        where = f"{cause.where}{f' and {len(others)} more' if others else ''}"
        text = Text.assemble((title, "bold red"), f"stage {cause.stage!r}, {where}: {cause.words}.")
        for name, line in (("  change: ", cause.advice), ("  guide: docs/differences.md, ", cause.guide)):
            if line:
                text.append(f"\n{name}{line}")
        if others:
            text.append(
                f"\n  likewise: {', '.join(others[:FEW])}{', ... all in verdict.json' if len(others) > FEW else ''}"
            )
        if cause.left is not None:
            text.append(f"\n  with that changed, {number(cause.left)} is left")
        parts.append(text)
    parts += [Text(f"not covered: {line}", "yellow") for line in verdict.uncovered[:20]]
    if len(verdict.uncovered) > 20:
        parts.append(Text(f"not covered: {len(verdict.uncovered) - 20} more, in verdict.json", "yellow"))
    parts.append(Text(f"{verdict.outcome}{ending(verdict)} ({verdict.seconds:.0f} s)", "bold"))
    return Group(*parts)


def ending(verdict: Verdict) -> str:
    parted = verdict.parted
    return f": they part at stage {parted.name!r}{f', {parted.where}' if parted.where else ''}" if parted else ""


def stages(verdict: Verdict) -> Table:
    table = Table("stage", "", "deviation", "bar", "where", box=None, pad_edge=False, header_style="dim")
    for one in verdict.stages:
        sign, style = SIGNS[one.verdict]
        where = one.where if one.verdict == DIFFERENT else ""
        notes = "; ".join(one.notes[:3]) + (f"; {len(one.notes) - 3} more" if len(one.notes) > 3 else "")
        table.add_row(
            one.name, Text(sign, style), number(one.deviation), number(one.bar), "  ".join(filter(None, (where, notes)))
        )
    return table


def state(row: Row) -> str:
    """ "faulty": alone on the same input it gives another result; "downstream": only what it is given differs; "equal"."""
    if row.faulty:
        return "faulty"
    if row.outputs is not None and not row.outputs <= max(row.bar, 1e-9):
        return "downstream"
    return "equal" if row.outputs is not None else "unseen"


FOLDED = {"faulty": "are at fault", "downstream": "differ as what they are given does", "equal": "are equal", "unseen": "were not called"}  # fmt: skip
STYLES = {"faulty": "bold red", "downstream": "yellow", "equal": "green", "unseen": "dim"}


def tree(rows: list[Row]) -> Tree:
    """By the reference's names; where there are many, the first that are at fault, and how many others there are."""
    root = Tree(
        Text("layers: reference → port, deviation of the output in the model, and alone on the reference's input")
    )
    branches, folded, faulty = {(): root}, Counter(), 0
    for row in rows:
        faulty += row.faulty
        if len(rows) > MANY and not (row.faulty and faulty <= MANY):
            folded[state(row)] += 1
            continue
        parts = tuple(row.reference.split("."))
        for depth in range(1, len(parts)):
            if parts[:depth] not in branches:
                branches[parts[:depth]] = branches[parts[: depth - 1]].add(Text(parts[depth - 1]))
        branches[parts[:-1]].add(_line(parts[-1], row))
    for name, count in folded.items():
        root.add(Text(f"{count} more {FOLDED[name]}", STYLES[name]))
    return root


def _line(name, row):
    text = Text.assemble(
        (name, STYLES[state(row)]), f"  {row.title}", (f" → {row.port}", "dim"), f" {row.port_title}  "
    )
    if row.outputs is None:
        return text.append("was not called", "dim")
    text.append(number(row.outputs), STYLES[state(row)])
    if row.alone is not None:
        text.append(", alone ", "dim").append(number(row.alone), "bold red" if row.faulty else "")
    if row.differ:
        text.append(f"  {', '.join(f'{k} {a} | {b}' for k, (a, b) in row.differ.items())}", "magenta")
    return text


def heat(row: Row) -> str:
    """A colour for the deviation of the output, from green at rounding to red at one."""
    value = row.outputs
    if value is None:
        return "#ccc"
    place = 1.0 if math.isinf(value) else min(max((math.log10(max(value, 1e-17)) + 16) / 16, 0.0), 1.0)
    return f"hsl({120 * (1 - place):.0f} 65% 45%)"


def write(verdict: Verdict, folder: Path) -> None:
    """verdict.json and page.html, and repro.py with its numbers where a layer is at fault."""
    folder.mkdir(parents=True, exist_ok=True)
    if verdict.repro:
        text, arrays = verdict.repro
        write_atomically(folder / "repro.py", text.encode())
        data = io.BytesIO()
        np.savez(data, **arrays)
        write_atomically(folder / "repro.npz", data.getvalue())
    write_json(folder / "verdict.json", verdict.plain())
    about = {
        "verdict": verdict,
        "number": number,
        "state": state,
        "heat": heat,
        "signs": SIGNS,
        "ending": ending(verdict),
    }
    write_atomically(folder / "page.html", template("diff.html").render(**about).encode())
