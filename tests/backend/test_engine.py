"""What an engine promises besides equality: exact continuation, native noise, copies, no interference."""

import numpy as np
import pytest

import backends
from common import specs
from common.contract import Snapshot
from common.data.batches import batch_indices
from common.errors import UsageError
from common.noise import draw_steps
from common.parameters import initial_parameters
from common.parity import deviation
from common.specs.draws import Bernoulli, Normal, OneHot, Uniform

BATCH = 16
# What an engine promises does not depend on the model; one in each precision and one with two updates a step show it.
CASES = (("vae", "float32"), ("vae_z100", "float64"), ("gan_two_layer", "float32"))


@pytest.fixture(params=CASES, ids=["-".join(case) for case in CASES], scope="module")
def case(request):
    name, dtype = request.param
    return specs.get(name), dtype


@pytest.fixture
def spec(case):
    return case[0]


@pytest.fixture
def make(backend, case, images):
    def create(seed=0):
        spec, dtype = case
        column = backends.create(backend, spec, initial_parameters(spec, 0), dtype=dtype, seed=seed)
        column.upload(images)
        return column

    return create


def indices(first, stop, images):
    return batch_indices(len(images), BATCH, 0, range(first, stop))


def equal(a, b):
    return list(a) == list(b) and all(np.array_equal(a[name], b[name]) for name in a)


def state(column):
    return column.parameters() | column.moments()


def test_a_run_does_not_depend_on_how_it_is_cut(make, images):
    whole, cut = make(), make()
    curve = whole.train_steps(indices(0, 5, images))
    parts = [cut.train_steps(indices(a, b, images)) for a, b in ((0, 2), (2, 3), (3, 5))]
    assert equal(state(whole), state(cut))
    assert equal(curve, {name: np.concatenate([part[name] for part in parts]) for name in curve})
    assert whole.step == cut.step == 5


def test_restore_continues_exactly(make, images):
    whole, first, second = make(), make(), make()
    whole.train_steps(indices(0, 2, images))
    whole.train_steps(indices(2, 4, images))
    first.train_steps(indices(0, 2, images))
    second.train_steps(indices(5, 7, images))  # any state must be replaced whole
    second.restore(Snapshot.of(first))
    assert equal(state(first), state(second))
    second.train_steps(indices(2, 4, images))
    assert equal(state(whole), state(second))


def test_results_are_copies(make, images):
    column = make()
    before = state(column)
    kept = {name: value.copy() for name, value in before.items()}
    column.train_steps(indices(0, 2, images))
    assert equal(before, kept)
    assert not any(np.array_equal(value, kept[name]) for name, value in column.parameters().items())


def test_inputs_are_copied(make, spec, images):
    """What the caller does with its arrays afterwards must not matter."""
    a, b = make(), make()
    snapshot, own = Snapshot.of(a), images.copy()
    b.restore(snapshot)
    b.upload(own)
    for value in [*snapshot.parameters.values(), *snapshot.moments.values(), own]:
        value.fill(0)
    a.train_steps(indices(0, 2, images))
    b.train_steps(indices(0, 2, images))
    assert equal(state(a), state(b))


def test_evaluation_changes_nothing(make, spec, images):
    plain, busy = make(), make()
    x = spec.images.scale(images[:BATCH].astype(float)).reshape(BATCH, *spec.images.shape)
    noise = {name: value[0] for name, value in draw_steps(spec.noise, BATCH, 0, "training", range(1)).items()}
    for column in (plain, busy):
        column.train_steps(indices(0, 2, images))
        if column is busy:
            busy.losses(x, noise)
            busy.gradients(x, noise)
            busy.forward(x, noise)
            if spec.encode:
                busy.encode(x)
                busy.reconstruct(x, noise)
            busy.native_noise(2, BATCH)
        column.train_steps(indices(2, 4, images))
    assert equal(state(plain), state(busy))


def test_running_statistics(backend, images):
    """They continue exactly, and nothing but a training step moves them."""
    spec = specs.get("infogan")
    first, second = (backends.create(backend, spec, initial_parameters(spec, 0)) for _ in range(2))
    start = first.statistics()
    assert {value.item(0) for name, value in start.items() if name.endswith("mean")} == {0}
    assert {value.item(0) for name, value in start.items() if name.endswith("variance")} == {1}
    x = spec.images.scale(images[:BATCH].astype(float)).reshape(BATCH, *spec.images.shape)
    noise = {name: value[0] for name, value in draw_steps(spec.noise, BATCH, 0, "training", range(2)).items()}
    for step in range(2):
        first.train_step(x, noise)
        if step == 0:
            assert not any(np.array_equal(value, start[name]) for name, value in first.statistics().items())
            second.restore(Snapshot.of(first))
            for column in (first, second):
                before = column.statistics()
                column.losses(x, noise)
                column.forward(x, noise)
                column.gradients(x, noise)
                column.encode(x)
                column.sample({name: noise[f"generator_{name}"] for name in ("z", "category", "codes")})
                assert equal(before, column.statistics())
            assert equal(first.statistics(), second.statistics())
    second.train_step(x, noise)
    assert equal(first.statistics() | first.parameters(), second.statistics() | second.parameters())


