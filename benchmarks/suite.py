"""The benchmark of several models, backends and modes: who is started when, what is kept, how it is shown.

All workers of a model are started and proven first; then they are asked in turn, round after round, so that a disturbance of
the machine strikes all of them alike. Within one model everything that is compared was measured within the same minutes.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from backends import versions
from benchmarks import floor
from benchmarks.worker import MODES, SAMPLES
from common import environment, figures, specs
from common.checkpoint import write_json
from common.console import progress_bar
from common.errors import UsageError

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Settings:
    """How to measure. `threads` of every framework; `seconds` of one repeat."""

    data: str = "digits"
    data_dir: str | None = None
    device: str = "cpu"
    threads: int = 2
    repeats: int = 5
    seconds: float = 1.0
    batch: int | None = None  # None: the model's own


class Worker:
    """A process of benchmarks.worker, and what it has said."""

    def __init__(self, job: dict, folder: Path, threads: int):
        name = "-".join(str(job[key]) for key in ("model", "backend", "mode", "batch"))
        self.job, self.seconds = job, []
        path, self.log = folder / f"{name}.json", folder / f"{name}.log"
        path.write_text(json.dumps(job))
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.worker", str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env=os.environ | thread_settings(job["backend"], threads),
            )
        self.about = self.hear()

    @property
    def fit(self) -> bool:
        """Whether it was proven and waits to be asked."""
        return self.about is not None and self.about["proof"]["passed"] and "build_seconds" in self.about

    def hear(self) -> dict | None:
        """Its next line of JSON; None when it has ended."""
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        return None

    def ask(self, word: str) -> dict | None:
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
        row = {key: self.job[key] for key in ("model", "backend", "mode", "batch")} | {"proof": about.get("proof")}
        if self.fit and len(self.seconds) == self.job["repeats"]:
            last = self.ask("quit") or {}
            row |= {key: about[key] for key in ("build_seconds", "first_seconds", "yardstick", "environment")}
            row |= {"seconds": self.seconds, **last}
        elif about.get("proof") and not about["proof"]["passed"]:
            row["problem"] = (
                f"parts from the oracle at stage {about['proof']['stage']}, tensor {about['proof']['tensor']}"
            )
        else:
            self.process.wait()
            lines = self.log.read_text(errors="replace").strip().splitlines()
            row["problem"] = f"exit code {self.process.returncode}: {lines[-1] if lines else 'no output'}"
        self.process.stdin.close()
        self.process.wait()
        return row


def thread_settings(backend: str, threads: int) -> dict[str, str]:
    """The environment that holds a framework to so many threads."""
    common = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    return {
        "pytorch": common,
        "paddle": common,
        "tensorflow": common | {"TF_NUM_INTRAOP_THREADS": str(threads), "TF_NUM_INTEROP_THREADS": str(threads)},
        "jax": common,  # XLA's pool has as many threads as the process may use cores; `suite` runs under that affinity
    }[backend]


def run(models: list[str], backends: tuple[str, ...], modes: list[str], settings: Settings) -> dict:
    """Measure; the result as plain JSON values."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, progress_bar("bench") as progress:
        task = progress.add_task("", total=len(models) * len(modes) * len(backends), note="")
        for model in models:
            spec = specs.get(model)
            chosen = [mode for mode in modes if mode != "sampling" or spec.sample]
            for group in [[mode] for mode in chosen] if spec.convolutional else [chosen]:  # memory: gigabytes a process
                progress.update(task, note=f"{model}: {', '.join(group)}")
                rows += _together(spec, backends, group, settings, Path(folder))
                progress.advance(task, len(group) * len(backends))
            progress.advance(task, (len(modes) - len(chosen)) * len(backends))
    found = [row["yardstick"] for row in rows if row.get("yardstick")]
    yardstick = {key: max((one[key] for one in found), default=None) for key in ("product", "copy")}
    result = {
        "settings": vars(settings),
        "environment": environment.describe() | {"backends": {b: versions(b) for b in backends}},
        "measured": time.strftime("%Y-%m-%d"),
        "yardstick": yardstick,
        "rows": rows,
    }
    for row in rows:
        _derive(row, yardstick)
    return result


