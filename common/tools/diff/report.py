"""What `diff` shows on the terminal, and the words that it has for a verdict; page.py writes files."""

import math
from collections import Counter
from dataclasses import dataclass, field

from rich.console import Group
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from common.tools.diff.verdict import DIFFERENT, EQUAL, NOT_JUDGED, Cause, Row, Verdict, differing
from common.tools.pages import slug

SIGNS = {EQUAL: ("✓", "green"), DIFFERENT: ("✗", "bold red"), NOT_JUDGED: ("–", "dim")}
# Of a layer. faulty: on the same input it gives another result; named: a cause at another stage, or before it, is named there;
# downstream: only what it is given differs; unseen: it was not called.
STATES = {"faulty": ("✗", "bold red"), "named": ("✗", "bold red"), "downstream": ("~", "yellow"), "equal": ("✓", "green"), "unseen": ("–", "dim")}  # fmt: skip
LEGEND = "✓ equal   ✗ at fault   ~ only what it is given differs   – not called"
MANY = 40  # rows: what is equal is folded then
MOST = 12  # lines of causes, or of what was not covered; the rest is in verdict.json


# --------------------------------------------------------------------------------------------- in words


def number(value: float | None) -> str:
    if value is None:
        return ""
    return "0" if value == 0 else "∞" if math.isinf(value) else f"{value:.1e}"


def called(path: str | None) -> str:
    return "(none)" if path is None else path or "(the model)"


def headline(verdict: Verdict) -> str:
    if (parted := verdict.parted) is None:
        return verdict.outcome
    where = spot(verdict, parted.where, parted.name) if parted.where else "at"
    return f"{verdict.outcome}: diverging {where}{',' * bool(parted.where)} stage “{parted.name}”"


def spot(verdict: Verdict, where: str, stage: str) -> str:
    """ "at layer 3"; "before layer 3", where in a pass what it is given differs first; "at optimizer"."""
    row = next((row for row in verdict.rows if row.reference == where), None)
    before = row is not None and stage.startswith("forward") and not row.faulty
    return f"{'before' if before else 'at'} {'layer ' if row else ''}{where or '(the model)'}"


def proof(cause: Cause) -> str:
    """How a proven cause is known."""
    asked = {"gradients": "the gradients of both sides, element by element", "trajectory": "one update of both sides, with the same gradient for all biases"}  # fmt: skip
    if cause.stage in asked:
        return asked[cause.stage]
    if cause.explained is None:
        return "read off both models" if cause.left is None and not cause.guide and not cause.advice else "NumPy under each side's conventions gives that side's numbers"  # fmt: skip
    text = "NumPy with the reference's gives the reference's numbers up to {}, with the port's the port's up to {}".format(*map(number, cause.explained))  # fmt: skip
    return text + (f"; with that changed in the port's, {number(cause.left)} is left" if cause.left is not None else "")


def anchor(cause: Cause) -> str:
    """The file of the field guide, at its entry."""
    return f"docs/differences.md#{slug(cause.guide)}" if cause.guide else ""


def open_ends(verdict: Verdict) -> list[str]:
    """What was not covered, a line each: stages, then layers."""
    skipped = {}
    for stage in verdict.stages:
        if stage.verdict == NOT_JUDGED:
            skipped.setdefault("; ".join(stage.notes), []).append(stage.name)
    return [f"{', '.join(names)}: {why or 'not judged'}" for why, names in skipped.items()] + list(verdict.uncovered)


# --------------------------------------------------------------------------------------------- a tree of layers


def state(row: Row, named: dict[str, str]) -> str:
    """A key of STATES; `named` {path: stage of a cause}."""
    if row.faulty:
        return "faulty"
    if row.reference in named:
        return "named"
    if row.outputs is not None and not row.outputs <= max(row.bar, 1e-9):
        return "downstream"
    return "equal" if row.outputs is not None else "unseen"


def mark(row: Row, named: dict[str, str]) -> str:
    """What is said beside a row at which a cause is named."""
    stage = named[row.reference]
    return f"{'before it, ' if stage.startswith('forward') and not row.faulty else ''}stage “{stage}”"


def places(verdict: Verdict) -> dict[str, str]:
    """{path of the reference: the stage of the first cause that is found there}."""
    found = {}
    for cause in verdict.causes:
        found.setdefault(cause.where, cause.stage)
    return found


@dataclass
class Node:
    """A name of the tree: a layer's, or of what holds layers."""

    name: str
    row: Row | None = None
    state: str = ""
    nodes: dict[str, "Node"] = field(default_factory=dict)

    @property
    def counts(self) -> Counter:
        """Layers here and below, by state."""
        return sum((one.counts for one in self.nodes.values()), Counter([self.state] if self.row else []))

    @property
    def quiet(self) -> bool:
        """Whether nothing here or below is at fault, or was not called."""
        return self.counts.keys() <= {"equal", "downstream"}

    @property
    def summary(self) -> str:
        """ "3 equal, 2 that only what they are given makes differ"."""
        words = {"faulty": "at fault", "named": "with a cause", "downstream": "that only what they are given makes differ", "equal": "equal", "unseen": "not called"}  # fmt: skip
        return ", ".join(f"{self.counts[name]} {said}" for name, said in words.items() if self.counts[name])


