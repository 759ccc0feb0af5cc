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
    """`folder` with a comparison of `vae` in `parity` and in it another, of `autoencoder` on other data, two benchmarks of
    `vae`, the later with a median of 2 ms and the earlier with `autoencoder` besides, and a sweep over the batch."""
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
    (folder / "parity/other").mkdir(parents=True)
    write_json(folder / "parity/report.json", report)
    other = {"data": {"name": "others", "description": "other data"}, "models": {"autoencoder": model, "vae": model}}
    write_json(folder / "parity/other/report.json", report | other)
    Image.new("L", (300, 200), "white").save(folder / "parity/vae-losses.png")
    row = {"model": "vae", "batch": 128, "hidden": None, "backend": "jax", "mode": "fast", "least": 0.001, "most": 0.7}
    row |= {"median": 0.002, "per_second": 64_000, "floor": 0.0005, "times_floor": 4.0}
    lost = {"model": "vae", "batch": 128, "hidden": None, "backend": "paddle", "mode": "fast"}
    lost |= {"problem": "exit code 9: fell over"}
    for day, rows in (
        ("2001-01-01", [row | {"median": 0.5}, row | {"model": "autoencoder", "median": 0.003}]),
        ("2001-01-02", [row, lost]),
        ("2001-01-03", [row, row | {"batch": 64}]),
    ):
        about = {"environment": {"processor": "an abacus"}, "settings": {"device": "cpu", "threads": 2}}
        write_json(folder / f"{day}.json", {"rows": rows, "measured": day} | about)
    return folder
