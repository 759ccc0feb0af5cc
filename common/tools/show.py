"""Tables for the terminal: a specification, and the result of a comparison."""

import math
import re
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from backends import TITLES
from common import parity
from common.data import Dataset
from common.environment import ROOT
from common.specs.layers import Layer
from common.specs.records import Momentum, Optimizer, RMSProp, Spec
from common.tools import sections
from common.tools.articles import ARTICLES

if TYPE_CHECKING:  # it brings Matplotlib, which no table needs
    from common.tools.compare import ModelReport


def tables(spec: Spec) -> list[Table | str]:
    """Networks with shapes and parameter counts, noise, updates, hyperparameters, notes."""
    article = ARTICLES[spec.about.article]
    length = f"{spec.training.epochs} epochs" if spec.training.epochs else f"{spec.training.steps:,} steps"
    head = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for key, value in (
        ("model", f"{spec.name}: {spec.about.title}"),
        ("article", f"{spec.about.article} ({article.frameworks}): {article.title}"),
        ("source", spec.about.source),
        (
            "input",
            f"(B, {', '.join(map(str, spec.images.shape))}), pixels in [{spec.images.pixels[0]:g}, {spec.images.pixels[1]:g}]",
        ),
        ("losses", f"{spec.reduction} over the batch"),
        ("training", f"batch {spec.training.batch_size}, {length}"),
        (
            "compared at",
            f"{spec.training.parity_rate:g} of the learning rates"
            if spec.training.parity_rate != 1
            else "the learning rates",
        ),
        ("initial values", f"{spec.initial}: {spec.initial.__doc__}"),
        ("code", " ".join(f"backends/*/{spec.module}.py".split())),
        ("fingerprint", spec.fingerprint()),
    ):
        head.add_row(Text(key, "bold"), value)
    return [head, _networks(spec), _noise(spec), _updates(spec), *(f"• {note}" for note in spec.about.notes)]


def _networks(spec):
    table = Table("network", "layer", "kind", "output shape", "parameters", title="Networks", box=box.SIMPLE_HEAD)
    table.columns[-1].justify = "right"
    for column in table.columns[:2]:
        column.no_wrap = True
    for network in spec.networks:
        name = network.name
        for layer, shape in network.rows():
            count = size(layer)
            row = (layer.name, kind(layer), f"(B, {', '.join(map(str, shape))})", f"{count:,}" if count else "")
            table.add_row(name, *row)
            name = ""
        table.add_section()
    table.add_row(Text("total", "bold"), "", "", "", Text(f"{spec.parameter_count():,}", "bold"))
    return table


def size(layer: Layer) -> int:
    """How many parameters a layer has."""
    return sum(math.prod(shape) for shape in layer.parameters.values())


def kind(layer: Layer) -> str:
    """What a layer is, and to what it is set besides its sizes: "Conv kernel 3, stride 2, padding 1, no bias"."""
    settings = {
        key: value for key, value in vars(layer).items() if key not in ("name", "inputs", "outputs", "features")
    }
    parts = [f"{key} {value:g}" for key, value in settings.items() if isinstance(value, (int, float)) and key != "bias"]
    parts += ["no bias"] if settings.get("bias") is False else []
    return f"{type(layer).__name__ if layer.parameters else ''} {', '.join(parts)}".strip()


def _noise(spec):
    if not spec.noise and not spec.sampling_noise:
        return "No randomness in a step."
    table = Table(
        "name", "used by", "shape", "distribution", title="Noise, drawn afresh each time", box=box.SIMPLE_HEAD
    )
    table.columns[0].no_wrap = True
    uses = [(record, "update " + " and ".join(spec.users(record))) for record in spec.noise]
    for record, used_by in uses + [(record, "sample") for record in spec.sampling_noise]:
        table.add_row(record.name, used_by, f"(B, {', '.join(map(str, record.shape))})", str(record.distribution))
    return table


def _updates(spec):
    table = Table(
        "update",
        "minimises",
        "moves",
        "rate",
        "β1",
        "β2",
        "ε",
        "L2",
        title="Updates of one step, in order",
        box=box.SIMPLE_HEAD,
    )
    for update in spec.updates:
        table.add_row(update.name, update.objective, ", ".join(update.networks), *numbers(update.optimizer))
    return table


def numbers(optimizer: Optimizer) -> list[str]:
    """Rate, β1, β2, ε and L2, as tables have them; of gradient descent rate and momentum, of RMSProp
    rate, decay and ε."""
    if isinstance(optimizer, Momentum):
        steps = zip(optimizer.steps.at, optimizer.steps.factors, strict=True)
        rate = f"{optimizer.learning_rate:g}" + "".join(f", × {factor:g} after {at:,}" for at, factor in steps)
        return [rate, f"momentum {optimizer.momentum:g}", "", "", ""]
    if isinstance(optimizer, RMSProp):
        return [f"{optimizer.learning_rate:g}", f"decay {optimizer.decay:g}", "", f"{optimizer.epsilon:g}", ""]
    epsilon = f"{optimizer.epsilon:g}" + (" (ε̂)" if optimizer.epsilon_hat else "")
    rate, beta1, beta2 = (f"{n:g}" for n in (optimizer.learning_rate, optimizer.beta1, optimizer.beta2))
    return [rate, beta1, beta2, epsilon, f"{optimizer.l2:g}"]


def code(spec: Spec, backends: tuple[str, ...]) -> Table:
    """The model's files in columns as wide as the terminal allows; sections of one name stand level."""
    sources = {b: (ROOT / f"backends/{b}/{spec.module}.py").read_text(encoding="utf-8") for b in backends}
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), expand=True)
    for backend in backends:
        table.add_column(f"{TITLES[backend]}: backends/{backend}/{spec.module}.py", ratio=1, overflow="fold")
    for row in sections.align({backend: sections.split(source) for backend, source in sources.items()}):
        table.add_row(*(_lines(sources[b], row[b]) if b in row else "" for b in backends))
    return table