def tree(verdict: Verdict) -> Node:
    """By the reference's names, in the order of calls."""
    root, named = Node(""), places(verdict)
    for row in verdict.rows:
        node = root
        for part in row.reference.split("."):
            node = node.nodes.setdefault(part, Node(part))
        node.row, node.state = row, state(row, named)
    return root


# --------------------------------------------------------------------------------------------- the terminal


def shown(verdict: Verdict) -> Group:
    """For the terminal. What matters most stands last."""
    a, b = (
        f"{name} {next(iter(versions.values()), '')}"
        for name, versions in zip(verdict.frameworks, verdict.versions, strict=True)
    )
    parts = [Text.assemble(("reference ", "dim"), a, ("   port ", "dim"), b, ("   in ", "dim"), verdict.dtype), Text()]
    if verdict.rows:
        parts += [_tree(verdict), Text()]
    parts += [stages(verdict), Text(), _conclusion(verdict)]
    return Group(*parts)


def stages(verdict: Verdict) -> Table:
    table = Table("stage", "", "deviation", "bar", "where", box=None, pad_edge=False, header_style="dim")
    for one in verdict.stages:
        sign, style = SIGNS[one.verdict]
        where = one.where if one.verdict == DIFFERENT else ""
        notes = "; ".join(one.notes[:3]) + (f"; {len(one.notes) - 3} more" if len(one.notes) > 3 else "")
        said = Text("  ".join(filter(None, (where, notes))), "" if one.verdict == DIFFERENT else "dim")
        table.add_row(Text(one.name), Text(sign, style), number(one.deviation), number(one.bar), said)
    return table


def _tree(verdict):
    title = Text.assemble(("layers: deviation of each one's output; alone: on the reference's input\n", "dim"), (LEGEND, "dim"))  # fmt: skip
    drawn, root, named = Tree(title, guide_style="dim"), tree(verdict), places(verdict)
    _branches(drawn, root, named, fold=len(verdict.rows) > MANY)
    return drawn


def _branches(drawn, node, named, fold):
    quiet = [one for one in node.nodes.values() if fold and one.quiet]
    for one in node.nodes.values():
        if one in quiet:
            continue
        line = _line(one.name, one.row, one.state, named) if one.row else Text(called(one.name))
        _branches(drawn.add(line), one, named, fold)
    if quiet:
        rest = Node("", nodes=dict(enumerate(quiet)))
        more = "and " if len(quiet) < len(node.nodes) else ""
        drawn.add(Text(f"{more}{rest.summary}", "yellow" if rest.counts["downstream"] else "green"))


def _line(name, row, how, named):
    sign, style = STATES[how]
    text = Text.assemble((f"{sign} {called(name)} ", style), row.title, (f" → {called(row.port)}", "dim"), f" {row.port_title}  ")  # fmt: skip
    if row.outputs is None:
        return text.append("not called", "dim")
    text.append(number(row.outputs), style)
    if row.alone is not None:
        text.append(", alone ", "dim").append(number(row.alone), "bold red" if row.faulty else "dim")
    if row.differ:
        text.append(f"  {differing(row.differ)}", "magenta" if how in ("faulty", "named") else "dim")
    return text.append(f"  ← {mark(row, named)}", "bold red") if row.reference in named else text


def _conclusion(verdict):
    table, causes, ends = Table.grid(padding=(0, 2, 0, 0)), verdict.alike, open_ends(verdict)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for cause, others in causes[:MOST]:
        more = f" and {len(others)} more: {', '.join(others[:3])}{' …' if len(others) > 3 else ''}" if others else ""
        title = f"{spot(verdict, cause.where, cause.stage)}{more}, stage “{cause.stage}”"
        table.add_row(Text("cause, proven" if cause.proven else "cause unknown", "bold red"), Text(title, "bold"))
        lines = {"what": cause.words, "proof": proof(cause), "change": cause.advice, "guide": anchor(cause)}
        for name, line in lines.items():
            if line and (name != "proof" or cause.proven):
                table.add_row(Text(f"  {name}"), Text(line))
    if len(causes) > MOST:
        table.add_row("", Text(f"{len(causes) - MOST} more causes, in verdict.json"))
    if verdict.initial:
        more = f"; {len(verdict.initial) - 3} more" if len(verdict.initial) > 3 else ""
        said = "; ".join(one.words for one in verdict.initial[:3]) + more
        table.add_row(Text("initial values", "cyan"), Text(f"a note, no difference: {said}"))
    for line in ends[:MOST]:
        table.add_row(Text("not covered", "yellow"), Text(line))
    if len(ends) > MOST:
        table.add_row(Text("not covered", "yellow"), Text(f"{len(ends) - MOST} more, in verdict.json"))
    sign, style = SIGNS[verdict.outcome]
    return Group(table, Text.assemble((f"{sign} {headline(verdict)}", style), (f"  ({verdict.seconds:.0f} s)", "dim")))
