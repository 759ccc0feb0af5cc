"""The `reproduce` command: an article's models trained as the article has them, its figures drawn, its claims checked.

One file an article. Each says what is run (`runs`), what is taken from a trained model (`probe`) and what is shown and
checked (`report`). Everything of a reproduction lies in one folder:
    RUN/                      a training run (common.tools.training), one per model, framework and seed
    RUN/probe.safetensors     what `probe` took from the trained model
    *.png, *.gif              the figures
    report.json               the checks, with the numbers behind them
    report.html               the page, self-contained
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from common import data as datasets
from common.data import Dataset
from common.errors import UsageError
from common.processes import Children, in_turn
from common.specs import get
from common.terminal import ERR
from common.tools import training
from common.tools.articles import ARTICLES
from common.tools.reproduction.publish import publish
from common.tools.reproduction.report import Report
from common.tools.reproduction.results import Result, Run

TRIAL = 0.01  # times the length


def module(article: str) -> ModuleType:
    """The file of an article. `article` is one of common.tools.articles.ARTICLES."""
    return importlib.import_module(f"common.tools.reproduction.{article}")


def runs(article: str, model: str | None, backend: str | None, scale: float, seed: int) -> list[Run]:
    """The training runs of an article, or those of `model`; `backend` in place of the article's own frameworks. Of a trial that
    is shorter than TRIAL, of one seed.

    Raises UsageError if the model is not the article's.
    """
    every = module(article).runs()
    names = tuple(dict.fromkeys(run.model for run in every))
    if model and model not in names:
        raise UsageError(f"model {model!r} is not of article {article}; choose one of: {', '.join(names)}")
    chosen = {}
    for run in every:
        if scale < TRIAL and run.seed > 0:
            continue
        if model not in (None, run.model) or (run.bound and backend not in (None, run.backend)):
            continue
        run = run.at(backend, scale, seed)
        # In one framework, what the article trains in two becomes one run: the longer.
        if run.name not in chosen or (run.steps or 0) > (chosen[run.name].steps or 0):
            chosen[run.name] = run
    if not chosen:
        raise UsageError(
            f"{model} is not written in {backend}; leave --backend out, and its article's framework is taken"
        )
    return list(chosen.values())


def reproduce(
    article: str,
    chosen: list[Run],
    data: Dataset,
    out: Path,
    *,
    data_name: str,
    data_dir: Path | None,
    device: str,
    scale: float,
    jobs: int = 1,
) -> Report:
    """Train what is not trained yet, then draw, measure and write the page.

    Raises TrainingFailed if a run does not finish: what it reached stays, and --resume goes on from there.
    """
    carry_out(article, chosen, data, out, data_name=data_name, data_dir=data_dir, device=device, jobs=jobs)
    return collect(article, chosen, data, out, scale=scale)


def carry_out(
    article: str,
    chosen: list[Run],
    data: Dataset,
    out: Path,
    *,
    data_name: str,
    data_dir: Path | None,
    device: str,
    jobs: int = 1,
) -> list[Result]:
    """Train and probe into `out` what is not there yet, `jobs` runs at a time, each with its part of the cores.

    Raises TrainingFailed when a run does not end well; those that run beside it are waited for, no other is begun. On Ctrl-C
    all of them are ended.
    """
    out.mkdir(parents=True, exist_ok=True)

    def train_and_probe(number: int, run: Run, cores: str | None, children: Children) -> Result:
        how = {"cores": cores, "alone": jobs == 1, "advice": "mend it, and go on with --resume"}

        def train(words: list) -> None:
            ERR.print(f"{number} of {len(chosen)}: {run.name}, {run.steps_on(data):,} steps", soft_wrap=True)
            children.carry_through("common.tools.cli", *words, **how)

        def probe(words: list) -> None:
            children.carry_through("common.tools.reproduction.probe", *words, **how)

        return _carry(article, run, data, out, data_name, data_dir, device, train, probe)

    return in_turn(chosen, jobs, train_and_probe)


def single(
    article: str,
    run: Run,
    data: Dataset,
    out: Path,
    train: Callable[[list], object],
    *,
    data_name: str,
    data_dir: Path | None,
    device: str,
) -> Result:
    """Train one run and probe it, unless that is done. `train` is given the words of `tetrapla`, and carries them out in this
    process, so that whoever ends it ends the training.

    Raises TrainingFailed if the probe does not end well.
    """
    with Children() as children:

        def probe(words: list) -> None:
            how = {"alone": True, "advice": "mend it, and give the same command again"}
            children.carry_through("common.tools.reproduction.probe", *words, **how)

        return _carry(article, run, data, out, data_name, data_dir, device, train, probe)


def _carry(article, run, data, out, data_name, data_dir, device, train, probe):
    """Have a run trained and probed where it is not, by what is given the words of `tetrapla` and of the probe."""
    folder, name, place = out / run.name, datasets.absolute(data_name), data_dir.resolve() if data_dir else ""
    if not _is_trained(run, data, folder):
        where = ["--data-dir", place] if place else []
        train(["train", *run.options(data), "--data", name, *where, "--device", device, "--out", folder, "--resume"])
    if not _is_probed(folder):
        # A model that stands beside an article's own is looked at as its own article does.
        looked = article if ARTICLES[article].of else get(run.model).about.article
        probe([looked, folder, name, place, device])
    return Result.read(run, folder)


def _is_trained(run, data, folder):
    if trained := training.finished(folder, run.steps_on(data)):
        training.check_data(folder, data)
    return trained


def _is_probed(folder):
    probe, weights = folder / "probe.safetensors", folder / "checkpoint.safetensors"
    return probe.exists() and probe.stat().st_mtime >= weights.stat().st_mtime


def missing(chosen: list[Run], data: Dataset, out: Path) -> list[str]:
    """The names of the runs that are not trained and probed. Raises UsageError if one was trained on other data."""
    return [run.name for run in chosen if not (_is_trained(run, data, out / run.name) and _is_probed(out / run.name))]


def collect(article: str, chosen: list[Run], data: Dataset, out: Path, *, scale: float) -> Report:
    """Draw, measure and write the page from runs of which none is `missing`."""
    results = [Result.read(run, out / run.name) for run in chosen]
    return module(article).report(results, data, out, scale=scale)


__all__ = [
    "Report",
    "Result",
    "Run",
    "carry_out",
    "collect",
    "missing",
    "module",
    "publish",
    "reproduce",
    "runs",
    "single",
]
