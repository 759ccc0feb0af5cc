"""Training steps shared by several processes, timed beside those of one: who is started when, and what is kept.

All groups of a case, with as many cores each, are started and proven first; then they are asked in turn, round after round.
"""

import json
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.cases import Case
from benchmarks.suite import Settings, measured_on
from common import data, worlds
from common.environment import shares
from common.processes import Children, end
from common.terminal import progress_bar

WAYS = ("together", "apart")


class Group:
    """`count` processes of benchmarks.rank that train together, with `threads` cores in all, and what they have said."""

    def __init__(self, job: dict, count: int, threads: int, folder: Path, children: Children):
        name = f"{job['model']}-{job['batch']}-{job['backend']}-{count}"
        self.job, self.count, self.seconds = job, count, {way: [] for way in WAYS[: 1 + (count > 1)]}
        path = folder / f"{name}.json"
        path.write_text(json.dumps(job))
        ports, cores = worlds.free_ports(count), ",".join(shares(1, threads)).split(",")
        each = max(1, threads // count)
        self.logs, self.ranks = [folder / f"{name}-{rank}.log" for rank in range(count)], []
        for rank, log in enumerate(self.logs):
            own = [cores[(rank * each + k) % len(cores)] for k in range(each)]
            with open(log, "w") as file:
                self.ranks.append(
                    children.start(
                        "benchmarks.rank",
                        path,
                        cores=",".join(own),
                        settings=worlds.settings(job["backend"], rank, count, ports) if count > 1 else None,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=file,
                        text=True,
                    )
                )
        self.about = self.hear()
        self.fit = self.about is not None and "exchanges" in self.about

    def hear(self) -> dict | None:
        """The next line of JSON of rank 0, once all ranks have said one; None when any has ended. They are stopped then."""
        said = []
        for process in self.ranks:
            line = next((line for line in process.stdout if line.startswith("{")), None)
            if line is None:
                for other in self.ranks:
                    end(other)
                return None
            said.append(json.loads(line))
        for process in self.ranks:
            process.send_signal(signal.SIGSTOP)
        return said[0]

    def measure(self) -> None:
        for way, seconds in self.seconds.items():
            if not self.fit:
                return
            for process in self.ranks:
                process.send_signal(signal.SIGCONT)
                process.stdin.write(f"{way}\n")
                process.stdin.flush()
            answer = self.hear()
            self.fit = answer is not None
            if answer:
                seconds.append(answer["seconds"])

    def finish(self) -> dict:
        """The row of this group; without seconds where it was not proven or did not survive, and then with the reason."""
        row = {key: self.job[key] for key in ("model", "batch", "hidden", "backend")} | {"workers": self.count}
        row["proof"] = (self.about or {}).get("proof")
        if self.fit:
            row |= {"exchanges": self.about["exchanges"]}
            for way, seconds in self.seconds.items():
                row[way] = {
                    "median": statistics.median(seconds),
                    "least": min(seconds),
                    "most": max(seconds),
                    "seconds": seconds,
                }
        elif row["proof"] and not row["proof"]["passed"]:
            row["problem"] = (
                f"diverges from the oracle at stage {row['proof']['stage']}, tensor {row['proof']['tensor']}"
            )
        else:
            lines = self.logs[0].read_text(errors="replace").strip().splitlines()
            row["problem"] = lines[-1] if lines else "ended without a word"
        for process in self.ranks:
            end(process)
        return row


def run(
    cases: list[Case], backends: tuple[str, ...], counts: list[int], settings: Settings, keep: Callable[[dict], object]
) -> dict:
    """Measure every case in every backend with every number of workers; the result as plain JSON values, which `keep` is given after
    each case and backend."""
    rows, result, environment = [], {}, measured_on(backends)
    with tempfile.TemporaryDirectory() as folder, progress_bar("bench") as progress:
        task = progress.add_task("", total=len(cases) * len(backends), note="")
        for case in cases:
            for backend in backends:
                progress.update(task, note=f"{case.model}, batch {case.batch}: {backend}")
                rows += _together(case, backend, counts, settings, Path(folder))
                result = {
                    "settings": vars(settings) | {"workers": counts},
                    "environment": environment,
                    "measured": time.strftime("%Y-%m-%d"),
                    "rows": rows,
                }
                keep(result)
                progress.advance(task)
    return result


def _together(case, backend, counts, settings, folder):
    job = vars(case) | {"backend": backend, "device": settings.device, "seconds": settings.seconds}
    job |= {
        "data": data.absolute(settings.data),
        "data_dir": settings.data_dir and str(Path(settings.data_dir).resolve()),
    }
    with Children() as children:
        groups = [Group(job, count, settings.threads, folder, children) for count in counts]
        for _ in range(settings.repeats):
            for group in groups:
                group.measure()
        return [group.finish() for group in groups]
