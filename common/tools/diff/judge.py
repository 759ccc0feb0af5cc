"""The stages of `tetrapla diff`, one after the other: matching, trainable sets, settings, forward in evaluation and in training mode,
loss, gradients, update, state, trajectory.

Both sides are asked in float64; where one cannot, in float32, against what one rounding of inputs and weights makes of each number.
"""

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from common.errors import UsageError
from common.processes import Children
from common.tools.diff import before, layers, training
from common.tools.diff.pair import Pair
from common.tools.diff.sides import Side, read_inputs
from common.tools.diff.verdict import Verdict


def diff(
    file: Path,
    *,
    timeout: float = 300.0,
    pythons: tuple[str | None, str | None] = (None, None),
    dtype: str | None = None,
) -> Verdict:
    """Judge the two functions of `file`.

    Raises SideFailed where a side cannot be built or asked, UsageError for pins that fit nothing.
    """
    start = time.perf_counter()
    file = file.resolve()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tetrapla-diff-")))
        children = stack.enter_context(Children())
        about, inputs = read_inputs(children, file, folder, timeout, pythons[0])
        if about["mode"] not in ("train", "eval"):
            raise UsageError(f"{file}: mode is {about['mode']!r}; expected 'train' or 'eval'")
        why = []
        for wanted in (dtype,) if dtype else ("float64", "float32"):
            sides = tuple(
                Side(children, file, n, folder, wanted, timeout, p)
                for n, p in zip(("reference", "port"), pythons, strict=True)
            )
            import scipy.optimize  # noqa: F401  what matching needs, while they start

            for side in sides:
                side.wait()
            pair = Pair(file, sides, inputs, about, wanted)
            lower = [
                (side.name, one.dtype_why)
                for side, one in zip(sides, pair.described, strict=True)
                if one.dtype != wanted
            ]
            if not lower:
                break
            why = lower
            for side in sides:
                side.process.kill()
        before.start(pair)
        before.trainable(pair)
        before.settings(pair)
        layers.passes(pair, False)
        if about["mode"] == "train":
            layers.passes(pair, True)
            training.loss(pair)
            training.gradients(pair)
            training.update(pair)
            training.state(pair)
            training.trajectory(pair)
        pair.verdict.rows = list(pair.rows.values())
        if pair.repro:
            pair.verdict.repro = pair.repro.written(pair.reference, pair.port)
        pair.verdict.seconds = time.perf_counter() - start
        if wanted == "float32" and dtype is None:
            pair.verdict.uncovered.insert(
                0, f"judged in float32, {'; '.join(f'{name}(): {line}' for name, line in why)}"
            )
        return pair.verdict
