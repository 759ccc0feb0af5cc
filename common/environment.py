"""What a result was measured on: versions, processor, git commit. Written into every run and report."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]  # of the repository


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


def threads() -> int:
    """How many threads a framework may use here: one for each core that $TETRAPLA_CORES names ("0,1"), to which this
    process is held from now on; without it one for each core that this process may use."""
    if (named := os.environ.get("TETRAPLA_CORES")) and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core) for core in named.split(",")})
    return len(named.split(",")) if named else cores()


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


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
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, capture_output=True, text=True
        )
    except OSError:
        return None
    return commit.stdout.strip() or None
