"""What was measured: the report of `tetrapla compare` and result files of `tetrapla bench`, where there are any."""

import json
from dataclasses import dataclass
from pathlib import Path

from backends import BACKENDS
from benchmarks import peers
from benchmarks.worker import MODES as OURS
from common.errors import UsageError
from common.parity import STAGES
from common.tools.bench import read, swept

MODES = (*OURS, *peers.MODES)

# The pictures that `compare` draws of a model, in the order of the page, and what they show.
PICTURES = {
    "losses": "Training loss of each backend, overlaid, with the same weights, batches and noise; to the right, the growth "
    "of their distance in float32.",
    "reconstructions": "Test images in the top row, and below them each backend's reconstructions after the training.",
    "samples": "Samples of each backend after the training, from the same draws of the prior.",
    "growth": "Largest relative deviation of any parameter or running statistic from the float64 oracle.",
}


@dataclass(frozen=True)
class Parity:
    """A report of `tetrapla compare`, and the folder of its pictures."""

    folder: Path
    report: dict

    def model(self, name: str) -> dict | None:
        """What the report says of a model."""
        return self.report["models"].get(name)

    def columns(self, name: str, dtype: str) -> dict[str, list[dict]]:
        """{backend: stages} against the oracle."""
        found = self.report["models"][name]["against_oracle"]
        return {backend: found[f"{backend} {dtype}"] for backend in BACKENDS if f"{backend} {dtype}" in found}

    def pairs(self, name: str) -> dict[str, dict]:
        """{"pytorch - jax": the stage in which two backends differ most}."""
        found = self.report["models"][name]["between_backends"]
        return {key.removesuffix(" float64"): max(stages, key=lambda stage: stage["deviation"])
                for key, stages in found.items()}  # fmt: skip

    def worst(self, name: str) -> dict[str, dict]:
        """{backend: its stage of the largest float64 deviation}; the complex step is left out, whose deviation is its own."""
        return {
            backend: max((stage for stage in stages if stage["name"] in STAGES), key=lambda stage: stage["deviation"])
            for backend, stages in self.columns(name, "float64").items()
        }

    def pictures(self, name: str) -> list[tuple[Path, str]]:
        """(file, what it shows) of the pictures that are there."""
        paths = ((self.folder / f"{name}-{kind}.png", text) for kind, text in PICTURES.items())
        return [(path, text) for path, text in paths if path.exists()]


def parity(folder: Path) -> Parity | None:
    """The report in `folder`, or None if there is no such folder. Raises UsageError if the folder holds something else."""
    if not folder.exists():
        return None
    path = folder / "report.json"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        if not {"models", "settings", "environment", "data"} <= report.keys():
            raise ValueError("no report of models")
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{path}: expected a report of `tetrapla compare` ({error})") from error
    return Parity(folder, report)


def benchmarks(paths: list[Path]) -> list[dict]:
    """The newest result of each device, the CPU's first; sweeps are left to docs/benchmarks.md. Raises UsageError for a file
    that is no result."""
    results, newest = [read(path) for path in paths], {}
    for path, result in zip(paths, results, strict=True):
        if not {"measured", "settings", "environment"} <= result.keys():
            raise UsageError(
                f"{path}: expected a result of `tetrapla bench`, which says when and on what it was measured"
            )
    for result in sorted(results, key=lambda result: result["measured"]):
        if not swept(result["rows"]):
            newest[result["settings"]["device"]] = result
    return [newest[device] for device in sorted(newest)]


def throughput(result: dict, model: str) -> list[dict]:
    """The measured rows of a model: each with `share`, its time as a part of the longest of its mode, and `floor_share`,
    the floor's, which is 0 where there is none."""
    rows = [row for row in result["rows"] if row["model"] == model and "median" in row]
    longest = {row["mode"]: 0.0 for row in rows}
    for row in rows:
        longest[row["mode"]] = max(longest[row["mode"]], row["median"])
    shown = [
        row | {"share": row["median"] / longest[row["mode"]], "floor_share": row.get("floor", 0) / longest[row["mode"]]}
        for row in rows
    ]
    return sorted(shown, key=lambda row: (MODES.index(row["mode"]), BACKENDS.index(row["backend"])))
