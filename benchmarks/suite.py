"""The benchmark of several cases, backends and modes: who is started when, and what is kept.

All workers of a case are started and proven first; then they are asked in turn, round after round, so that a disturbance of
the machine strikes all of them alike. Within one case everything that is compared was measured within the same minutes.
"""

import importlib.util
import json
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from backends import KNOWN, versions
from benchmarks import floor, peers
from benchmarks.cases import Case
from benchmarks.worker import LOWERED, SAMPLES
from common import data, environment
from common.errors import UsageError
from common.processes import Children, end
from common.terminal import progress_bar

# Seconds that a worker takes at a guess until it builds, for imports and the proof; `vae` in JAX needs 10 of one CPU core.
PREPARED = 15.0
KEY = ("model", "batch", "hidden", "backend", "mode")  # what names a row


@dataclass(frozen=True)
class Settings:
    """How to measure. `threads` of every framework; `seconds` of one repeat."""

    data: str = "digits"
    data_dir: str | None = None
    device: str = "cpu"
    threads: int = 2
    repeats: int = 5
    seconds: float = 1.0


class Worker:
    """A process of benchmarks.worker, one of `children`, and what it has said."""

    def __init__(self, job: dict, folder: Path, children: Children, threads: int):
        name = "-".join(str(job[key]) for key in KEY)
        self.job, self.seconds = job, []
        path, self.log = folder / f"{name}.json", folder / f"{name}.log"
        path.write_text(json.dumps(job))
        (cores,) = environment.shares(1, threads)
        with open(self.log, "w") as log:
            self.process = children.start(
                "benchmarks.worker",
                path,
                cores=cores,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.about = self.hear()

    @property
    def fit(self) -> bool:
        """Whether it was proven and waits to be asked."""
        return self.about is not None and self.about["proof"]["passed"] and "build_seconds" in self.about

    def hear(self) -> dict | None:
        """Its next line of JSON; None when it has ended. It is stopped then, until it is asked."""
        for line in self.process.stdout:
            if line.startswith("{"):
                # The threads of some frameworks turn in circles while they wait.
                self.process.send_signal(signal.SIGSTOP)
                return json.loads(line)
        return None

    def ask(self, word: str) -> dict | None:
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.stdin.write(f"{word}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        return self.hear()

    def measure(self) -> None:
        if self.fit and (answer := self.ask("measure")):
            self.seconds.append(answer["seconds"])

    def finish(self) -> dict:
        """The row of this worker; without seconds where it was not proven or did not survive, and then with the reason."""
        about = self.about or {}
        row = {key: self.job[key] for key in KEY} | {"proof": about.get("proof")}
        if self.fit and len(self.seconds) == self.job["repeats"]:
            last = self.ask("quit") or {}
            row |= {key: about[key] for key in ("build_seconds", "first_seconds", "yardstick", "environment")}
            row |= {"seconds": self.seconds, **last}
        elif about.get("proof") and not about["proof"]["passed"]:
            row["problem"] = (
                f"diverges from the oracle at stage {about['proof']['stage']}, tensor {about['proof']['tensor']}"
            )
        else:
            self.process.wait()
            lines = self.log.read_text(errors="replace").strip().splitlines()
            row["problem"] = f"exit code {self.process.returncode}: {lines[-1] if lines else 'no output'}"
        end(self.process)
        return row


def key_of(row: dict) -> tuple:
    """What names a row."""
    return tuple(row[key] for key in KEY)


def run(
    cases: list[Case],
    backends: tuple[str, ...],
    modes: list[str],
    settings: Settings,
    done: list[dict],
    keep: Callable[[dict], object],
) -> dict:
    """Measure what is not among the rows `done`; the result as plain JSON values, which `keep` is given after each case."""
    rows, about = list(done), (vars(settings), measured_on(backends), time.strftime("%Y-%m-%d"))
    result = _result(rows, *about)
    with tempfile.TemporaryDirectory() as folder, progress_bar("bench") as progress:
        task = progress.add_task("", total=len(cases) * len(modes), note="")
        for case in cases:
            for group, pairs in _groups(case, backends, modes):
                progress.update(task, note=f"{case.model}, batch {case.batch}: {', '.join(group)}")
                wanted = {(*vars(case).values(), *pair) for pair in pairs}
                if not wanted <= set(map(key_of, rows)):
                    rows = [row for row in rows if key_of(row) not in wanted]
                    rows += _together(case, pairs, settings, Path(folder))
                    result = _result(rows, *about)
                    keep(result)
                progress.advance(task, len(group))
            progress.advance(task, len(modes) - len(_of(case.spec, modes)))
    return result


@dataclass(frozen=True)
class Planned:
    """What would be started for a case, (backend, mode) in the order of their start, and how many seconds it takes at a guess."""

    case: Case
    workers: list[tuple[str, str]]
    seconds: float


def plan(
    cases: list[Case], backends: tuple[str, ...], modes: list[str], settings: Settings, earlier: list[dict]
) -> list[Planned]:
    """What `run` would do, starting nothing; its time from the `earlier` results.

    A worker takes PREPARED, what building and the first call took earlier, and in each repeat a call to warm up and the repeat's
    seconds, or what its updates took if that was more, where it was measured on the same kind of device.
    """
    known = [
        (row, one["settings"]["device"] == settings.device) for one in earlier for row in one["rows"] if "median" in row
    ]
    planned = []
    for case in cases:
        workers = [pair for _, pairs in _groups(case, backends, modes) for pair in pairs]
        planned.append(Planned(case, workers, sum(_guess(case, *pair, settings, known) for pair in workers)))
    return planned


def _guess(case, backend, mode, settings, known):
    mode = "fast" if mode in LOWERED else mode  # compiled alike
    alike = [(row, same) for row, same in known if (row["backend"], row["mode"]) == (backend, mode)]
    own = [(row, same) for row, same in alike if row["model"] == case.model]
    starts = [row["build_seconds"] + row["first_seconds"] for row, _ in own or alike]
    took = [row["updates"] * row["median"] for row, same in own if same and Case.of(row) == case]
    return PREPARED + statistics.median(starts or [0.0]) + settings.repeats * 2 * max([settings.seconds, *took])


def _groups(case, backends, modes):
    """(modes, (backend, mode) of them that are measured together), one after another: of a convolutional model one mode, for
    memory, since each process takes gigabytes."""
    chosen = _of(case.spec, modes)
    for group in [[mode] for mode in chosen] if case.spec.convolutional else [chosen]:
        yield group, [(b, mode) for mode in group for b in backends if _offered(case, b, mode)]


def keys(case: Case, backends: tuple[str, ...], modes: list[str]) -> set[tuple]:
    """What names the rows of a case."""
    return {(*vars(case).values(), *pair) for _, pairs in _groups(case, backends, modes) for pair in pairs}


def joined(results: list[dict]) -> dict:
    """The result of `run` over several cases, from those of each, of the same settings.

    Raises UsageError if they were not all measured on the same hardware, with the same versions.
    """
    first = results[0]
    for other in results[1:]:
        for key, value in first["environment"].items():
            if (found := other["environment"].get(key)) != value:
                raise UsageError(
                    f"{other['rows'][0]['model']}: measured with {key} {found!r}, and {first['rows'][0]['model']} with "
                    f"{value!r}; what is compared must be measured alike: measure one of them again"
                )
    rows = [row for result in results for row in result["rows"]]
    return _result(rows, first["settings"], first["environment"], max(result["measured"] for result in results))


def measured_on(backends: tuple[str, ...]) -> dict:
    """The environment of a result, as plain JSON values."""
    return environment.describe() | {"backends": {b: versions(b) for b in backends}}


def _of(spec, modes):
    return [mode for mode in modes if mode != "sampling" or spec.sample]


def _offered(case, backend, mode):
    """Whether the framework has this mode for the case."""
    if mode in peers.MODES:
        there = mode != "fit" or importlib.util.find_spec("keras") is not None
        return there and case.model == peers.MODEL and not case.hidden and backend in peers.MODES[mode]
    return mode not in LOWERED or mode in KNOWN[backend].precisions


def _result(rows, settings, measured_on, measured):
    found = [row["yardstick"] for row in rows if row.get("yardstick")]
    yardstick = {key: max((one[key] for one in found), default=None) for key in ("product", "copy")}
    for row in rows:
        _derive(row, yardstick, _products(rows, Case.of(row)))
    return {
        "settings": settings,
        "environment": measured_on,
        "measured": measured,
        "yardstick": yardstick,
        "rows": rows,
    }


def _together(case, pairs, settings, folder):
    shared = vars(case) | {key: vars(settings)[key] for key in ("device", "seconds", "repeats")}
    shared |= {
        "data": data.absolute(settings.data),
        "data_dir": settings.data_dir and str(Path(settings.data_dir).resolve()),
    }
    workers = []
    with Children() as children:
        for backend, mode in pairs:
            job = shared | {"backend": backend, "mode": mode, "yardstick": mode == pairs[0][1]}
            workers.append(Worker(job, folder, children, settings.threads))
        for _ in range(settings.repeats):
            for worker in workers:
                worker.measure()
        return [worker.finish() for worker in workers]


@cache  # of a case, for all of its backends and modes, each time that a result is made
def _work(case):
    return floor.work(case.spec, case.batch)


def _products(rows, case):
    """Seconds of a step's matrix products at their own shapes, by the framework that is fastest at them, if known."""
    found = (row["yardstick"] for row in rows if row.get("yardstick") and Case.of(row) == case)
    return min((one["products"] for one in found if "products" in one), default=None)


def _derive(row, yardstick, products=None):
    """Median, samples per second and the multiple of the floor, beside the seconds."""
    if "seconds" not in row:
        return
    median = statistics.median(row["seconds"])
    images = SAMPLES if row["mode"] == "sampling" else row["batch"]
    row |= {"median": median, "least": min(row["seconds"]), "most": max(row["seconds"]), "per_second": images / median}
    if row["mode"] not in ("sampling", *LOWERED) and yardstick["product"]:
        row["floor"] = _work(Case.of(row)).seconds(yardstick["product"], yardstick["copy"])
        row["times_floor"] = median / row["floor"]
        if products:
            row["products"] = products
