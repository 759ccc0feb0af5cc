"""What a result was measured on: versions, processor, git commit. Written into every run and report."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from backends import versions

ROOT = Path(__file__).parents[1]  # of the repository


def describe(backend: str | None = None) -> dict:
    """Python, NumPy, the backend's framework, processor, cores and git commit, as plain JSON values."""
    found = {"numpy": importlib.metadata.version("numpy")}
    if backend:
        found |= versions(backend) or {}
    return {
        "python": platform.python_version(),
        "versions": found,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": cores(),
        "commit": _commit(),
    }


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


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
