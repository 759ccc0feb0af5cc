"""One block of `results` in a process of its own: a model in one backend, trained from several seeds and measured.

    python -m common.tools.results_worker MODEL BACKEND STEPS SEEDS DATA DATA_DIR DEVICE OUT

Several, because starting a framework takes as long as a small model's training; SEEDS are separated by commas. Each leaves
OUT/MODEL-BACKEND-SEED, a run's folder (common.tools.training), and measures.json in it: {"steps", "values": {measure: value}},
or, of a run whose loss became infinite, which it would again, {"steps", "failed": why}.
"""

import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path

from common import data as datasets
from common import specs
from common.checkpoint import write_json
from common.contract import Column
from common.data import Dataset
from common.errors import NonFiniteLoss, TetraplaError
from common.specs.records import Spec
from common.tools import training
from common.tools.evaluation.frechet import Features
from common.tools.reproduction import infogan, measures
from common.tools.reproduction.probe import samples

MEASURES = "measures.json"


def folder(out: Path, model: str, backend: str, seed: int) -> Path:
    return out / f"{model}-{backend}-{seed}"


def options(spec: Spec, backend: str, steps: int, seed: int, data: Dataset, device: str = "cpu") -> training.Options:
    """Evaluated at the end alone: nothing before it is shown."""
    batch = training.batch_size(spec, data)
    return training.Options(backend, steps, batch, seed, device=device, evaluate_every=steps)


def carry(spec: Spec, settings: training.Options, data: Dataset, space: Features | None, out: Path) -> None:
    """Train into the folder `out`, or go on with what it holds, measure, and write its measures.json."""
    training.prepare_folder(out, resume=True, overwrite=False)
    found = {"steps": settings.steps}
    try:
        column, row = training.train(spec, dataclasses.replace(data), settings, out, resume=True)
        found["values"] = measure(column, row["test"], data, space)
    except NonFiniteLoss as error:
        found["failed"] = str(error)
    write_json(out / MEASURES, found)


def carry_all(
    spec: Spec, backend: str, steps: int, seeds: Iterable[int], data: Dataset, device: str, out: Path
) -> None:
    """`carry` each seed into its folder below `out`."""
    space = measures.features(data) if spec.sample else None
    for seed in seeds:
        carry(
            spec, options(spec, backend, steps, seed, data, device), data, space, folder(out, spec.name, backend, seed)
        )


def measure(column: Column, test: dict[str, float], data: Dataset, space: Features | None) -> dict[str, float]:
    """{measure: value} on the test images, whose losses are `test`; `space` is that of the Fréchet distance."""
    spec, found = column.spec, {}
    name = spec.updates[0].objective
    if (
        spec.reconstruct and name in test and name.startswith("loss")
    ):  # VAE-GAN's is by features, which differ from run to run
        unit = "BCE per pixel" if name == "loss_r" else "nats" if spec.sample else "squared error"
        found[f"test loss, {unit}"] = test[name]
    if "info_c1" in test:
        found["L_I(c1), nats"] = test["info_c1"]
        found["error of c1, %"] = 100 * infogan.error(training.codes(column, data.test_images), data)
    elif "categories" in spec.options:
        codes = (training.codes(column, images) for images in (data.test_images, data.train_images[: measures.KNOWN]))
        found["error of labels, %"] = 100 * measures.label_error(spec, *codes, data)
    if spec.sample:
        found["Fréchet distance"] = measures.distance(space, samples(column, measures.SAMPLES), data)
    return found


def main(
    model: str, backend: str, steps: str, seeds: str, data_name: str, data_dir: str, device: str, out: str
) -> None:
    spec = specs.get(model)
    data = datasets.load(data_name, Path(data_dir) if data_dir else None, spec.images.picture)
    carry_all(spec, backend, int(steps), map(int, seeds.split(",")), data, device, Path(out))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except TetraplaError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
