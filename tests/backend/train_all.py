"""Trains models, natively and replayed, for a few steps: `python -m tests.backend.train_all BACKEND FOLDER MARKS MODEL...`.

Run again, it continues whatever it finds. Now and then it stops for a moment in the middle of writing a checkpoint and says
so in the file MARKS, so that whoever wants to kill it there can.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

from common import specs
from common.data import digits
from common.tools import training

STEPS, EVERY, BATCH = 6, 2, 8


def main(backend, folder, marks, models):
    slow_writes(marks)
    for spec in map(specs.get, models):
        for noise in ("native", "replayed"):
            out = folder / f"{spec.name}-{noise}"
            if training.finished(out, STEPS):
                continue
            data = digits.load()
            data.test_images = data.test_images[:8]
            options = training.Options(backend, STEPS, BATCH, noise=noise, checkpoint_every=EVERY)
            training.prepare_folder(out, resume=True, overwrite=False)
            training.train(spec, data, options, out, resume=True, quiet=True)
            marks.open("a").write(f"done {out.name}\n")
    marks.open("a").write("all done\n")


def slow_writes(marks):
    real, random = os.fsync, np.random.default_rng(os.getpid())

    def fsync(descriptor):
        if random.uniform() < 0.3:
            marks.open("a").write("writing\n")
            time.sleep(0.2)
        real(descriptor)

    os.fsync = fsync


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