def _together(spec, backends, modes, settings, folder):
    workers = []
    for mode in modes:
        for backend in backends:
            job = {
                "model": spec.name,
                "backend": backend,
                "mode": mode,
                "batch": settings.batch or spec.batch_size,
                "device": settings.device,
                "data": settings.data,
                "data_dir": settings.data_dir,
                "seconds": settings.seconds,
                "repeats": settings.repeats,
                "yardstick": mode == modes[0],
            }
            workers.append(Worker(job, folder, settings.threads))
    for _ in range(settings.repeats):
        for worker in workers:
            worker.measure()
    return [worker.finish() for worker in workers]


def _derive(row, yardstick):
    """Median, samples per second and the multiple of the floor, beside the seconds."""
    if "seconds" not in row:
        return
    median = statistics.median(row["seconds"])
    images = SAMPLES if row["mode"] == "sampling" else row["batch"]
    row |= {"median": median, "least": min(row["seconds"]), "most": max(row["seconds"]), "per_second": images / median}
    if row["mode"] != "sampling" and yardstick["product"]:
        work = floor.work(specs.get(row["model"]), row["batch"])
        row["floor"] = work.seconds(yardstick["product"], yardstick["copy"])
        row["times_floor"] = median / row["floor"]


def tables(result: dict) -> list[Table | str]:
    """One table a model: a row per backend, a column per mode; the fastest of each column marked, the others as ratios."""
    shown, yardstick = [], result["yardstick"]
    if yardstick["product"]:
        shown.append(
            f"Best matrix product {yardstick['product'] / 1e9:.0f} GFLOP/s, copies {yardstick['copy'] / 1e9:.0f} GB/s; "
            f"{result['environment']['processor']}, {result['settings']['threads']} threads, {result['settings']['device']}"
        )
    for model in dict.fromkeys(row["model"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["model"] == model]
        modes = list(dict.fromkeys(row["mode"] for row in rows))
        least = next((f"; floor {1e3 * row['floor']:.3g} ms" for row in rows if "floor" in row), "")
        table = Table("backend", *modes, title=f"{model}, batch {rows[0]['batch']}: ms per update{least}")
        for backend in dict.fromkeys(row["backend"] for row in rows):
            cells = [
                _cell(row, rows) for mode in modes for row in rows if (row["backend"], row["mode"]) == (backend, mode)
            ]
            table.add_row(backend, *cells)
        shown.append(table)
    return shown


def _cell(row, rows):
    if "median" not in row:
        return row["problem"]
    best = min(other["median"] for other in rows if other["mode"] == row["mode"] and "median" in other)
    text = f"{1e3 * row['median']:.3g} ({1e3 * row['least']:.3g} to {1e3 * row['most']:.3g})"
    if "times_floor" in row:
        text += f", {row['times_floor']:.1f}× floor"
    return f"[bold]{text}[/], fastest" if row["median"] == best else f"{text}, {row['median'] / best:.1f}×"


def compare(old: dict, new: dict) -> list[str]:
    """What moved beyond the noise: rows of both results whose ranges of repeats do not overlap."""
    before = {_key(row): row for row in old["rows"] if "median" in row}
    lines = []
    for row in new["rows"]:
        other = before.get(_key(row))
        if "median" in row and other and (row["least"] > other["most"] or row["most"] < other["least"]):
            ratio = other["median"] / row["median"]
            word = "faster" if ratio > 1 else "slower"
            lines.append(f"{' '.join(map(str, _key(row)))}: {max(ratio, 1 / ratio):.2f} times {word}")
    return lines


def _key(row):
    return row["model"], row["backend"], row["mode"], row["batch"]


def read(path: Path) -> dict:
    """A result file. Raises UsageError if it is none."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        assert isinstance(result["rows"], list)
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise UsageError(f"{path}: expected a result of `tetrapla bench` ({error})") from error
    return result


def write(result: dict, out: Path) -> None:
    """result.json and a plot."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "result.json", result)
    figures.throughput(result["rows"], MODES, out / "throughput.png")
