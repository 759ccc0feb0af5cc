"""What `bench --workers` says of steps that several processes share."""

import pytest

from benchmarks.rank import SIZES
from common.specs import get
from common.tools import bench_workers, scaling


def row(workers, seconds, **more):
    about = {"model": "vae", "batch": 128, "hidden": None, "backend": "pytorch", "workers": workers}
    timed = {"median": seconds, "least": 0.9 * seconds, "most": 1.1 * seconds, "seconds": [seconds]}
    return about | {"proof": {"passed": True}, "exchanges": None, "together": timed} | more


def shared(apart=2e-3, latency=1e-4, bandwidth=1e9):
    """A row of two workers on a link of this latency of a hop, in seconds, and bandwidth, in bytes a second."""
    exchanges = [2 * latency + 8 * size / bandwidth for size in SIZES]
    return row(2, 4e-3, exchanges=exchanges, apart={"median": apart})


def test_the_step_on_paper():
    """What a rank takes for its part, two hops, and the gradients of all parameters once: 2·(n - 1) / n is 1 of two."""
    found = bench_workers.predicted(shared())
    assert found == pytest.approx(2e-3 + 2e-4 + 4 * get("vae").parameter_count() / 1e9, rel=1e-3)
    assert bench_workers.predicted(row(1, 3e-3)) is None


def test_infogan_on_paper_sends_what_its_batch_norms_share_where_they_are_global():
    known, own = [
        bench_workers.predicted(shared() | {"model": "infogan", "backend": backend}) for backend in ("jax", "paddle")
    ]
    costs = [scaling.cost(get("infogan"), synchronised) for synchronised in (True, False)]
    messages, sizes = ([getattr(one, name) for one in costs] for name in ("messages", "statistics"))
    assert known - own == pytest.approx(2e-4 * (messages[0] - messages[1]) + (sizes[0] - sizes[1]) / 1e9, rel=1e-3)


def test_the_table():
    rows = [row(1, 5e-3), shared(), row(2, 1.0) | {"problem": "ended | badly"}]
    result = {
        "settings": {"device": "cpu", "threads": 2, "repeats": 3},
        "environment": {"processor": "P", "commit": "c"},
        "measured": "2026-01-01",
        "rows": rows,
    }
    lines = bench_workers.table(result).splitlines()
    assert lines[4] == "| `vae`, 128 | PyTorch | 1 | 5 (4.5 to 5.5) |  |  | 1.00 |"
    assert lines[5].startswith("| `vae`, 128 | PyTorch | 2 | 4 (3.6 to 4.4) | 2 | ")
    assert lines[5].endswith(" | 0.80 |")
    assert r"ended \| badly" in lines[6]