def test_two_columns_do_not_touch_each_other(make, images):
    alone, one, other = make(), make(), make(seed=5)
    for k in (0, 2):
        alone.train_steps(indices(k, k + 2, images))
    for k in (0, 2):
        one.train_steps(indices(k, k + 2, images))
        other.train_steps(indices(k, k + 2, images))
    assert equal(state(alone), state(one))


def test_native_noise_is_what_training_uses(make, spec, images):
    """Training on the drawn noise, handed in as replayed noise, ends where native training ends."""
    native, replayed = make(), make()
    native.train_steps(indices(0, 2, images))
    replayed.train_steps(indices(0, 2, images), replayed.native_noise(2, BATCH))
    native.train_steps(indices(2, 4, images))
    replayed.train_steps(indices(2, 4, images), replayed.native_noise(2, BATCH))
    for name, value in native.parameters().items():
        assert deviation(value, replayed.parameters()[name]) <= {"float64": 1e-12, "float32": 1e-4}[str(value.dtype)]


@pytest.mark.parametrize("model", specs.SPECS)
def test_native_noise_has_the_declared_distribution(backend, model):
    spec = specs.get(model)
    drawn = backends.create(backend, spec, initial_parameters(spec, 0)).native_noise(4, 500)
    assert list(drawn) == [record.name for record in spec.noise]
    for record in spec.noise:
        value = drawn[record.name].astype(np.float64)
        assert value.shape == (4, 500, *record.shape)
        check_distribution(record.distribution, value)
        assert len({step.tobytes() for step in value}) == 4  # every step draws anew
    assert len({value.tobytes() for value in drawn.values()}) == len(drawn)  # and no two names alike


def check_distribution(distribution, value):
    """Five standard errors; enough draws that a wrong mean, width, rate or kind of distribution fails."""
    match distribution:
        case Normal(mean, std):
            assert (np.abs(value - mean) > 3 * std).mean() == pytest.approx(0.0027, rel=0.25)  # the tails of a normal
        case Uniform(low, high):
            mean, std = (low + high) / 2, (high - low) / np.sqrt(12)
            margin = 20 / value.size * (high - low)  # left empty once in e²⁰ times
            assert low <= value.min() < low + margin
            assert high - margin < value.max() <= high
        case Bernoulli(keep):
            mean, std = keep, np.sqrt(keep * (1 - keep))
            assert set(np.unique(value)) == {0, 1}
        case OneHot():
            mean, std = 1 / value.shape[-1], np.sqrt(1 / value.shape[-1] * (1 - 1 / value.shape[-1]))
            assert set(np.unique(value)) == {0, 1}
            assert (value.sum(axis=-1) == 1).all()
            counts = value.reshape(-1, value.shape[-1]).sum(axis=0)  # each class as often as the others
            assert counts == pytest.approx(counts.sum() * mean, abs=5 * std * np.sqrt(counts.sum()))
            return
    assert value.mean() == pytest.approx(mean, abs=5 * std / np.sqrt(value.size))
    assert value.std() == pytest.approx(std, rel=5 / np.sqrt(2 * value.size))


def test_native_noise_is_keyed_by_seed_and_step(make, spec, images):
    a, again, other, far = make(), make(), make(seed=1), make(seed=2**32)
    noise = a.native_noise(3, BATCH)
    assert equal(noise, again.native_noise(3, BATCH))
    assert not equal(noise, other.native_noise(3, BATCH))
    assert not equal(noise, far.native_noise(3, BATCH))
    a.train_steps(indices(0, 1, images))
    assert equal({name: value[1:] for name, value in noise.items()}, a.native_noise(2, BATCH))


def test_training_lowers_the_loss(make, spec, images):
    column = make()
    losses = column.train_steps(indices(0, 150, images))
    assert all(np.isfinite(values).all() for values in losses.values())
    loss = losses[spec.updates[0].objective]
    assert loss[-20:].mean() < 0.7 * loss[:5].mean()


def test_an_absent_device_is_refused(backend, spec):
    if backends.load(backend, spec)[0].has_gpu():
        backends.create(backend, spec, initial_parameters(spec, 0), device="gpu")
    else:
        with pytest.raises(UsageError, match="device 'gpu' was asked for"):
            backends.create(backend, spec, initial_parameters(spec, 0), device="gpu")
