"""How near every column comes to its bars when the frameworks are held to other instruction sets and threads.

    python -m tests.portable [--model M]... [--backend B]... [--setting S]... [--seeds 5] [--out docs/portable.json]

The oracle is asked first, of every model and seed. Then one process per backend and setting, as many at a time as there are
cores, proves all models from all seeds, up to one update; small models also over 100 updates in float64. A column is compiled
once and starts anew from each seed. What is found is kept in OUT after each process, so that an interrupted run goes on where
it stopped, and OUT with the ending .md holds the table. Exit code 1 if anything is beyond its bar.
"""

import argparse
import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

import backends
from common import environment, parity
from common.checkpoint import write_atomically, write_json
from common.contract import Snapshot
from common.data import digits
from common.processes import Children, in_turn
from common.specs import SPECS, get
from common.truths import kept_truth

# What tells oneDNN, two generations of MKL, ATen and XLA which instructions to use.
ISAS = {
    "SSE4.1": ("SSE41", "SSE4_2", "3", "default", "SSE4_2"),
    "AVX2": ("AVX2", "AVX2", "5", "avx2", "AVX2"),
    "AVX-512": ("AVX512_CORE", "AVX512", "7", "avx512", "AVX512"),
}
THREADS = (1, 2, 4)
COURSE = ("vae_z100", "gan_two_layer", "vae")  # compared over 100 updates too
SIDE = 768  # of the square matrices that show how fast a setting multiplies


def settings() -> dict[str, dict[str, str]]:
    """{"AVX2, 2 threads": environment variables}."""
    found = {}
    for name, (onednn, mkl, old_mkl, aten, xla) in ISAS.items():
        for threads in THREADS:
            isa = {"ONEDNN_MAX_CPU_ISA": onednn, "DNNL_MAX_CPU_ISA": onednn, "MKL_ENABLE_INSTRUCTIONS": mkl}
            isa |= {"MKL_DEBUG_CPU_TYPE": old_mkl, "ATEN_CPU_CAPABILITY": aten}
            isa |= {"XLA_FLAGS": f"--xla_cpu_max_isa={xla}"}
            # A core may be named twice: four threads on two cores.
            cores = environment.shares(1, threads)[0]
            isa |= environment.thread_settings(cores) | {"NPROC": str(threads)}
            found[f"{name}, {threads} thread{'s' * (threads > 1)}"] = isa
    found["AVX2, 2 threads, TensorFlow with oneDNN"] = found["AVX2, 2 threads"] | {"TF_ENABLE_ONEDNN_OPTS": "1"}
    return found


def case_of(model: str, seed: int) -> parity.Case:
    """What is compared of a model."""
    return parity.Case(get(model).calmed(), digits.load().train, steps=100 if model in COURSE else 0, seed=seed)


def cases(models: list[str], seeds: int) -> Iterator[tuple[str, str, list[parity.Case]]]:
    """(model, precision, the case of each seed)."""
    for model in models:
        for dtype in ("float64", "float32"):
            found = [case_of(model, seed) for seed in range(seeds)]
            yield model, dtype, [one if dtype == "float64" else replace(one, steps=0) for one in found]


def prove(backend: str, models: str, seeds: str, folder: str) -> None:
    """In a process of its own: one line of JSON per model, precision and seed, and the rate of its products."""
    say(model="", dtype="", seed=0, passed=True, rate=rate(backend))
    for model, dtype, found in cases(models.split(","), int(seeds)):
        column = backends.create(backend, found[0].spec, found[0].parameters(), dtype=dtype)
        for case in found:
            column.restore(Snapshot.start(case.spec, case.parameters()))
            stages = parity.compare(kept_truth(case, dtype, Path(folder)), parity.collect(column, case, dtype), dtype)
            worst = max(stages, key=lambda stage: (not stage.passed, stage.share))
            about = {"floors": worst.times_floor, "passed": worst.passed, "stage": worst.name, "tensor": worst.tensor}
            say(model=model, dtype=dtype, seed=case.seed, **about)


def rate(backend: str) -> float:
    """GFLOP/s of a float32 product of square matrices: whether a setting makes a difference at all."""
    multiply, _ = backends.engine(backend, "timing").yardstick("cpu")
    product, seconds = multiply([tuple(np.random.default_rng(0).random((2, SIDE, SIDE), np.float32))]), []
    for _ in range(12):
        start = time.perf_counter()
        product()
        seconds.append(time.perf_counter() - start)
    return 2 * SIDE**3 / min(seconds) / 1e9


def say(**row) -> None:
    print("ROW " + json.dumps(row), flush=True)


def ask(model: str, seed: str, folder: str) -> None:
    """In a process of its own: the oracle's answers."""
    for _, dtype, found in cases([model], int(seed) + 1):
        kept_truth(found[int(seed)], dtype, Path(folder))


