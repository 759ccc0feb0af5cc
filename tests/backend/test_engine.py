"""What an engine promises besides equality: exact continuation, native noise, copies, no interference."""

import dataclasses
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

import backends
from common import specs
from common.contract import Snapshot
from common.data.batches import batch_indices, model_inputs, row_sets
from common.errors import UsageError
from common.noise import draw_steps
from common.parameters import initial_parameters
from common.parity import deviation
from common.specs.draws import Bernoulli, Normal, OneHot, Uniform
from common.specs.inputs import Images, Labels

BATCH = 16
# What an engine promises does not depend on the model; one in each precision, one with two updates a step, one whose labelled
# images come from rows of their own, with Adam and with momentum, and one whose updates share a pass, show it.
CASES = (
    ("vae", "float32"),
    ("vae_z100", "float64"),
    ("gan_two_layer", "float32"),
    ("aae_few_labels", "float32"),
    ("aae_few_labels_paper", "float64"),
    ("vae_gan_mnist", "float32"),
)


@pytest.fixture(params=CASES, ids=["-".join(case) for case in CASES], scope="module")
def case(request):
    name, dtype = request.param
    return specs.get(name).training.twin or specs.get(name), dtype


@pytest.fixture
def spec(case):
    return case[0]


@pytest.fixture(scope="module")
def columns(backend, case):
    """{(seed, how many of it before): column} of all tests of a case in a backend: to compile one's steps is most of what a test costs."""
    return {}


@pytest.fixture
def make(backend, case, train, columns):
    """`make(seed)` is a column at its start, another one each time that a test asks."""
    (spec, dtype), given = case, Counter()
    start = Snapshot.start(spec, initial_parameters(spec, 0))

    def create(seed=0):
        key = (seed, given[seed])
        given[seed] += 1
        if key not in columns:
            columns[key] = backends.create(backend, spec, start.parameters, dtype=dtype, seed=seed)
        columns[key].restore(start)
        columns[key].upload(train)
        return columns[key]

    return create


@pytest.fixture
def indices(spec):
    def of(first, stop, train):
        return batch_indices(row_sets(spec, train, 0), BATCH, 0, range(first, stop))

    return of


def equal(a, b):
    return list(a) == list(b) and all(np.array_equal(a[name], b[name]) for name in a)


def state(column):
    return column.parameters() | column.moments()


def test_a_run_does_not_depend_on_how_it_is_cut(make, train, indices):
    whole, cut = make(), make()
    curve = whole.train_steps(indices(0, 5, train))
    parts = [cut.train_steps(indices(a, b, train)) for a, b in ((0, 2), (2, 3), (3, 5))]
    assert equal(state(whole), state(cut))
    assert equal(curve, {name: np.concatenate([part[name] for part in parts]) for name in curve})
    assert whole.step == cut.step == 5


def test_restore_continues_exactly(make, train, indices):
    whole, first, second = make(), make(), make()
    whole.train_steps(indices(0, 2, train))
    whole.train_steps(indices(2, 4, train))
    first.train_steps(indices(0, 2, train))
    second.train_steps(indices(5, 7, train))  # any state must be replaced whole
    second.restore(Snapshot.of(first))
    assert equal(state(first), state(second))
    second.train_steps(indices(2, 4, train))
    assert equal(state(whole), state(second))


def test_results_are_copies(make, train, indices):
    column = make()
    before = state(column)
    kept = {name: value.copy() for name, value in before.items()}
    column.train_steps(indices(0, 2, train))
    assert equal(before, kept)
    assert not any(np.array_equal(value, kept[name]) for name, value in column.parameters().items())


def test_inputs_are_copied(make, spec, train, indices):
    """What the caller does with its arrays afterwards must not matter."""
    a, b = make(), make()
    snapshot, own = Snapshot.of(a), {name: values.copy() for name, values in train.items()}
    b.restore(snapshot)
    b.upload(own)
    for value in [*snapshot.parameters.values(), *snapshot.moments.values(), *own.values()]:
        value.fill(0)
    a.train_steps(indices(0, 2, train))
    b.train_steps(indices(0, 2, train))
    assert equal(state(a), state(b))


