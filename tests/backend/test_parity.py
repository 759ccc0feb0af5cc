"""One backend against the oracle, stage by stage, for every model."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

import backends
from common import parity
from common.environment import ROOT
from common.errors import UsageError
from common.specs import get
from common.specs.infogan import _spec as infogan_spec
from common.specs.infogan_colour import _chairs as chairs_spec
from common.specs.records import Steps
from common.truths import truth_with_kept_bars
from tests.conftest import LARGE
from tests.planting import kept

STEPS = 5  # of the many updates; tests/parity compares 100, where the oracle takes them once for all four backends


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_stages(backend, spec, dtype, train, pytestconfig):
    steps, batch = 0 if spec.training.twin else STEPS, parity.Case.batch
    if spec.name in LARGE and not pytestconfig.getoption("--thorough"):
        if dtype == "float32":
            pytest.skip("its bars take minutes: by nox -s test-full")
        spec, batch = spec.calmed().training.twin, 8  # the bars of all take minutes
    case = parity.Case(spec.calmed(), train, batch=batch, steps=steps)
    column = backends.create(backend, case.spec, case.parameters(), dtype=dtype)
    stages = parity.compare(truth_with_kept_bars(case, dtype, kept()), parity.collect(column, case, dtype), dtype)
    assert [stage.name for stage in stages] == list(parity.STAGES)[: 6 if case.steps and dtype == "float64" else 5]
    assert parity.first_failure(stages) is None, stages


def test_many_updates_of_the_twin(backend, train):
    twin = get("infogan").calmed().training.twin
    case = parity.Case(twin, train, steps=STEPS)
    column = backends.create(backend, twin, case.parameters(), dtype="float64")
    truth = truth_with_kept_bars(case, "float64", kept())
    stages = parity.compare(truth, parity.collect(column, case, "float64"), "float64")
    assert [stage.name for stage in stages] == list(parity.STAGES)
    assert parity.first_failure(stages) is None, stages


def first_failure(backend, spec, train, reference=None, batch=8):
    case = parity.Case(spec.calmed(), train, batch=batch, steps=3)
    column = backends.create(backend, case.spec, case.parameters(), dtype="float64")
    truth = parity.truth(dataclasses.replace(case, spec=(reference or spec).calmed()), "float64")
    return parity.parting(column, truth, case, "float64")


def test_other_numbers_of_infogan(backend, train):
    """Those in which its variants differ, all at once: a column that overlooks one of them parts from the oracle."""
    options = {"slope": 0.01, "codes_weight": 1.0, "generator_weight": 0.25, "fixed_deviation": True}
    of_the_data = {
        "z",
        "categories",
        "classes",
        "codes",
        "category_weight",
    }  # in which infogan_svhn and its like differ
    assert {"slope", *get("infogan").options} == {"width", *options, *of_the_data}
    spec = infogan_spec("other", "InfoGAN with other numbers", **options, width=8)
    assert first_failure(backend, spec, train) is None


def test_infogan_for_faces_with_a_fixed_deviation(backend, train):
    twin = get("infogan_faces_fixed").training.twin
    assert first_failure(backend, twin, train) is None
    assert first_failure(backend, twin, train, get("infogan_faces").training.twin) is not None  # which predicts it


def test_infogan_in_a_joint_batch(backend, train):
    twin = get("infogan_joint").training.twin
    assert first_failure(backend, twin, train) is None
    assert first_failure(backend, twin, train, get("infogan").training.twin) is not None  # each in a batch of its own


def test_infogan_for_chairs_in_a_joint_batch(backend, train):
    twin = get("infogan_chairs_joint").training.twin
    assert first_failure(backend, twin, train) is None
    apart = chairs_spec("apart", "Each in a batch of its own", (0.1, 0.1), width=twin.options["width"])
    assert first_failure(backend, twin, train, apart) is not None


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("model", ["gan_two_layer", "aae", "aae_style", "aae_few_labels"])
def test_a_discriminator_that_takes_every_fake_for_real(backend, model, dtype, train):
    """Its probability is rounded to 1, and the logarithm of 0 kept finite by the article's epsilon alone: compiled, too."""
    spec = get(model)
    case = parity.Case(spec.training.twin or spec, train)
    parameters = case.parameters()
    last = max(name for name in parameters if name.startswith("discriminator.") and name.endswith(".bias"))
    parameters[last] = parameters[last] + 1000
    column = backends.create(backend, case.spec, parameters, dtype=dtype)
    expected = -np.log(1e-8 if model == "gan_two_layer" else 1e-15)
    name = "loss_d_style" if model == "aae_few_labels" else "loss_d"
    inputs, noise = case.first_batch()
    assert column.losses(inputs, noise)[name] == pytest.approx(expected, rel=1e-6)
    assert all(np.isfinite(gradient).all() for gradient in column.gradients(inputs, noise).values())
    assert column.train_step(inputs, noise)[name] == pytest.approx(expected, rel=1e-6)
    assert all(np.isfinite(value).all() for value in column.parameters().values())


