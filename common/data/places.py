"""Where a data set is looked for, and kept."""

import os
from pathlib import Path

import platformdirs


def places(name: str, data_dir: Path | None) -> list[Path]:
    """`data_dir`, else $TETRAPLA_DATA, else `name` in the user cache: those that are given, in this order."""
    cache = Path(platformdirs.user_cache_dir("tetrapla")) / name
    return [Path(folder) for folder in (data_dir, os.environ.get("TETRAPLA_DATA"), cache) if folder]