def test_evaluation_changes_nothing(make, spec, train, indices):
    plain, busy = make(), make()
    inputs = model_inputs(spec, {name: values[:BATCH] for name, values in train.items()})
    noise = {name: value[0] for name, value in draw_steps(spec.noise, BATCH, 0, "training", range(1)).items()}
    for column in (plain, busy):
        column.train_steps(indices(0, 2, train))
        if column is busy:
            busy.losses(inputs, noise)
            busy.gradients(inputs, noise)
            busy.forward(inputs, noise)
            if spec.encode:
                busy.encode(inputs)
                busy.reconstruct(inputs, noise)
            busy.native_noise(2, BATCH)
        column.train_steps(indices(2, 4, train))
    assert equal(state(plain), state(busy))


def test_running_statistics(backend, train):
    """They continue exactly, and nothing but a training step moves them."""
    spec = specs.get("infogan")
    first, second = (backends.create(backend, spec, initial_parameters(spec, 0)) for _ in range(2))
    start = first.statistics()
    assert {value.item(0) for name, value in start.items() if name.endswith("mean")} == {0}
    assert {value.item(0) for name, value in start.items() if name.endswith("variance")} == {1}
    inputs = model_inputs(spec, {name: values[:BATCH] for name, values in train.items()})
    noise = {name: value[0] for name, value in draw_steps(spec.noise, BATCH, 0, "training", range(2)).items()}
    for step in range(2):
        first.train_step(inputs, noise)
        if step == 0:
            assert not any(np.array_equal(value, start[name]) for name, value in first.statistics().items())
            second.restore(Snapshot.of(first))
            for column in (first, second):
                before = column.statistics()
                column.losses(inputs, noise)
                column.forward(inputs, noise)
                column.gradients(inputs, noise)
                column.encode(inputs)
                column.sample({name: noise[f"generator_{name}"] for name in ("z", "category", "codes")})
                assert equal(before, column.statistics())
            assert equal(first.statistics(), second.statistics())
    second.train_step(inputs, noise)
    assert equal(first.statistics() | first.parameters(), second.statistics() | second.parameters())


def test_two_columns_do_not_touch_each_other(make, train, indices):
    alone, one, other = make(), make(), make(seed=5)
    for k in (0, 2):
        alone.train_steps(indices(k, k + 2, train))
    for k in (0, 2):
        one.train_steps(indices(k, k + 2, train))
        other.train_steps(indices(k, k + 2, train))
    assert equal(state(alone), state(one))


def test_native_noise_is_what_training_uses(make, spec, train, indices):
    """Training on the drawn noise, handed in as replayed noise, ends where native training ends."""
    native, replayed = make(), make()
    native.train_steps(indices(0, 2, train))
    replayed.train_steps(indices(0, 2, train), replayed.native_noise(2, BATCH))
    native.train_steps(indices(2, 4, train))
    replayed.train_steps(indices(2, 4, train), replayed.native_noise(2, BATCH))
    for name, value in native.parameters().items():
        assert deviation(value, replayed.parameters()[name]) <= {"float64": 1e-12, "float32": 1e-4}[str(value.dtype)]


@pytest.mark.parametrize("model", specs.SPECS)
def test_native_noise_has_the_declared_distribution(backend, model):
    spec = specs.get(model).training.twin or specs.get(model)
    narrow = any(isinstance(one.distribution, Normal) and np.prod(one.shape) < 5 for one in spec.noise)
    batch = 2000 if narrow else 500
    drawn = backends.create(backend, spec, initial_parameters(spec, 0)).native_noise(4, batch)
    assert list(drawn) == [record.name for record in spec.noise]
    for record in spec.noise:
        value = drawn[record.name].astype(np.float64)
        assert value.shape == (4, batch, *record.shape)
        check_distribution(record.distribution, value)
        assert len({step.tobytes() for step in value}) == 4  # every step draws anew
    assert len({value.tobytes() for value in drawn.values()}) == len(drawn)  # and no two names alike


