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
import itertools
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import environment
from common.data import Dataset
from common.errors import TrainingFailed, UsageError
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
    for run in (run.at(backend, scale, seed) for run in every if model in (None, run.model)):
        if get(run.model).accumulates and run.backend != "pytorch":
            continue  # an erratum, written in its article's framework alone
        # In one framework, what the article trains in two becomes one run: the longer.
        if run.name not in chosen or (run.steps or 0) > (chosen[run.name].steps or 0):
            chosen[run.name] = run
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

    Raises TrainingFailed when a run does not end well; those that run beside it are waited for, no other is begun.
    """
    out.mkdir(parents=True, exist_ok=True)
    failed = threading.Event()

    def carry(number, run):
        try:
            return None if failed.is_set() else train_and_probe(number, run)
        except BaseException:
            failed.set()  # before this thread takes the next run
            raise

    def train_and_probe(number, run):
        folder, steps = out / run.name, run.steps_on(data)
        if not training.finished(folder, steps):
            ERR.print(f"{number} of {len(chosen)}: {run.name}, {steps:,} steps", soft_wrap=True)
            where = ["--data-dir", data_dir] if data_dir else []
            more = ["--resume"] if (folder / "run.json").exists() else ["--overwrite"]
            _python(jobs, "common.tools.cli", "train", *run.options(data), "--data", data_name, *where,
                    "--device", device, "--out", folder, *more)  # fmt: skip
        probe, weights = folder / "probe.safetensors", folder / "checkpoint.safetensors"
        if not probe.exists() or probe.stat().st_mtime < weights.stat().st_mtime:
            _python(
                jobs,
                "common.tools.reproduction.probe",
                get(run.model).article,
                folder,
                data_name,
                data_dir or "",
                device,
            )
        return Result.read(run, folder)

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(carry, itertools.count(1), chosen))


def _python(jobs, name, *arguments):
    """A module in a process of its own, as frameworks fight over threads and memory. Its errors are shown; its progress too,
    where it is alone."""
    threads = {"OMP_NUM_THREADS": str(max(1, environment.cores() // jobs))} if jobs > 1 else {}
    done = subprocess.run(
        [sys.executable, "-m", name, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=None if jobs == 1 else subprocess.PIPE,
        text=True,
        env=os.environ | threads,
    )
    if done.returncode:
        ERR.print(done.stderr or "", end="", markup=False, soft_wrap=True)
        raise TrainingFailed(f"{arguments[0]} ended with exit code {done.returncode}; mend it, and go on with --resume")


__all__ = ["Report", "Result", "Run", "carry_out", "module", "publish", "reproduce", "runs"]
