"""The page of a reproduction: what the article says, what was run, what came of it."""

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from PIL import Image
from rich import box
from rich.table import Table
from rich.text import Text

from common import environment
from common.checkpoint import write_atomically, write_json
from common.tools.articles import ARTICLES
from common.tools.pages import template
from common.tools.reproduction.checks import SIGNS, Check, Judged, judge
from common.tools.reproduction.evidence import Evidence
from common.tools.show import numbers


@dataclass(frozen=True)
class Figure:
    """A picture beside the report, with a caption that says what is to be seen."""

    file: str
    title: str
    caption: str


@dataclass
class Report:
    """`says`: what the article says, in paragraphs. `deviations`: errata and departures, each with its reason. `checks`: as
    they were declared. `out`: the folder of the page and its figures."""

    article: str
    says: tuple[str, ...]
    deviations: tuple[str, ...]
    checks: tuple[Check, ...]
    evidence: Evidence
    scale: float
    out: Path
    figures: list[Figure] = field(default_factory=list)
    tables: list[tuple[str, list[str], list[list[str]]]] = field(default_factory=list)  # caption, head, rows
    text: list[tuple[str, str]] = field(default_factory=list)  # caption, preformatted text

    @cached_property
    def judged(self) -> list[Judged]:
        """Every check of the article whose runs are there."""
        return judge(self.checks, self.evidence)

    def figure(self, file: str, title: str, caption: str) -> Path:
        """Add a figure; the path that it is to be drawn to."""
        self.figures.append(Figure(file, title, caption))
        return self.out / file

    def write(self) -> Path:
        """report.json and the self-contained report.html beside the figures, which are drawn by now."""
        article, data = ARTICLES[self.article], self.evidence.data
        value = {
            "article": dataclasses.asdict(article),
            "scale": self.scale,
            "data": {"name": data.name, "description": data.description},
            "environment": environment.describe(),
            "says": self.says,
            "deviations": self.deviations,
            "checks": [one.described() for one in self.judged],
            "figures": [dataclasses.asdict(figure) | _size(self.out / figure.file) for figure in self.figures],
            "tables": self.tables,
            "text": self.text,
            "runs": [_run(result) for result in self.evidence.results],
        }
        write_json(self.out / "report.json", value)
        page = template("article.html").render(value, folder=self.out, signs=SIGNS, ran=ran)
        write_atomically(self.out / "report.html", page.encode())
        return self.out / "report.html"


def checks_table(report: Report) -> Table:
    """The checks of a reproduction: whose claim, ours, verdict."""
    title = f"Article {report.article} on {report.evidence.data.name}"
    table = Table("what", "claimed by", "ours", "verdict", title=title, box=box.SIMPLE_HEAD)
    styles = {"reached": "green", "in part": "yellow", "missed": "red"}
    for one in report.judged:
        table.add_row(one.check.what, one.check.whose, one.ours, Text(SIGNS[one.verdict], styles.get(one.verdict, "")))
    return table


def ran(run: dict, before: dict | None = None) -> str:
    """How far and how long a run of report.json went, and with what versions and settings, in a line; after `before`, another
    of the same model, only those that are not the same."""
    known = (before["versions"] | before["settings"]) if before else {}
    told = [
        f"{name} {value}" for name, value in (run["versions"] | run["settings"]).items() if known.get(name) != value
    ]
    minutes = run["seconds"] / 60
    length = f"{run['steps']:,} steps in {run['backend']}, {minutes:.{0 if minutes >= 1 else 1}f} min"
    return f"{length}; {', '.join(told)}." if told else f"{length}."


def _size(path):
    with Image.open(path) as image:
        return {"width": image.width, "height": image.height}


def _run(result):
    spec, options, sessions = result.spec, result.description["options"], result.description["sessions"]
    return {
        "name": result.run.name,
        "model": spec.name,
        "title": spec.about.title,
        "backend": " → ".join(dict.fromkeys(session["backend"] for session in sessions)),
        "steps": result.steps,
        "seconds": result.seconds,
        "settings": {
            "batch": options["batch_size"],
            "seed": options["seed"],
            "precision": options["dtype"],
            "noise": options["noise"],
            "losses": f"{spec.reduction} over the batch",
            "initial values": str(spec.initial),
            **spec.options,
        },
        "updates": [
            {"name": update.name, "objective": update.objective, "networks": ", ".join(update.networks)}
            | dataclasses.asdict(update.optimizer)
            | {"numbers": numbers(update.optimizer)}
            for update in spec.updates
        ],
        "notes": spec.about.notes,
        "versions": sessions[-1]["environment"]["versions"],
        "processor": sessions[-1]["environment"]["processor"],
    }
