"""Data-parallel scaling on paper: what n devices that share a step's batch send each other, and from which batch on that pays.

    python -m common.tools.scaling docs/many-machines.md      puts the tables on the page

Every device has the whole model and its slice of the batch. A step sends the gradients of what each update moves, in float32,
and the statistics of batch norms where these are global, by all-reduces round a ring; nothing is sent while a device computes.
"""

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from backends import TITLES
from benchmarks.floor import work
from common import specs
from common.errors import TetraplaError
from common.specs.records import Spec
from common.tools import bench
from common.tools.pages import check_place, put_between

BEGIN, END = "<!-- scaling: made by python -m common.tools.scaling -->", "<!-- end of scaling -->"

WIDTH = 4  # bytes of a float32
SHARE = 0.8  # of n times the throughput of one device
DEVICES = (8, 64, 1024)
RATE = 67e12  # float32 operations a second: H100 SXM, NVIDIA's data sheet
SWEEP, MACHINES, BATCHES = "cpu-epyc-batch", (2, 8, 64), (128, 4096)  # of the measured steps


@dataclass(frozen=True)
class Link:
    """Between neighbours of the ring: bytes a second in one direction, seconds of a hop, devices that it can join."""

    name: str
    bandwidth: float
    latency: float
    reach: float = math.inf


# Hops as NCCL's own model of a ring has them for large messages (src/graph/tuning.cc: network, NVLink).
NETWORK, NVLINK = 9.6e-6, 3.4e-6
LINKS = (
    *(Link(f"{rate} Gbit/s", rate * 1e9 / 8, NETWORK) for rate in (10, 100, 400)),
    # NVIDIA's 900 GB/s of an H100 are the sum of both directions, and its switches join at most 256.
    Link("NVLink, 900 GB/s", 450e9, NVLINK, 256),
)


@dataclass(frozen=True)
class Cost:
    """Of one training step, its updates together: floating-point operations of an image; bytes of gradients and of batch norms'
    statistics that are all-reduced, and in how many all-reduces."""

    operations: int
    gradients: int
    statistics: int
    messages: int

    def exchange(self, devices: int, link: Link) -> float:
        """Seconds of its all-reduces, one after the other."""
        return ring_seconds(self.gradients + self.statistics, devices, link, self.messages)


def cost(spec: Spec, synchronised: bool = True) -> Cost:
    """One all-reduce has the gradients of one update, or of all where these are taken before any moves; batch norms whose
    statistics are `synchronised` have one each time that they are passed, and one more where a gradient passes back."""
    found = work(spec, 1)
    moved = sum(math.prod(shape) for u in spec.updates for shape in spec.parameter_shapes(u.networks).values())
    shared = found.shared if synchronised else ()
    updates = 1 if spec.simultaneous else len(spec.updates)
    return Cost(found.operations, WIDTH * moved, WIDTH * sum(shared), updates + len(shared))


def ring_seconds(size: float, devices: int, link: Link, messages: int = 1) -> float:
    """All-reduces of `size` bytes together, in so many messages: each device sends 2·(n - 1) parts of an n-th."""
    hops = 2 * (devices - 1)
    return hops / devices * size / link.bandwidth + hops * link.latency * messages


def step_seconds(one: float, fixed: float, devices: int, exchange: float) -> float:
    """A step of a batch that is shared by `devices`, which takes one device `one` seconds, `fixed` of them whatever the batch;
    `exchange`: seconds of its all-reduces."""
    return (one - fixed) / devices + fixed + exchange


def least_batch(image: float, exchange: float, share: float = SHARE, fixed: float = 0.0) -> int:
    """Images per device from which n devices do `share` of n times what one does with as many: where a step of fixed + batch·image
    seconds is that share of itself and its `exchange`."""
    return max(1, math.ceil((share / (1 - share) * exchange - fixed) / image))