def test_the_erratum_of_aae(backend, train):
    published = get("aae_as_published")
    if backend != "pytorch":
        with pytest.raises(UsageError, match=f"aae_as_published is not written in {backend}"):
            backends.load(backend, published)
    else:
        assert first_failure(backend, published, train) is None
        assert first_failure(backend, published, train, reference=get("aae")).name == "one update"


def test_epsilon_hat(backend, train, pytestconfig):
    hat = get("vae_z100_epsilon_hat")
    if backend != "tensorflow":
        with pytest.raises(UsageError, match=f"vae_z100_epsilon_hat is not written in {backend}"):
            backends.load(backend, hat)
    else:
        for dtype in ("float64", "float32"):
            test_stages(backend, hat, dtype, train, pytestconfig)
        assert first_failure(backend, get("vae_z100"), train, reference=hat).name == "one update"
        assert first_failure(backend, hat, train, reference=get("vae_z100")).name == "one update"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_settings_of_the_paper(backend, dtype, train, pytestconfig):
    """Noise on the images, no dropout, gradient descent with momentum: at full width, one update."""
    test_stages(backend, get("aae_few_labels_paper"), dtype, train, pytestconfig)


def falling(steps):
    """The narrow twin of the same, with other steps of its rates."""
    twin = get("aae_few_labels_paper").training.twin
    rules = [dataclasses.replace(update.optimizer, steps=steps) for update in twin.updates]
    updates = [dataclasses.replace(u, optimizer=rule) for u, rule in zip(twin.updates, rules, strict=True)]
    return dataclasses.replace(twin, updates=tuple(updates))


def test_a_rate_that_falls(backend, train):
    assert first_failure(backend, falling(Steps((1, 2), (0.5, 0.1))), train) is None


@pytest.mark.parametrize("steps", [Steps((), ()), Steps((2, 3), (0.5, 0.1)), Steps((1, 2), (0.5, 0.2))])
def test_a_rate_that_falls_otherwise(backend, train, steps):
    """Not at all, a step late, and to another value: the first update is right, what follows is not."""
    found = first_failure(backend, falling(steps), train, reference=falling(Steps((1, 2), (0.5, 0.1))))
    assert found.name == parity.MANY


def test_the_supervised_update_alone(backend, train):
    twin = get("aae_few_labels_supervised").training.twin
    with_all = get("aae_few_labels").training.twin
    assert first_failure(backend, twin, train, batch=16) is None
    assert first_failure(backend, twin, train, reference=with_all, batch=16).name == "one update"


def test_the_framework_is_the_real_one(backend):
    """`import jax` inside backends/jax has found the framework, not our folder."""
    backends.load(backend, get("vae"))
    for distribution in {"pytorch": ["torch"], "jax": ["jax", "flax", "optax"]}.get(backend, [backend]):
        assert ROOT / "backends" not in Path(sys.modules[distribution].__file__).parents
