"""How near every column comes to its bars when the frameworks are held to other instruction sets and threads.

    python -P -m tests.portable [--model M]... [--backend B]... [--seeds 5] [--out docs/portable.json]

One process per backend, setting and seed, one at a time, proves the models one after another, up to one update; small models
also 100 updates in float64. What is found is kept in OUT after each, so that an interrupted run goes on where it stopped,
and OUT with the ending .md holds the table. Exit code 1 if anything is beyond its bar.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import backends
from common import environment, parity
from common.checkpoint import write_atomically, write_json
from common.data import digits
from common.specs import SPECS, get
from common.truths import read_truth, write_truth

ISAS = {
    "SSE4.1": ("SSE41", "SSE4_2", "default", "SSE4_2"),
    "AVX2": ("AVX2", "AVX2", "avx2", "AVX2"),
    "AVX-512": ("AVX512_CORE", "AVX512", "avx512", "AVX512"),
}
THREADS = (1, 2, 4)
COURSE = ("vae_z100", "gan_two_layer", "vae")  # compared over 100 updates too


def settings() -> dict[str, dict[str, str]]:
    """{"AVX2, 2 threads": environment variables}."""
    found = {}
    for name, (onednn, mkl, aten, xla) in ISAS.items():
        for threads in THREADS:
            isa = {"ONEDNN_MAX_CPU_ISA": onednn, "DNNL_MAX_CPU_ISA": onednn, "MKL_ENABLE_INSTRUCTIONS": mkl}
            isa |= {"ATEN_CPU_CAPABILITY": aten}
            count = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
            count |= {"TF_NUM_INTRAOP_THREADS": str(threads), "TF_NUM_INTEROP_THREADS": "1"}
            flags = f"--xla_cpu_max_isa={xla} --xla_cpu_multi_thread_eigen={'false' if threads == 1 else 'true'}"
            found[f"{name}, {threads} thread{'s' * (threads > 1)}"] = isa | count | {"XLA_FLAGS": flags}
    found["AVX2, 2 threads, TensorFlow without oneDNN"] = found["AVX2, 2 threads"] | {"TF_ENABLE_ONEDNN_OPTS": "0"}
    return found


def case_of(model: str, seed: int) -> parity.Case:
    """What is compared of a model."""
    return parity.Case(get(model).calmed(), digits.load().train, steps=100 if model in COURSE else 0, seed=seed)


def truth(model: str, seed: int, dtype: str, folder: Path) -> parity.Truth:
    """What the oracle says, asked once."""
    folder = folder / f"{model}-{seed}"
    folder.mkdir(exist_ok=True)
    if not (folder / f"bars-{dtype}.safetensors").exists():
        write_truth(folder, dtype, parity.truth(case_of(model, seed), dtype))
    return read_truth(folder, dtype)


def prove(backend: str, models: list[str], seed: int, folder: Path) -> None:
    """In a process of its own: one line of JSON per model and precision."""
    for model in models:
        case = case_of(model, seed)
        for dtype in ("float64", "float32"):
            column = backends.create(backend, case.spec, case.parameters(), dtype=dtype, seed=seed)
            single = case if dtype == "float64" else replace(case, steps=0)
            stages = parity.compare(truth(model, seed, dtype, folder), parity.collect(column, single, dtype), dtype)
            worst = max(stages, key=lambda stage: (not stage.passed, stage.share))
            row = {"floors": worst.times_floor, "passed": worst.passed, "stage": worst.name, "tensor": worst.tensor}
            print("ROW " + json.dumps({"model": model, "dtype": dtype} | row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", action="append", choices=list(SPECS))
    parser.add_argument("--backend", action="append", choices=backends.BACKENDS)
    parser.add_argument("--setting", action="append", choices=list(settings()))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("docs/portable.json"))
    options = parser.parse_args()
    models, columns = options.model or list(SPECS), options.backend or backends.installed()
    rows = json.loads(options.out.read_text())["rows"] if options.out.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            for model in models:
                for backend in columns:
                    for setting in options.setting or settings():
                        key = {"model": model, "backend": backend, "setting": setting, "seed": seed}
                        if any(key.items() <= row.items() for row in rows):
                            continue
                        for dtype in ("float64", "float32"):
                            truth(model, seed, dtype, Path(folder))
                        rows += measure(key, Path(folder))
                        write(options.out, rows)
                for path in Path(folder).iterdir():
                    shutil.rmtree(path)
    write(options.out, rows)
    sys.exit(0 if rows and all(row["passed"] for row in rows) else 1)


def measure(key: dict, folder: Path) -> list[dict]:
    """The rows of one process; of one that died, a row that has not passed."""
    code = "import sys; from pathlib import Path; from tests.portable import prove; "
    code += f"prove({key['backend']!r}, [{key['model']!r}], {key['seed']}, Path({str(folder)!r}))"
    result = subprocess.run(
        [sys.executable, "-P", "-c", code], env=os.environ | settings()[key["setting"]], capture_output=True, text=True
    )
    rows = [key | json.loads(line[4:]) for line in result.stdout.splitlines() if line.startswith("ROW ")]
    if result.returncode:
        said = (result.stderr.strip().splitlines() or ["no output"])[-1]
        rows.append(key | {"dtype": "", "floors": 0.0, "passed": False, "stage": "crash", "tensor": said[:200]})
    return rows


def write(out: Path, rows: list[dict]) -> None:
    """The rows, and the table beside them."""
    write_json(out, {"processor": environment.describe()["processor"], "factor": parity.FACTOR, "rows": rows})
    seeds, shown = sorted({row["seed"] for row in rows}), sorted({row["setting"] for row in rows})
    lines = [
        "# Bars on other instruction sets",
        "",
        f"The largest deviation in floors (the bar is {parity.FACTOR}; [how they are derived](proof.md)), on {environment.describe()['processor']}, "
        f"over {len(seeds)} of 5 seeds and {len(shown)} of {len(settings())} settings: {'; '.join(shown)}. Made by `nox -s test-portable`, which goes on "
        "where it stopped. All stages up to one update; of " + ", ".join(f"`{model}`" for model in COURSE) + " also 100 updates.",
        "",
        "| model | backend | precision | runs | largest, floors | where |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for model, backend, dtype in dict.fromkeys((row["model"], row["backend"], row["dtype"]) for row in rows):
        own = [row for row in rows if (row["model"], row["backend"], row["dtype"]) == (model, backend, dtype)]
        worst = max(own, key=lambda row: (not row["passed"], row["floors"]))
        where = f"{worst['stage']}, `{worst['tensor']}`; {worst['setting']}, seed {worst['seed']}"
        mark = "" if worst["passed"] else "✗ "
        lines.append(f"| `{model}` | {backend} | {dtype} | {len(own)} | {mark}{worst['floors']:.1f} | {where} |")
    write_atomically(out.with_suffix(".md"), ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
