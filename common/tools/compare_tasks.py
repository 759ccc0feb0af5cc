"""What is to be done for a comparison, by whom and in which order, and the processes that do it.

Parties are the oracle and the backends, with a process each, which does its tasks in turn. As many work at a time as there are
cores. Each has its share of the cores' threads, so that none waits for another's.
"""

import contextlib
import itertools
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common import environment
from common.checkpoint import write_json
from common.processes import Children

ORACLE = "oracle"


@dataclass(frozen=True)
class Task:
    """One party's part in the comparison of a model: the oracle is to "ask", a backend to "prove" and to "train"."""

    kind: str
    model: str
    party: str
    folder: Path  # of this party and model

    @property
    def job(self) -> Path:
        """What the party is told."""
        return self.folder / f"{self.kind}.json"

    @property
    def done(self) -> Path:
        """Written last of all: the message of an error that a user can act on, or nothing."""
        return self.job.with_suffix(".done")


def agenda(models: list[str], backends: tuple[str, ...], out: Path) -> list[Task]:
    """All tasks, what matters most first: the first model's proof, so that something is to be seen; the oracle, whom all wait
    for; the other proofs, and last the trainings."""

    def tasks(kind, *parties):
        return [[Task(kind, model, party, out / model / party) for party in parties] for model in models]

    (asked, *others), (proven, *rest) = tasks("ask", ORACLE), tasks("prove", *backends)
    return list(itertools.chain(asked, proven, *others, *rest, *tasks("train", *backends)))


def work(
    tasks: list[Task], jobs: dict[str, dict], out: Path
) -> Iterator[tuple[tuple[Task, ...], Task | None, str | None]]:
    """(what is being done, the task that has just ended or None, what went wrong with it) until all have ended.

    `jobs` holds what all parties are told of a model. What a backend could not prove it does not train.
    """
    parties = dict.fromkeys(task.party for task in tasks)
    waiting, started, failed = list(tasks), [], set()
    threads = max(1, environment.cores() // len(parties))
    with Children() as children:
        workers = {party: Worker(out / f"{party}.log", children, threads) for party in parties}
        while waiting or started:
            waiting = [task for task in waiting if task.folder not in failed]
            for task in _startable(waiting, started)[: min(environment.cores(), len(parties)) - len(started)]:
                waiting.remove(task)
                started.append(task)
                workers[task.party].give(task, jobs[task.model])
            yield tuple(started), None, None
            time.sleep(0.02)
            for task in [task for task in started if workers[task.party].ended(task)]:
                started.remove(task)
                problem = workers[task.party].problem(task)
                if problem:
                    failed.add(task.folder)
                yield tuple(started), task, problem


def _startable(waiting, started):
    """Of each party that does nothing the first task whose model the oracle has told of, in order."""
    busy, free = {task.party for task in started}, {}
    unasked = {task.model for task in (*waiting, *started) if task.kind == "ask"}
    for task in waiting:
        if task.party not in busy and (task.kind == "ask" or task.model not in unasked):
            free.setdefault(task.party, task)
    return list(free.values())


class Worker:
    """A process, one of `children`, that does the tasks of one party. One that dies takes the task with it that it was at; the
    next task starts another."""

    def __init__(self, log: Path, children: Children, threads: int):
        self.log, self.children, self.threads = log, children, threads
        self.process = None

    def give(self, task: Task, job: dict) -> None:
        """Have `task` done, in its folder."""
        task.folder.mkdir(parents=True, exist_ok=True)
        write_json(task.job, job | {"kind": task.kind, "party": task.party})
        if self.process is None or self.process.poll() is not None:
            with open(self.log, "a") as log:
                self.process = self.children.start(
                    "common.tools.compare_worker",
                    threads=self.threads,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
        with contextlib.suppress(BrokenPipeError):  # it died just now: `problem` says so
            self.process.stdin.write(f"{task.job.resolve()}\n")
            self.process.stdin.flush()

    def ended(self, task: Task) -> bool:
        """Whether nothing more is to be expected of `task`."""
        return self.process.poll() is not None or task.done.exists()

    def problem(self, task: Task) -> str | None:
        """What went wrong with a task that has ended."""
        if task.done.exists():
            return task.done.read_text() or None
        lines = self.log.read_text(errors="replace").strip().splitlines()
        said = lines[-1] if lines else "no output"
        return f"exit code {self.process.returncode}: {said} (all of it in {self.log})"
