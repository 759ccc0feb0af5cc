"""How much slower training gets beside other work: `python -m benchmarks.busy`, on a machine that is idle otherwise.

Trains each model in each framework alone, then beside as many busy loops as there are cores, alternately, and writes the
seconds of a step: of the calls after the first, from the run's own progress, so that start-up and compilation do not count.
With half of the machine its fair share, a framework whose threads do not fight for it takes about twice its idle time.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import backends
from common import environment
from common.checkpoint import write_json
from common.processes import Children

MODELS = ("vae", "gan")
LOOP = "while True: pass"


def seconds(backend: str, model: str, steps: int, loops: int) -> float:
    """Wall seconds of a step of `tetrapla train`, beside so many busy loops."""
    with Children() as children, tempfile.TemporaryDirectory() as folder:
        for _ in range(loops):
            children.start("timeit", "-n1", "-r1", LOOP)
        out = Path(folder) / "run"
        words = ("train", model, "--backend", backend, "--steps", steps, "--evaluate-every", steps, "--out", out)
        process = children.start("common.tools.cli", *words, stdout=subprocess.DEVNULL)
        metrics, seen = out / "metrics.jsonl", []  # (lines, when)
        while process.poll() is None:
            count = metrics.read_text().count("\n") if metrics.exists() else 0
            if count and (not seen or count > seen[-1][0]):
                seen.append((count, time.perf_counter()))
            time.sleep(0.01)
        if process.returncode:
            raise SystemExit(f"{model} in {backend}: training ended with exit code {process.returncode}")
    (first, start), (last, end) = seen[0], max(one for one in seen if one[0] <= steps)
    return (end - start) / (last - first)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--backend", action="append", choices=backends.BACKENDS)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/busy.json"))
    options = parser.parse_args()
    loops, rows = environment.cores(), []
    print(f"| model | framework | idle, ms a step | next to {loops} busy loops | times |\n|---|---|---|---|---|")
    for model in MODELS:
        for backend in options.backend or backends.installed():
            found = {"idle": [], "busy": []}
            for _ in range(options.rounds):
                for kind, count in (("idle", 0), ("busy", loops)):
                    found[kind].append(seconds(backend, model, options.steps, count))
            idle, busy = (statistics.median(found[kind]) for kind in ("idle", "busy"))
            rows.append({"model": model, "backend": backend, **found, "times": busy / idle})
            title = backends.TITLES[backend]
            print(f"| `{model}` | {title} | {1e3 * idle:.3g} | {1e3 * busy:.3g} | {busy / idle:.1f} |", flush=True)
    about = environment.describe() | {"backends": {b: backends.versions(b) for b in backends.installed()}}
    write_json(options.out, {"environment": about, "loops": loops, "steps": options.steps, "rows": rows})
    print(json.dumps({"worst": max(row["times"] for row in rows)}), file=sys.stderr)


if __name__ == "__main__":
    main()
