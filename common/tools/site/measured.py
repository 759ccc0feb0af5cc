"""What was measured: the report of `tetrapla compare` and result files of `tetrapla bench`, where there are any."""

import json
import math
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


AXIS = (-18, -10)  # powers of ten: from below the rounding of float64 to where no bar may lie (CEILING)
USUAL = {"steps": 100, "seed": 0, "device": "cpu", "rate": None}  # what `tetrapla compare` takes without being told


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

    def most(self, name: str) -> float:
        """The largest float64 deviation of any backend at any stage."""
        return max(stage["deviation"] for stage in self.worst(name).values())

    def places(self, name: str) -> list[dict]:
        """Of every stage, on an axis of float64 magnitudes: `at`, {backend: place of its deviation in percent of the axis}, and
        `bar`, that of the bar, or None where nothing may deviate."""
        columns = self.columns(name, "float64")
        stages = [rows for rows in zip(*columns.values(), strict=True) if rows[0]["name"] in STAGES]
        return [
            {
                "stage": rows[0]["name"],
                "at": {backend: _place(row["deviation"]) for backend, row in zip(columns, rows, strict=True)},
                "bar": _place(rows[0]["tolerance"]) if rows[0]["tolerance"] else None,
            }
            for rows in stages
        ]

    @property
    def axis(self) -> list[tuple[str, float]]:
        """(label, place in percent) of the axis: what is exact stands at its left end."""
        return [("0", 0.0)] + [(f"1e{power}", _place(10.0**power)) for power in range(AXIS[0] + 2, AXIS[1] + 1, 2)]

    def command(self, name: str = "") -> str:
        """The command that made the report, or the part of it that is about one model."""
        settings, data = self.report["settings"], self.report["data"].get("name")
        words = ["tetrapla compare", name, f"--data {data}" if data else ""]
        words += [f"--{key} {settings[key]}" for key, usual in USUAL.items() if settings.get(key, usual) != usual]
        return " ".join(filter(None, words))

    def pictures(self, name: str, kinds: list[str]) -> list[tuple[Path, str]]:
        """(file, what it shows) of the pictures that are there, of the `kinds` that PICTURES names."""
        paths = ((self.folder / f"{name}-{kind}.png", PICTURES[kind]) for kind in kinds)
        return [(path, text) for path, text in paths if path.exists()]


def _place(deviation):
    low, high = AXIS
    power = math.log10(deviation) if deviation else low
    return 100 * min(1.0, max(0.0, (power - low) / (high - low)))


def parity(folder: Path) -> list[Parity]:
    """The report in `folder` and those in the folders in it, whose models were compared on other data; none if there is no
    such folder. Raises UsageError if the folder holds something else."""
    if not folder.exists():
        return []
    return [_read(one) for one in (folder, *sorted(path.parent for path in folder.glob("*/report.json")))]


def _read(folder):
    path = folder / "report.json"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        if not {"models", "settings", "environment", "data"} <= report.keys():
            raise ValueError("no report of models")
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{path}: expected a report of `tetrapla compare` ({error})") from error
    return Parity(folder, report)


def benchmarks(paths: list[Path]) -> list[dict]:
    """The results of each device, the CPU's first and the newest first, each with the rows of models that no newer one of its
    device has; sweeps are left to docs/benchmarks.md. Raises UsageError for a file that is no result."""
    results, seen, shown = [read(path) for path in paths], {}, []
    for path, result in zip(paths, results, strict=True):
        if not {"measured", "settings", "environment"} <= result.keys():
            raise UsageError(
                f"{path}: expected a result of `tetrapla bench`, which says when and on what it was measured"
            )
    for result in sorted(results, key=lambda result: result["measured"], reverse=True):
        if not swept(result["rows"]):
            known = seen.setdefault(result["settings"]["device"], set())
            shown.append(result | {"rows": [row for row in result["rows"] if row["model"] not in known]})
            known |= {row["model"] for row in result["rows"]}
    return sorted((result for result in shown if result["rows"]), key=lambda result: result["settings"]["device"])


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
