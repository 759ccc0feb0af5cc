"""One backend's share of test_switch.py: `python -m tests.parity.switch BACKEND FOLDER first|second`.

first: trains every model to the middle and, without stopping, to the end. second: continues what every other backend left
in the middle. Models that have a narrow twin are trained as that: files and groups are the same, the arithmetic is less.
"""

import sys
from pathlib import Path

from backends import BACKENDS
from common import specs
from common.data import digits
from common.tools import training

MODELS, MIDDLE, END = ("vae", "aae_clusters", "infogan"), 4, 8


def narrow(model: str) -> specs.Spec:
    spec = specs.get(model).calmed()
    return spec.training.twin or spec


def train(backend, spec, out, steps, resume=False):
    data = digits.load()
    data.test_images = data.test_images[:8]
    options = training.Options(backend, steps, 16, dtype="float64", noise="replayed")
    training.train(spec, data, options, out, resume=resume, quiet=True)


def main(backend, folder, part):
    for model in MODELS:
        spec = narrow(model)
        if part == "first":
            train(backend, spec, folder / model / backend, MIDDLE)
            train(backend, spec, folder / model / f"{backend}-whole", END)
        else:
            for other in BACKENDS:
                if other != backend:
                    train(backend, spec, folder / model / f"{other}-{backend}", END, resume=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