def line(batches: list[float], seconds: list[float]) -> tuple[float, float]:
    """(fixed, image), both at least 0, so that a step of a batch takes about fixed + batch·image seconds: the least squares of the
    relative errors."""
    rows = np.stack([np.ones(len(batches)), np.asarray(batches, float)], axis=1) / np.asarray(seconds, float)[:, None]
    fixed, image = nnls(rows, np.ones(len(rows)))[0]
    return float(fixed), float(image)


def tables() -> str:
    """The Markdown of the page: what is sent, the least batches on paper, and the speed-up of a model whose steps were measured."""
    costs = {name: cost(spec) for name, spec in specs.SPECS.items()}
    return "\n".join((*_sent(costs), "", *_batches(costs), "", *_speedups(), ""))


def _sent(costs):
    yield "| model | gradients, MB | statistics, kB | all-reduces | arithmetic of an image, MFLOP |"
    yield "|---|---:|---:|---:|---:|"
    for name, one in costs.items():
        sent = f"{_three(one.gradients / 1e6)} | {_three(one.statistics / 1e3)} | {one.messages}"
        yield f"| `{name}` | {sent} | {_three(one.operations / 1e6)} |"


def _batches(costs):
    devices = " / ".join(f"{n:,}" for n in DEVICES)
    yield (
        f"Images per device from which {devices} devices do {SHARE:.0%} of so many times what one does, each at the {RATE / 1e12:g} TFLOP/s "
        "of an H100's data sheet; a slower device needs fewer:"
    )
    yield ""
    yield f"| model, its own batch | {' | '.join(link.name for link in LINKS)} |"
    yield "|---|" + "---:|" * len(LINKS)
    for name, one in costs.items():
        cells = [
            " / ".join(
                _two(least_batch(one.operations / RATE, one.exchange(n, link))) if n <= link.reach else "–"
                for n in DEVICES
            )
            for link in LINKS
        ]
        yield f"| `{name}`, {specs.get(name).training.batch_size} | {' | '.join(cells)} |"


def _speedups():
    result, link = bench.read(bench.RESULTS / f"{SWEEP}.json"), LINKS[0]
    (model,) = {row["model"] for row in result["rows"]}
    machines = " / ".join(map(str, MACHINES))
    yield (
        f"Speed-up of `{model}` where {machines} machines share one batch over {link.name}, each as the one of "
        f"`benchmarks/results/{SWEEP}.json` ({result['environment']['processor']}, {result['settings']['threads']} threads), whose steps "
        "are taken as a part that does not shrink and one that is proportional to the batch:"
    )
    yield ""
    yield "| framework | fixed, ms | per image, µs | " + " | ".join(f"batch {batch:,}" for batch in BATCHES) + " |"
    yield "|---|---:|---:|" + "---:|" * len(BATCHES)
    sent = cost(specs.get(model))
    for backend, title in TITLES.items():
        own = [row for row in result["rows"] if row["backend"] == backend and "median" in row]
        if not own:
            continue
        fixed, image = line([row["batch"] for row in own], [row["median"] for row in own])
        cells = [f"{1e3 * fixed:.2g}", f"{1e6 * image:.3g}"]
        for batch in BATCHES:
            one = fixed + batch * image
            times = [one / step_seconds(one, fixed, n, sent.exchange(n, link)) for n in MACHINES]
            cells.append(" / ".join(f"{value:.2g}" for value in times))
        yield f"| {title} | {' | '.join(cells)} |"


def _three(value):
    """Three digits, and all of those before the point."""
    return f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"


def _two(count):
    """Two digits, upwards."""
    unit = 10 ** max(len(str(count)) - 2, 0)
    return f"{-(-count // unit) * unit:,}"


def main() -> None:
    """Put the tables on the page that the one argument names."""
    if len(sys.argv) != 2:
        sys.exit("error: expected one argument, the page: python -m common.tools.scaling docs/many-machines.md")
    try:
        page = Path(sys.argv[1])
        check_place(page, BEGIN, END)
        put_between(page, BEGIN, END, tables())
    except TetraplaError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error.filename}: {error.strerror}")


if __name__ == "__main__":
    main()
