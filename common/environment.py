"""What a result was measured on: versions, processor, git commit. Written into every run and report."""

import importlib.metadata
import itertools
import os
import platform
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]  # of the repository
CORES = "TETRAPLA_CORES"  # the cores of a process, "0,1": as many threads as are named; one may be named twice
POOLS = (  # the variables by which libraries are told how many threads to make, each read when the library is loaded
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


def describe(versions: Mapping[str, str] | None = None) -> dict:
    """Python, NumPy, `versions` of a backend's framework, processor, cores and git commit, as plain JSON values."""
    return {
        "python": platform.python_version(),
        "versions": {"numpy": importlib.metadata.version("numpy")} | dict(versions or {}),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": cores(),
        "commit": _commit(),
    }


def settle(**variables: object) -> dict[str, str]:
    """Variables that a framework reads when it is imported, unless the user has set them; {name: what holds now}."""
    return {name: os.environ.setdefault(name, str(value)) for name, value in variables.items()}


def project() -> dict | None:
    """Name and version by the pyproject.toml beside our packages; None where they lie somewhere else than in their clone."""
    path = ROOT / "pyproject.toml"
    found = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {}) if path.is_file() else {}
    return found if found.get("name") == "tetrapla" else None


def cores() -> int:
    """How many this process may use."""
    return len(_cores())


def shares(jobs: int, threads: int | None = None) -> list[str]:
    """The CORES of each of `jobs` processes that run at a time: this process's own, dealt out, one at least; or so many that
    each has `threads` of them. A core is shared only where there are not enough."""
    own = _cores()
    threads = threads or max(1, len(own) // jobs)
    dealt = itertools.cycle(own)
    return [",".join(str(next(dealt)) for _ in range(threads)) for _ in range(jobs)]


def thread_settings(cores: str) -> dict[str, str]:
    """The variables that hold a process to `cores`, one of `shares`, before it starts; `hold_to_cores` does the rest in it."""
    return {CORES: cores} | pool_settings(len(cores.split(",")))


def pool_settings(threads: int) -> dict[str, str]:
    """The variables that have libraries make so many threads. The pool of XLA heeds none; its threads sleep while they wait."""
    return dict.fromkeys(POOLS, str(threads))


def pools() -> dict[str, str]:
    """{variable: value} of those that hold this process to so many threads."""
    return {name: os.environ[name] for name in (CORES, *POOLS) if name in os.environ}


def hold_to_cores() -> None:
    """Keep this process on its CORES, if it was given any. Called before a framework is imported: the pool of XLA, in JAX and
    in TensorFlow, heeds no variable and takes as many threads as the process may use cores."""
    if os.environ.get(CORES) and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, map(int, os.environ[CORES].split(",")))


def threads() -> int:
    """How many threads a framework may make here: one for each of this process's CORES, which it keeps to from now on."""
    hold_to_cores()
    return len(os.environ[CORES].split(",")) if os.environ.get(CORES) else cores()


def _cores():
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count()))


def peak_memory() -> int | None:
    """The most memory that this process has held so far, in bytes; None where the system does not say."""
    info = psutil.Process().memory_info()
    if hasattr(info, "peak_wset"):  # Windows
        return info.peak_wset
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def amd_processor() -> bool:
    """Whether this is known to be one: libraries of Intel choose slower code there, which the engines work around."""
    return _cpuinfo("vendor_id") == "AuthenticAMD"


def has_avx512() -> bool:
    """Whether this processor is known to have what libraries mean by AVX-512: that of Intel's servers since 2017."""
    return {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"} <= set(_cpuinfo("flags").split())


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _cpuinfo(field: str) -> str:
    """What Linux says of the first processor; "" where there is no such field."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == field), "")


def _commit() -> str | None:
    """Of this repository, and of none that it may lie in."""
    command = [
        "git",
        f"--git-dir={ROOT / '.git'}",
        f"--work-tree={ROOT}",
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
    ]
    try:
        commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return None
    return commit.stdout.strip() or None
