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
import queue
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from common import data as datasets
from common import environment
from common.data import Dataset
from common.errors import TrainingFailed, UsageError
from common.processes import Children
from common.specs import get
from common.terminal import ERR
from common.tools import training
from common.tools.reproduction.publish import publish
from common.tools.reproduction.report import Report
from common.tools.reproduction.results import Result, Run


def module(article: str):
    """The file of an article. `article` is one of common.tools.articles.ARTICLES."""
    return importlib.import_module(f"common.tools.reproduction.{article}")


def runs(article: str, model: str | None, backend: str | None, scale: float, seed: int) -> list[Run]:
    """The training runs of an article, or those of `model`; `backend` in place of the article's own frameworks.

    Raises UsageError if the model is not the article's.
    """
    every = module(article).runs()
    names = tuple(dict.fromkeys(run.model for run in every))
    if model and model not in names:
        raise UsageError(f"model {model!r} is not of article {article}; choose one of: {', '.join(names)}")
    chosen = {}
    for run in every:
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
    results = carry_out(chosen, data, out, data_name=data_name, data_dir=data_dir, device=device, jobs=jobs)
    return module(article).report(results, data, out, scale=scale)


def carry_out(
    chosen: list[Run], data: Dataset, out: Path, *, data_name: str, data_dir: Path | None, device: str, jobs: int = 1
) -> list[Result]:
    """Train and probe into `out` what is not there yet, `jobs` runs at a time, each with its part of the cores.

    Raises TrainingFailed when a run does not end well; those that run beside it are waited for, no other is begun. On Ctrl-C
    all of them are ended.
    """
    out.mkdir(parents=True, exist_ok=True)
    failed, free = threading.Event(), queue.SimpleQueue()
    for cores in environment.shares(jobs) if jobs > 1 else [None]:
        free.put(cores)
    name, place = datasets.absolute(data_name), data_dir.resolve() if data_dir else ""

    def carry(number, run):
        if failed.is_set():
            return None
        cores = free.get()
        try:
            return train_and_probe(number, run, cores)
        except BaseException:
            failed.set()  # before this thread takes the next run
            raise
        finally:
            free.put(cores)

    def train_and_probe(number, run, cores):
        folder, steps = out / run.name, run.steps_on(data)
        if training.finished(folder, steps):
            training.check_data(folder, data)
        else:
            ERR.print(f"{number} of {len(chosen)}: {run.name}, {steps:,} steps", soft_wrap=True)
            where = ["--data-dir", place] if place else []
            more = ["--resume"] if (folder / "run.json").exists() else ["--overwrite"]
            carry_through(cores, "common.tools.cli", "train", *run.options(data), "--data", name, *where,
                          "--device", device, "--out", folder, *more)  # fmt: skip
        probe, weights = folder / "probe.safetensors", folder / "checkpoint.safetensors"
        if not probe.exists() or probe.stat().st_mtime < weights.stat().st_mtime:
            article = get(run.model).about.article
            carry_through(cores, "common.tools.reproduction.probe", article, folder, name, place, device)
        return Result.read(run, folder)

    def carry_through(cores, module, *arguments):
        """In a process of its own, as frameworks fight over threads and memory. Its errors are shown; its progress too, where
        it is alone."""
        with tempfile.TemporaryFile("w+") as said:
            process = children.start(
                module, *arguments, cores=cores, stdout=subprocess.DEVNULL, stderr=None if jobs == 1 else said
            )
            if code := process.wait():
                said.seek(0)
                if not children.ended:
                    ERR.print(said.read(), end="", markup=False, soft_wrap=True)
                raise TrainingFailed(f"{arguments[0]} ended with exit code {code}; mend it, and go on with --resume")

    # The pool waits for its threads, and these for their children: so those are ended first.
    with ThreadPoolExecutor(jobs) as pool, Children() as children:
        futures = [pool.submit(carry, number, run) for number, run in enumerate(chosen, 1)]
        wait(futures)
    return [future.result() for future in futures]


__all__ = ["Report", "Result", "Run", "carry_out", "module", "publish", "reproduce", "runs"]
