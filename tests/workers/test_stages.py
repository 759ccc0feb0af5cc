"""Two processes with half of every batch each compute what one process does with all of it, in one backend, stage by stage."""

import pytest

from common import parity
from common.tools.launch import launch
from common.truths import read_results
from tests.workers import mistakes
from tests.workers.ranks import case_of

COUNT = 2
# Sums and means over the batch, several updates, noise that two of them share, batch norms, one pass for three RMSProps.
JOBS = ("vae:10", "infogan+twin:2", "vae_gan_mnist+twin:2")


def job_of(mistake):
    """The job that shows a mistake, without many updates."""
    return f"{'infogan+twin' if mistake == 'statistics of a rank' else 'vae'}@{mistake}"


@pytest.fixture(scope="module")
def found(backend, tmp_path_factory):
    """{job: what two ranks found}, mistakes and all, by one start of the framework."""
    folder = tmp_path_factory.mktemp("found")
    jobs = [*JOBS, *map(job_of, mistakes.of(backend))]
    launch(backend, COUNT, "tests.workers.ranks", [backend, str(folder), *jobs])
    return {job: read_results(folder / f"{job}.safetensors") for job in jobs}


@pytest.mark.parametrize("job", JOBS)
def test_stages(found, backend, job):
    reached = parity.compare(parity.truth(case_of(job, backend, COUNT), "float64"), found[job], "float64")
    assert [stage.name for stage in reached] == list(parity.STAGES)
    assert not [stage for stage in reached if not stage.passed]


@pytest.mark.parametrize("mistake", mistakes.NAMES)
def test_mistakes_are_seen(found, backend, mistake):
    if mistake not in mistakes.of(backend):
        assert backend == "jax"  # whose sums over a sharded batch are XLA's
        return
    job = job_of(mistake)
    expected = parity.expected(case_of(job, backend, COUNT), "float64")
    seen = {stage: parity.largest_deviation(expected[stage], found[job][stage])[0] for stage in expected}
    assert seen["gradients"] > 1e-3 if mistake != "statistics of a rank" else max(seen.values()) > 1e-3, seen
    if mistake == "summed":  # Adam hides it but for ε
        assert seen["losses"] <= 1e-12
