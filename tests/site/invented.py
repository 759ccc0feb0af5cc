"""Result files to make a site from, small and with numbers that stand nowhere else."""

from dataclasses import asdict
from pathlib import Path

from PIL import Image

from backends import BACKENDS
from common.checkpoint import write_json
from common.parity import Stage


def stage(name: str, deviation: float) -> dict:
    return asdict(Stage(name, deviation, "decoder.fc1.weight", tolerance=1e-12)) | {"passed": True}


def invented_results(folder: Path) -> Path:
    """`folder` with a comparison of `vae` in `parity`, and two benchmarks of it, the later with a median of 2 ms."""
    stages = [stage("losses", 1.25e-15), stage("many updates", 7.71e-14)]
    model = {
        "passed": True,
        "rate": 1.0,
        "against_oracle": {f"{backend} float64": stages for backend in BACKENDS},
        "between_backends": {"pytorch - jax float64": stages},
        "growth": {},
        "crashes": {},
        "training": {backend: {"step": 300, "test": {"loss": 123.456}} for backend in BACKENDS},
    }
    report = {
        "data": {"description": "invented data"},
        "settings": {"steps": 100},
        "environment": {"processor": "an abacus", "commit": None},
        "models": {"vae": model},
    }
    (folder / "parity").mkdir()
    write_json(folder / "parity/report.json", report)
    Image.new("L", (300, 200), "white").save(folder / "parity/vae-losses.png")
    for day, median in (("2001-01-01", 0.5), ("2001-01-02", 0.002)):
        row = {"model": "vae", "backend": "jax", "mode": "fast", "batch": 128, "median": median, "least": 0.001}
        row |= {"most": 0.7, "per_second": 64_000, "floor": 0.0005, "times_floor": 4.0}
        lost = {"model": "vae", "backend": "paddle", "mode": "fast", "batch": 128, "problem": "exit code 9: fell over"}
        result = {"rows": [row, lost], "measured": day, "environment": {"processor": "an abacus"}}
        write_json(folder / f"{day}.json", result | {"settings": {"device": "cpu", "threads": 2}})
    return folder
