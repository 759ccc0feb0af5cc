"""The comparison itself: what it must notice, it notices."""

import numpy as np
import pytest

from common import parity
from common.reference.column import Reference
from common.specs import get


@pytest.fixture(scope="module")
def case(train):
    return parity.Case(get("vae_z100"), train, batch=4, steps=3)


@pytest.fixture
def results(case):
    return parity.expected(case, "float64")


def test_the_oracle_agrees_with_itself(case, results):
    stages = parity.compare(
        results, parity.collect(Reference(case.spec, case.parameters()), case, "float64"), "float64"
    )
    assert [stage.name for stage in stages] == list(parity.STAGES)
    assert all(stage.passed and stage.deviation == 0 for stage in stages)


@pytest.mark.parametrize("stage", parity.STAGES)
def test_a_deviation_is_named(case, results, stage):
    found = parity.expected(case, "float64")
    name = list(found[stage])[1 if stage != "parameters" else 0]
    found[stage][name] = found[stage][name] * (1 + 1e-6)
    failed = parity.first_failure(parity.compare(results, found, "float64"))
    assert (failed.name, failed.tensor) == (stage, name)
    assert failed.deviation == pytest.approx(1e-6, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda a: a.astype(np.float32), "dtype float32, expected float64"),
        (lambda a: a.T, "shape (784, 128), expected (128, 784)"),
        (lambda a: np.full_like(a, np.nan), ""),
    ],
)
def test_dtype_shape_and_nan_fail(case, results, change, problem):
    found = parity.expected(case, "float64")
    found["parameters"]["encoder.fc0.weight"] = change(found["parameters"]["encoder.fc0.weight"])
    failed = parity.first_failure(parity.compare(results, found, "float64"))
    assert (failed.name, failed.tensor, failed.problem) == ("parameters", "encoder.fc0.weight", problem)
    assert failed.deviation == float("inf")


def test_missing_unexpected_and_reordered_names_fail(case, results):
    found = parity.expected(case, "float64")
    found["gradients"]["train.extra"] = found["gradients"].pop("train.encoder.fc0.bias")
    failed = parity.first_failure(parity.compare(results, found, "float64"))
    assert failed.problem == "missing ['train.encoder.fc0.bias'], unexpected ['train.extra']"
    found = parity.expected(case, "float64")
    found["gradients"] = dict(reversed(found["gradients"].items()))
    assert parity.first_failure(parity.compare(results, found, "float64")).problem == "names in another order"


def test_a_missing_stage_fails(case, results):
    found = parity.expected(case, "float64")
    del found["many updates"]
    assert parity.first_failure(parity.compare(results, found, "float64")).name == "many updates"


def test_deviation():
    assert parity.deviation(np.array([3.0, 4.0]), np.array([3.0, 4.5])) == pytest.approx(0.1)
    assert parity.deviation(np.zeros(2), np.zeros(2)) == 0
    assert parity.deviation(np.zeros(2), np.array([0, 1e-100])) == float("inf")
