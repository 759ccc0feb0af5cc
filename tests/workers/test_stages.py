"""Two processes with half of every batch each compute what one process does with all of it, in one backend, stage by stage."""

import numpy as np
import pytest

from common import parity
from common.tools.launch import launch
from common.truths import read_results
from tests.workers import mistakes
from tests.workers.ranks import case_of

COUNT = 2
# Sums and means over the batch, several updates, noise that two of them share, batch norms, one pass for three RMSProps.
JOBS = ("vae:10", "infogan+twin:3", "vae_gan_mnist+twin:2")
FIRST, LATER = 1e-12, 1e-11  # the bars up to gradients, and of what updates have moved


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


def deviations(found, backend, job):
    """{stage: the largest deviation from the oracle of any tensor}."""
    expected = parity.expected(case_of(job, backend, COUNT), "float64")
    assert list(found[job]) == list(expected)
    for stage, tensors in expected.items():
        assert {n: v.shape for n, v in found[job][stage].items()} == {n: np.shape(v) for n, v in tensors.items()}
    return {stage: parity.largest_deviation(expected[stage], found[job][stage])[0] for stage in expected}


@pytest.mark.parametrize("job", JOBS)
def test_stages(found, backend, job):
    for stage, deviation in deviations(found, backend, job).items():
        assert deviation <= (FIRST if stage in parity.STAGES[:4] else LATER), stage


@pytest.mark.parametrize("mistake", mistakes.NAMES)
def test_mistakes_are_seen(found, backend, mistake):
    if mistake not in mistakes.of(backend):
        assert backend == "jax"  # whose sums over a sharded batch are XLA's
        return
    seen = deviations(found, backend, job_of(mistake))
    assert seen["gradients"] > 1e-3 if mistake != "statistics of a rank" else max(seen.values()) > 1e-3, seen
    if mistake == "summed":  # Adam hides it but for ε
        assert seen["losses"] <= FIRST
