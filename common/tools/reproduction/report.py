"""The page of a reproduction: what the article says, what was run, what came of it."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from common import environment
from common.checkpoint import write_atomically, write_json
from common.data import Dataset
from common.tools.articles import ARTICLES
from common.tools.pages import template
from common.tools.reproduction.results import Result

# REACHED and MISSED where our number answers to the published one; BESIDE where it stands beside a number of other
# networks or data, or where nothing is published.
REACHED, MISSED, BESIDE = "reached", "missed", "beside"


@dataclass(frozen=True)
class Check:
    """A claim: the published value, ours, the verdict, and what to make of it."""

    what: str
    published: str
    ours: str
    verdict: str  # REACHED | MISSED | BESIDE
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture beside the report, with a caption that says what is to be seen."""

    file: str
    title: str
    caption: str


@dataclass
class Report:
    """`says`: what the article says, in paragraphs. `deviations`: errata and departures, each with its reason. `out`: the
    folder of the page and its figures."""

    article: str
    says: tuple[str, ...]
    deviations: tuple[str, ...]
    results: list[Result]
    data: Dataset
    scale: float
    out: Path
    checks: list[Check] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    tables: list[tuple[str, list[str], list[list[str]]]] = field(default_factory=list)  # caption, head, rows
    text: list[tuple[str, str]] = field(default_factory=list)  # caption, preformatted text

    def verdict(self, what: str, published: str, ours: str, reached: bool | None, note: str = "") -> None:
        """Add a check; `reached` None stands for BESIDE."""
        verdict = BESIDE if reached is None else REACHED if reached else MISSED
        self.checks.append(Check(what, published, ours, verdict, note))

    def figure(self, file: str, title: str, caption: str) -> Path:
        """Add a figure; the path that it is to be drawn to."""
        self.figures.append(Figure(file, title, caption))
        return self.out / file

    def write(self) -> Path:
        """report.json and the self-contained report.html beside the figures, which are drawn by now."""
        article = ARTICLES[self.article]
        value = {
            "article": dataclasses.asdict(article),
            "scale": self.scale,
            "data": {"name": self.data.name, "description": self.data.description},
            "environment": environment.describe(),
            "says": self.says,
            "deviations": self.deviations,
            "checks": [dataclasses.asdict(check) for check in self.checks],
            "figures": [dataclasses.asdict(figure) | _size(self.out / figure.file) for figure in self.figures],
            "tables": self.tables,
            "text": self.text,
            "runs": [_run(result) for result in self.results],
        }
        write_json(self.out / "report.json", value)
        page = template("article.html").render(value, folder=self.out)
        write_atomically(self.out / "report.html", page.encode())
        return self.out / "report.html"


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
            | {"epsilon_hat": update.optimizer.epsilon_hat}
            for update in spec.updates
        ],
        "notes": spec.about.notes,
        "versions": sessions[-1]["environment"]["versions"],
        "processor": sessions[-1]["environment"]["processor"],
    }
