"""One of several ranks: `python -m tests.workers.paddle_sums OUT`. Paddle sums x over the ranks, 1 in rank 0, 2 in rank 1 and so on,
and differentiates the cube of the sum by its own x; rank 0 writes {"total": ..., "gradient": ...}."""

import sys
from pathlib import Path

import numpy as np

import backends
from common import worlds
from common.checkpoint import write_json


def main(out: str) -> None:
    place = worlds.adopt("paddle")
    engine = backends.engine("paddle", "workers")
    world = engine.join(place, "cpu", 60.0)
    from paddle import CPUPlace, assign, distributed, static  # once the engine has set what Paddle reads

    main, startup = static.Program(), static.Program()
    with static.program_guard(main, startup):
        x = static.data("x", [1], "float64")
        x.stop_gradient = False
        total = assign(x)
        distributed.all_reduce(total)
        fetch = [total, *static.gradients([total**3], [x])]
    engine.meet(world)
    found = static.Executor(CPUPlace()).run(main, feed={"x": np.array([place.rank + 1.0])}, fetch_list=fetch)
    if world.leads:
        write_json(Path(out), {name: float(value[0]) for name, value in zip(("total", "gradient"), found, strict=True)})
    engine.leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