def measure(children: Children, backend: str, setting: str, models: list[str], seeds: int, folder: Path) -> list[dict]:
    """The rows of one process; of one that died, a row that has not passed."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    words = ("prove", backend, ",".join(models), seeds, folder)
    process = children.start("tests.portable", *words, settings=settings()[setting], **pipes)
    output, errors = process.communicate()
    key = {"backend": backend, "setting": setting}
    rows = [key | json.loads(line[4:]) for line in output.splitlines() if line.startswith("ROW ")]
    if process.returncode:
        said = (errors.strip().splitlines() or ["no output"])[-1]
        rows.append(
            key | {"model": "", "dtype": "", "seed": 0, "passed": False, "stage": "crash", "tensor": said[:200]}
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", action="append", choices=list(SPECS))
    parser.add_argument("--backend", action="append", choices=backends.BACKENDS)
    parser.add_argument("--setting", action="append", choices=list(settings()))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("docs/portable.json"))
    parser.add_argument(
        "--truths", type=Path, help="Keep the oracle's answers here, gigabytes of them, for another run."
    )
    options = parser.parse_args()
    models, columns = options.model or list(SPECS), options.backend or backends.installed()
    rows = json.loads(options.out.read_text())["rows"] if options.out.exists() else []
    found = {
        kind: {tuple(r[k] for k in ("backend", "setting", "model", "seed")) for r in rows if r["passed"] == kind}
        for kind in (True, False)
    }
    passed = found[True] - found[False]  # in both precisions
    wanted = {}
    for pair in [(b, s) for s in options.setting or settings() for b in columns]:
        missing = [m for m in models if not {(*pair, m, k) for k in range(options.seeds)} <= passed]
        if missing:
            wanted[pair] = missing
            again = ("", *missing)
            rows = [row for row in rows if (row["backend"], row["setting"]) != pair or row["model"] not in again]
    place = contextlib.nullcontext(options.truths) if options.truths else tempfile.TemporaryDirectory()
    with place as folder:
        asked = itertools.product(
            dict.fromkeys(m for missing in wanted.values() for m in missing), range(options.seeds)
        )

        def truth(number, one, cores, children):
            children.carry_through("tests.portable", "ask", *one, folder, cores=cores, alone=False, advice="mend it")

        def proof(number, one, cores, children):
            (backend, setting), models = one
            found = measure(children, backend, setting, models, options.seeds, Path(folder))
            with lock:
                rows.extend(found)
                write(options.out, rows)

        lock = threading.Lock()
        in_turn(asked, environment.cores(), truth)
        in_turn(wanted.items(), environment.cores(), proof)
    write(options.out, rows)
    sys.exit(0 if rows and all(row["passed"] for row in rows) else 1)


def write(out: Path, rows: list[dict]) -> None:
    """The rows, and the tables beside them."""
    processor = environment.describe()["processor"]
    write_json(out, {"processor": processor, "factor": parity.FACTOR, "rows": rows})
    proofs = [row for row in rows if row["model"] or not row["passed"]]
    seeds, shown = {row["seed"] for row in proofs}, list(dict.fromkeys(row["setting"] for row in rows))
    lines = [
        "# Bars on other instruction sets",
        "",
        f"The largest deviation, as a multiple of the tensor's expected rounding error (the bar is {parity.FACTOR}; [how they are derived](proof.md)), on {processor}, over "
        f"{len(seeds)} seeds and {len(shown)} settings: {'; '.join(shown)}. Made by `nox -s test-portable`. All stages up to "
        "one update; of " + ", ".join(f"`{model}`" for model in COURSE) + " also 100 updates.",
        "",
        "| model | backend | precision | runs | median | largest | where |",
        "|---|---|---|---|---|---|---|",
    ]
    for model, backend, dtype in sorted({(row["model"], row["backend"], row["dtype"]) for row in proofs}):
        own = [row for row in proofs if (row["model"], row["backend"], row["dtype"]) == (model, backend, dtype)]
        worst = max(own, key=lambda row: (not row["passed"], row.get("floors", 0.0)))
        median, largest = np.median([row.get("floors", 0.0) for row in own]), worst.get("floors", 0.0)
        where = f"{worst['stage']}, `{worst['tensor']}`; {worst['setting']}, seed {worst['seed']}"
        mark = "" if worst["passed"] else "✗ "
        lines.append(f"| `{model}` | {backend} | {dtype} | {len(own)} | {median:.1f} | {mark}{largest:.1f} | {where} |")
    names = list(dict.fromkeys(row["backend"] for row in rows))
    lines += [
        "",
        "Whether a setting makes a difference at all: GFLOP/s of a float32 product of two square matrices of side "
        f"{SIDE}, two processes at a time. Where a switch changes nothing, the framework heeds none of those that were set.",
        "",
        f"| setting | {' | '.join(names)} |",
        "|---|" + "---|" * len(names),
    ]
    for setting in shown:
        rates = {row["backend"]: f"{row['rate']:.0f}" for row in rows if row["setting"] == setting and "rate" in row}
        lines.append(f"| {setting} | {' | '.join(rates.get(name, '') for name in names)} |")
    write_atomically(out.with_suffix(".md"), ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    if sys.argv[1:2] in (["ask"], ["prove"]):
        {"ask": ask, "prove": prove}[sys.argv[1]](*sys.argv[2:])
    else:
        main()
