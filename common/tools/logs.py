"""What `train --log` writes besides: a run's losses, evaluations and pictures as TensorBoard reads them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

LOGS = ("tensorboard",)
FOLDER = "tensorboard"  # in that of the run


class TensorBoard:
    """Event files in `folder`; what an earlier session wrote there after `step` is shown no more."""

    def __init__(self, folder: Path, step: int):
        from tensorboardX import SummaryWriter

        # Its files are named by the second: a session that goes on within one would overwrite the one before it.
        self.writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None, filename_suffix=f".{step}")

    def rows(self, rows: Iterable[dict]) -> None:
        """Rows of metrics.jsonl: losses as train/NAME, evaluations as test/NAME."""
        for row in rows:
            kind, values = ("test", row["test"]) if "test" in row else ("train", row)
            for name, value in values.items():
                if name != "step":
                    self.writer.add_scalar(f"{kind}/{name}", value, row["step"])

    def picture(self, path: Path, step: int) -> None:
        """A figure: figures/samples-0000936.png as `samples`."""
        from PIL import Image

        pixels = np.asarray(Image.open(path).convert("RGB"))
        self.writer.add_image(path.stem.partition("-")[0], pixels, step, dataformats="HWC")

    def flush(self) -> None:
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class Nothing:
    """No log was asked for."""

    def rows(self, rows: Iterable[dict]) -> None: ...

    def picture(self, path: Path, step: int) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


def begin(log: str | None, out: Path, step: int) -> TensorBoard | Nothing:
    """The log of a run in `out`, which goes on from `step`."""
    return TensorBoard(out / FOLDER, step) if log else Nothing()