def _lines(source, section):
    text = "\n".join(sections.lines_of(source)[section.first - 1 : section.last])
    if section.kind == "banner":
        text = re.sub("-{10,}", "----", text)  # as wide as the file, it would wrap
    return Syntax(text, "python", theme="ansi_dark", word_wrap=True, background_color="default")


def comparison_row(report: "ModelReport", backends: tuple[str, ...]) -> Text:
    """One line of a model that has just been compared: per backend how near it comes to a bar, in expected rounding errors."""
    mark = "[green]✓[/]" if report.passed else "[bold red]✗[/]"
    cells = []
    for backend in backends:
        if backend in report.crashes:
            cells.append(f"{backend} [red]crashed[/]")
        else:
            kinds = (f"{report.worst(backend, dtype)[1].times_floor:.1f}" for dtype in ("float64", "float32"))
            cells.append(f"{backend} {' / '.join(kinds)}")
    line = (
        f"{mark} [bold]{report.spec.name}[/]: {', '.join(cells)} times the expected rounding error (float64 / float32)"
    )
    return Text.from_markup(f"{line}, after {report.seconds:.0f} s")


def comparison_tables(
    reports: list["ModelReport"], backends: tuple[str, ...], data: Dataset, steps: int
) -> list[Table | str]:
    """One stage table a model, or one matrix of models × backends when there are several."""
    result: list[Table | str] = [f"Data: {data.description}"]
    for report in reports:
        result += _stages(report, backends, steps)
    if len(reports) > 1:
        result.append(_matrix(reports, backends))
    result.append(
        "The number after a deviation: how many times the tensor's expected rounding error, what one rounding in every operation "
        f"makes of it; the largest allowed, its bar, is {parity.FACTOR} (docs/proof.md)."
    )
    passed = all(report.passed for report in reports)
    result.append(
        "[bold green]✓ all equal[/]" if passed else "[bold red]✗ not equal: see the first ✗ of each backend[/]"
    )
    return result


def _stages(report, backends, steps):
    table = Table(
        "stage",
        title=f"{report.spec.name}: deviation from the oracle, and times the expected rounding error{_at_rate(report)}",
        box=box.SIMPLE_HEAD,
    )
    for backend in backends:
        table.add_column(backend)
    for dtype in ("float64", "float32"):
        columns = {backend: report.stages.get((dtype, backend)) for backend in backends}
        template = next((stages for stages in columns.values() if stages), [])
        for number, stage in enumerate(template):
            name = f"{steps} updates" if stage.name == parity.MANY else stage.name
            cells = [_cell(stages[number]) if stages else "[red]✗ crashed[/]" for stages in columns.values()]
            table.add_row(f"{name} [dim]{dtype}[/]", *cells)
        table.add_section()
    lines: list[Table | str] = [table]
    if report.twin:
        lines.append(
            f"  The {steps} updates are those of its narrow twin, {report.twin.parameter_count():,} parameters"
        )
    for backend, crash in report.crashes.items():
        lines.append(f"[red]✗ {backend} did not finish:[/] {escape(crash)}")
    for backend, dtype, failed, advice in report.failures():
        what = failed.problem or f"deviates by {failed.deviation:.1e}, bar {failed.tolerance:.0e}"
        lines.append(
            f"[red]✗ {backend}, {dtype}: diverges from the oracle at stage {failed.name!r}, tensor {failed.tensor}: {what}[/]"
        )
        lines.append(f"  {advice}")
    if report.stages:
        who, worst = report.worst()
        lines.append(
            f"  Nearest to its bar in float64: {worst.deviation:.1e}, {worst.times_floor:.2g} times the expected rounding error ({who}), "
            f"{worst.name}: {worst.tensor}"
        )
    if report.growth:
        lines += [_growth(report, "float64"), _growth(report, "float32")]
    if report.training:
        first, title = next(iter(report.training.values())), "after {:,} float32 steps, per test image"
        table = Table("", *report.training, title=title.format(first["step"]), box=box.SIMPLE_HEAD)
        for name in first["test"]:
            table.add_row(name, *(f"{row['test'][name]:.6g}" for row in report.training.values()))
        lines.append(table)
    return lines


def _growth(report, dtype):
    curves = {backend: rows for (of, backend), rows in report.growth.items() if of == dtype}
    title = f"{report.spec.name}: growth of the deviation from the oracle, {dtype}{_at_rate(report)}"
    table = Table("updates", *curves, title=title, box=box.SIMPLE_HEAD)
    for rows in zip(*curves.values(), strict=True):
        table.add_row(str(rows[0][0]), *(f"{deviation:.1e}" for _, deviation, _ in rows))
    return table


def _at_rate(report):
    return "" if report.rate == 1 else f", at {report.rate:g} of the learning rates"


def _matrix(reports, backends):
    table = Table(
        "model",
        title="Nearest to its bar in float64, any stage: deviation from the oracle, and times the expected rounding error",
        box=box.SIMPLE_HEAD,
    )
    for backend in backends:
        table.add_column(backend)
    for report in reports:
        cells = []
        for backend in backends:
            stages = report.stages.get(("float64", backend))
            worst = parity.first_failure(stages) or report.worst(backend)[1] if stages else None
            cells.append(_cell(worst) if worst else "[red]✗ crashed[/]")
        table.add_row(report.spec.name, *cells)
    return table


def _cell(stage):
    number = f"{stage.deviation:.1e}, {stage.times_floor:.1f}" if stage.deviation else "exact"
    return f"[green]✓[/] {number}" if stage.passed else f"[bold red]✗ {number}[/]"
