"""One backend against the oracle, stage by stage, for every model."""

import sys
from pathlib import Path

import pytest

import backends
from common import parity
from common.specs import get

ROOT = Path(__file__).parents[2]


STEPS = 10  # of the many updates; tests/parity compares 100, where the oracle takes them once for all four backends


@pytest.fixture(scope="module")
def case(spec, images):
    return parity.Case(spec.calmed(), images, steps=STEPS)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_stages(backend, case, dtype):
    column = backends.create(backend, case.spec, case.parameters(), dtype=dtype)
    stages = parity.compare(parity.expected(case, dtype), parity.collect(column, case, dtype), dtype, case.spec)
    assert [stage.name for stage in stages] == list(parity.STAGES)[: 6 if dtype == "float64" else 5]
    assert parity.first_failure(stages) is None, stages


def test_the_framework_is_the_real_one(backend):
    """`import jax` inside backends/jax has found the framework, not our folder."""
    backends.load(backend, get("vae"))
    for distribution in {"pytorch": ["torch"], "jax": ["jax", "flax", "optax"]}.get(backend, [backend]):
        assert ROOT / "backends" not in Path(sys.modules[distribution].__file__).parents
