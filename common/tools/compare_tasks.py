"""What is to be done for a comparison, by whom and in which order, and the processes that do it.

Parties are the oracle and the backends, with a process each, which does its tasks in turn. As many work at a time as there are
cores. Each has its share of the cores' threads, so that none waits for another's. A process ends with its party's last task.

A large model takes gigabytes, and frameworks and allocators keep what they have once had: each task of one is done alone, on all
cores, and its process ends with it.
"""

import contextlib
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common import environment, worlds
from common.checkpoint import write_json
from common.processes import Children, end
from common.tools.launch import first_to_blame

ORACLE = "oracle"
REPLICAS = "oracle-replicas"  # with batch norms that see the rows of one worker
FOUND = {
    "ask": "slopes.safetensors",
    "prove": "float32.safetensors",
    "train": "pictures.safetensors",
}  # until it is judged


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

    def told(self, job: dict) -> dict:
        """What stands in `job`."""
        return job | {"kind": self.kind, "party": self.party}

    def finished(self, job: dict) -> bool:
        """Whether it was done, as it is told now, in an earlier comparison, and what it found is still there."""
        try:
            same = json.loads(self.job.read_text()) == self.told(job)
        except (OSError, ValueError):
            return False
        there = self.done.exists() and (self.folder / FOUND[self.kind]).exists()
        return same and there and not self.done.read_text()


def agenda(models: list[str], backends: tuple[str, ...], out: Path) -> list[Task]:
    """All tasks, what matters most first: the first model's proof, so that something is to be seen; the oracle, whom all wait
    for; the other proofs, and last the trainings."""

    def tasks(kind: str, *parties: str) -> list[list[Task]]:
        return [[Task(kind, model, party, out / model / party) for party in parties] for model in models]

    (asked, *others), (proven, *rest) = tasks("ask", ORACLE), tasks("prove", *backends)
    return list(itertools.chain(asked, proven, *others, *rest, *tasks("train", *backends)))


def work(
    tasks: list[Task], jobs: dict[str, dict], out: Path, count: int = 1, device: str = "cpu"
) -> Iterator[tuple[tuple[Task, ...], Task | None, str | None]]:
    """(what is being done, the task that has just ended or None, what went wrong with it) until all have ended. Those that an
    earlier comparison has finished come first.

    `jobs` holds what all parties are told of a model, "large" among it. What a backend could not prove it does not train. A
    backend has `count` processes.
    """
    parties = dict.fromkeys(task.party for task in tasks)
    ready = [task for task in tasks if task.finished(jobs[task.model])]
    for task in ready:
        yield (), task, None
    waiting, started, failed = [task for task in tasks if task not in ready], [], set()
    threads = max(1, environment.cores() // len(parties))
    with Children() as children:
        workers = {}
        for party in parties:
            many = 1 if party == ORACLE else count
            workers[party] = Worker(party, many, device, out / f"{party}.log", children, threads)
        while waiting or started:
            waiting = [task for task in waiting if task.folder not in failed]
            for task in _together(_startable(waiting, started), started, jobs, min(environment.cores(), len(parties))):
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
                if jobs[task.model]["large"] or all(other.party != task.party for other in waiting):
                    workers[task.party].stop()
                yield tuple(started), task, problem


def _startable(waiting, started):
    """Of each party that does nothing the first task whose model the oracle has told of, in order."""
    busy, free = {task.party for task in started}, {}
    unasked = {task.model for task in (*waiting, *started) if task.kind == "ask"}
    for task in waiting:
        if task.party not in busy and (task.kind == "ask" or task.model not in unasked):
            free.setdefault(task.party, task)
    return list(free.values())


def _together(startable, started, jobs, most):
    """Those that are begun now, of the startable: so many are at work then, or one of a large model alone."""
    chosen = []
    for task in startable:
        others = [*started, *chosen]
        crowded = others and any(jobs[one.model]["large"] for one in (*others, task))
        if len(others) < most and not crowded:
            chosen.append(task)
    return chosen


class Worker:
    """The processes, of `children`, that do the tasks of one party: one of the oracle, of a backend one or as many as train together.
    When one dies they take the task with them that they were at; the next task starts others."""

    def __init__(self, party: str, count: int, device: str, log: Path, children: Children, threads: int):
        self.party, self.count, self.device, self.log = party, count, device, log
        self.children, self.threads, self.processes = children, threads, []

    def give(self, task: Task, job: dict) -> None:
        """Have `task` done, in its folder."""
        task.folder.mkdir(parents=True, exist_ok=True)
        task.done.unlink(missing_ok=True)  # of an earlier comparison
        if task.kind == "train":
            shutil.rmtree(task.folder / "run", ignore_errors=True)
        write_json(task.job, task.told(job))
        if not self.processes or self._died():
            self._start(environment.cores() if job["large"] else self.threads)
        for process in self.processes:
            with contextlib.suppress(BrokenPipeError):  # it died just now: `problem` says so
                process.stdin.write(f"{task.job.resolve()}\n")
                process.stdin.flush()

    def _start(self, threads):
        ports = worlds.free_ports(self.count)
        self.processes = []
        for rank in range(self.count):
            with open(self._log_of(rank), "a") as log:
                self.processes.append(
                    self.children.start(
                        "common.tools.compare_worker",
                        *(() if self.party == ORACLE else (self.party, self.device)),
                        settings=worlds.settings(self.party, rank, self.count, ports) if self.count > 1 else None,
                        threads=threads,
                        stdin=subprocess.PIPE,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        text=True,
                    )
                )

    def stop(self) -> None:
        """End the processes, which do nothing now; what they held is free before this returns."""
        for process in self.processes:
            end(process)
        self.processes = []

    def _log_of(self, rank):
        return self.log if rank == 0 else self.log.with_name(f"{self.log.stem}-rank{rank}.log")

    def _died(self):
        return any(process.poll() is not None for process in self.processes)

    def ended(self, task: Task) -> bool:
        """Whether nothing more is to be expected of `task`."""
        return task.done.exists() or self._died()

    def problem(self, task: Task) -> str | None:
        """What went wrong with a task that has ended."""
        if task.done.exists():
            return task.done.read_text() or None
        codes = [process.poll() for process in self.processes]
        self.stop()
        rank = first_to_blame(codes) if any(codes) else codes.index(0)
        lines = self._log_of(rank).read_text(errors="replace").strip().splitlines()
        said = lines[-1] if lines else "no output"
        who = f"rank {rank}: " if self.count > 1 else ""
        return f"{who}exit code {codes[rank]}: {said} (all of it in {self._log_of(rank)})"
