"""What a result was measured on: versions, processor, git commit. Written into every run and report."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from backends import versions


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
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "commit": _commit(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    folder = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=folder, capture_output=True, text=True
        )
    except OSError:
        return None
    return commit.stdout.strip() or None