def check_distribution(distribution, value):
    """Five standard errors; enough draws that a wrong mean, width, rate or kind of distribution fails."""
    match distribution:
        case Normal(mean, std):
            tails = (np.abs(value - mean) > 3 * std).mean()
            assert tails == pytest.approx(0.0027, rel=5 / np.sqrt(0.0027 * value.size))
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


def test_native_noise_is_keyed_by_seed_and_step(make, spec, train, indices):
    a, again, other, far = make(), make(), make(seed=1), make(seed=2**32)
    noise = a.native_noise(3, BATCH)
    assert equal(noise, again.native_noise(3, BATCH))
    assert not equal(noise, other.native_noise(3, BATCH))
    assert not equal(noise, far.native_noise(3, BATCH))
    a.train_steps(indices(0, 1, train))
    assert equal({name: value[1:] for name, value in noise.items()}, a.native_noise(2, BATCH))


def test_training_lowers_the_loss(make, spec, train, indices):
    column = make()
    losses = column.train_steps(indices(0, 150, train))
    assert all(np.isfinite(values).all() for values in losses.values())
    loss = losses[spec.updates[0].objective]
    if (
        not spec.simultaneous
    ):  # VAE-GAN's features move, so that what is measured by them need not fall, and its D is in balance
        assert loss[-20:].mean() < 0.7 * loss[:5].mean()


def test_an_absent_device_is_refused(backend, spec):
    try:
        backends.engine(backend, "process").check_device("gpu")
    except UsageError:
        with pytest.raises(UsageError, match="device 'gpu' was asked for"):
            backends.create(backend, spec, initial_parameters(spec, 0), device="gpu")
    else:
        backends.create(backend, spec, initial_parameters(spec, 0), device="gpu")


SEMI = (
    Images(shape=(48,), pixels=(0.0, 1.0), picture=(3, 4, 4)),
    Images(name="labelled_images", shape=(3, 4, 4), pixels=(-1.0, 1.0), picture=(3, 4, 4), rows="labelled"),
    Labels(classes=5, rows="labelled"),
)


def test_named_inputs_are_gathered_on_the_device(backend):
    """Colour pictures, labelled ones of other rows, one-hot labels: what a step is given is what NumPy makes of the rows."""
    spec = specs.get("vae_z100")
    spec = dataclasses.replace(spec, inputs=SEMI, training=dataclasses.replace(spec.training, labelled=10))
    random = np.random.default_rng(0)
    data = {
        "images": random.integers(256, size=(40, 3, 4, 4), dtype=np.uint8),
        "labels": np.arange(40, dtype=np.uint8) % 5,
    }
    rows = {"all": np.array([3, 39, 0], np.int32), "labelled": np.array([9, 1, 4], np.int32)}
    seen = gathered(backend, spec, data, rows)
    for name, expected in model_inputs(spec, data, rows).items():
        assert seen[name].dtype == np.float32
        assert seen[name] == pytest.approx(expected, abs=1e-6), name


def gathered(backend, spec, data, rows):
    """{name: array}: the inputs of one step, float32, as the backend's engine gathers them."""
    steps = backends.engine(backend, "steps")
    if backend == "pytorch":
        import torch

        tensors, places = ({k: torch.from_numpy(v) for k, v in one.items()} for one in (data, rows))
        return {
            name: value.numpy() for name, value in steps.gather(spec.inputs, tensors, places, torch.float32).items()
        }
    if backend == "paddle":
        state = steps.State(spec, None, "float32", "cpu")
        with state.program("gathered", "replayed") as program:
            given = program.inputs()
            program.fetch = {one.name: given[one.name] for one in spec.inputs}
        backends.engine("paddle", "column").Column.upload(SimpleNamespace(spec=spec, state=state), data)
        return state.run("gathered", {f"{name}.indices": places for name, places in rows.items()}, {})
    return {name: np.array(value) for name, value in steps.gather(spec.inputs, data, rows, "float32").items()}
