"""docs/differences.md, the entries that Paddle's static mode shows by itself."""

import contextlib
import ctypes
import inspect
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from backends.paddle import (
    process,  # first: it turns static mode on
    steps,
)
from backends.paddle.exact import BatchNorm, CoupledL2, ExactMomentum, leaky_relu
from backends.paddle.process import quiet

import paddle  # isort: skip
from paddle import nn, static  # isort: skip

import backends
from backends.paddle.printed import infogan as paddle_program
from common import specs
from common.data import digits
from common.data.batches import batch_indices, row_sets
from common.parameters import initial_parameters
from common.reference.adam import adam_update
from common.specs.records import Adam
from tests.planting import failure, with_text

GRADIENTS = [np.array([1e-3, -2.0]) * scale for scale in (1.0, 0.5, -0.7, 1.5, 0.1)]


def run(program, startup, fetch, feeds=({},)):
    """The fetched arrays of each run, and the scope."""
    executor, scope = static.Executor(paddle.CPUPlace()), static.Scope()
    executor.run(startup, scope=scope)
    return [executor.run(program, feed=feed, fetch_list=fetch, scope=scope) for feed in feeds], scope


@contextlib.contextmanager
def float64():
    paddle.set_default_dtype("float64")
    yield
    paddle.set_default_dtype("float32")


def attribute(name, value=1.0):
    return paddle.ParamAttr(name=name, initializer=nn.initializer.Constant(value))


def paddle_adam(as_tensors, weight_decay=None):
    """Five float64 updates of a parameter of ones whose gradient is fed; (parameter, second moment)."""
    program, startup = static.Program(), static.Program()
    settings = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
    with static.program_guard(program, startup), paddle.utils.unique_name.guard(), quiet(), float64():
        gradient = static.data("gradient", [2], "float64")
        parameter = static.create_parameter([2], "float64", name="p", attr=attribute("p"))
        if as_tensors:
            settings = {name: paddle.full([1], value, "float64") for name, value in settings.items()}
        loss = (gradient * parameter).sum()
        optimizer = paddle.optimizer.Adam(learning_rate=1e-3, weight_decay=weight_decay and weight_decay(), **settings)
        optimizer.minimize(loss, startup, [parameter])
    _, scope = run(program, startup, [], [{"gradient": g} for g in GRADIENTS])
    return tuple(np.array(scope.find_var(name).get_tensor()) for name in ("p", "p_moment2_0"))


def algorithm_1(l2=0.0):
    adam = Adam(learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, l2=l2)
    parameter, first, second = np.ones(2), np.zeros(2), np.zeros(2)
    for step, gradient in enumerate(GRADIENTS, 1):
        parameter, first, second = adam_update(adam, parameter, gradient, first, second, step)
    return parameter, second


def test_adam_keeps_its_numbers_in_float32():
    """In float64, numbers given as Python floats leave the second moment 1.3e-5 off; tensors make it exact."""
    (parameter, second), (exact_parameter, exact_second) = paddle_adam(as_tensors=False), algorithm_1()
    assert np.abs(second / exact_second - 1) == pytest.approx(1.3e-5, rel=0.1)
    assert 1e-12 < np.abs(parameter - exact_parameter).max() < 1e-4
    parameter, second = paddle_adam(as_tensors=True)
    assert parameter == pytest.approx(exact_parameter, rel=1e-14)
    assert second == pytest.approx(exact_second, rel=1e-14)


def test_momentum_rounds_its_coefficient_to_float32():
    """0.9 is 0.9 - 2.4e-8 in what it keeps, in float64 too."""

    def velocity(optimizer):
        program, startup = static.Program(), static.Program()
        with static.program_guard(program, startup), paddle.utils.unique_name.guard(), quiet(), float64():
            gradient = static.data("gradient", [2], "float64")
            parameter = static.create_parameter([2], "float64", name="p", attr=attribute("p"))
            loss = (gradient * parameter).sum()
            optimizer(learning_rate=1e-3, momentum=0.9).minimize(loss, startup, [parameter])
        _, scope = run(program, startup, [], [{"gradient": np.ones(2)}] * 2)
        return np.array(scope.find_var("p_velocity_0").get_tensor())

    assert velocity(paddle.optimizer.Momentum) == pytest.approx(1 + float(np.float32(0.9)), rel=1e-15)
    assert velocity(ExactMomentum) == pytest.approx(1.9, rel=1e-15)


def test_a_number_given_to_adam_is_an_operator_for_each_parameter():
    """Three of them, where a tensor is one operator for all parameters."""

    def constants(number):
        program, startup = static.Program(), static.Program()
        with static.program_guard(program, startup), paddle.utils.unique_name.guard(), quiet():
            moved = [static.create_parameter([1], "float32", name=f"p{k}", attr=attribute(f"p{k}")) for k in range(5)]
            numbers = {"beta1": number(0.9), "beta2": number(0.999), "epsilon": number(1e-8)}
            paddle.optimizer.Adam(1e-3, **numbers).apply_gradients([(p, p) for p in moved])
        return str(program).count("pd_op.full")

    assert constants(float) == 3 * 5
    assert constants(lambda value: paddle.full([1], value)) == 3


def test_l2decay_keeps_its_coefficient_in_float32():
    _, exact = algorithm_1(l2=0.1)
    _, rounded = paddle_adam(True, lambda: paddle.regularizer.L2Decay(0.1))
    _, coupled = paddle_adam(True, lambda: CoupledL2(0.1))
    assert np.abs(rounded / exact - 1).max() > 1e-10
    assert coupled == pytest.approx(exact, rel=1e-14)


def test_a_name_used_twice_in_one_program_is_two_parameters():
    """y = w·x + w·x with the name "w" created twice: the gradient of either value is half the true one."""
    program, startup = static.Program(), static.Program()
    with static.program_guard(program, startup), quiet():
        x = static.data("x", [1, 1], "float32")
        twice = [nn.Linear(1, 1, weight_attr=attribute("w"), bias_attr=False) for _ in range(2)]
        once = nn.Linear(1, 1, weight_attr=attribute("v"), bias_attr=False)
        slopes = static.gradients(twice[0](x) + twice[1](x), [twice[0].weight])
        slopes += static.gradients(once(x) + once(x), [once.weight])
    ((of_twice, of_once),), scope = run(program, startup, slopes, [{"x": np.full((1, 1), 3, "float32")}])
    assert (of_twice.item(), of_once.item()) == (3, 6)
    assert twice[0].weight.name == twice[1].weight.name == "w"


@pytest.fixture(scope="module")
def printed():
    return paddle_program.Printed()


def feeds(seed=0):
    random = np.random.default_rng(seed)
    return {"X": random.uniform(-1, 1, (8, 784)), "Z": random.uniform(-1, 1, (8, paddle_program.Z_DIM))}


def test_the_articles_program_shares_nothing(printed):
    """Each call of `discriminator` or `generator` under unique_name.guard makes layers of new names: D twice in D's Program, once
    in G's, and G in each of three."""
    names = {name: set(printed.parameters(name)) for name in ("D", "G", "Infer")}
    assert [len(of) for of in names.values()] == [3 * 4, 2 * 4, 4]
    assert len(set.union(*names.values())) == 12 + 8 + 4
    assert {name.split("_fc_")[0] for name in names["D"]} == {"D", "G"}


def test_the_articles_program_trains_only_a_generator_that_draws_nothing(printed):
    """And reports nothing: D's optimiser has been given the D of G's Program, no parameter of its own."""
    given = {name: value.astype(np.float32) for name, value in feeds().items()}
    assert printed.moved("D", **given) == []
    assert printed.moved("G", Z=given["Z"]) == [name for name in printed.parameters("G") if name.startswith("G")]
    before = printed.run("Infer", Z=given["Z"])
    printed.run("G", Z=given["Z"])
    assert np.array_equal(before, printed.run("Infer", Z=given["Z"]))
    assert paddle_program.by_name().startswith("TypeError")


def test_static_fc_draws_by_glorot_and_starts_biases_at_zero(printed):
    """What the article leaves to its framework: 784 -> 256, ±√(6 / 1040) = ±0.0760."""
    values = {name: np.array(printed.scope.find_var(name).get_tensor()) for name in printed.parameters("D")}
    weights = [value for value in values.values() if value.shape == (784, 256)]
    assert len(weights) == 2  # D(X) and D(G(Z))
    for weight in weights:
        assert 0.0759 < np.abs(weight).max() <= np.sqrt(6 / 1040)
    assert not any(value.any() for name, value in values.items() if ".b_" in name)


def test_feeds_of_another_type_are_refused_and_lists_are_taken(printed):
    z = feeds()["Z"]
    assert printed.answer(z) == printed.answer(np.ones_like(z, np.int64)) == "refused"
    assert printed.answer(z.tolist()) == printed.answer(z.astype(np.float32)) == "taken, with the same result"


def test_what_nobody_fetches_takes_its_time():
    """100 products of 300 × 300 are 5.4 GFLOP, beside a sum of 90,000 numbers."""
    cost = paddle_program.cost_of_unfetched()
    assert cost["with"] > 20 * cost["without"]


def test_one_name_is_one_weight_between_programs_alone():
    assert paddle_program.one_name() == {"in two Programs": True, "in one": False}


def test_programs_share_parameters_by_name():
    first, second, startup = static.Program(), static.Program(), static.Program()
    outputs = []
    for program in (first, second):
        with static.program_guard(program, startup if program is first else static.Program()):
            x = static.data("x", [1, 1], "float32")
            outputs.append(nn.Linear(1, 1, weight_attr=attribute("shared", 2.0), bias_attr=False)(x))
    executor, scope, feed = static.Executor(paddle.CPUPlace()), static.Scope(), {"x": np.ones((1, 1), "float32")}
    executor.run(startup, scope=scope)
    scope.find_var("shared").get_tensor().set(np.full((1, 1), 7, "float32"), paddle.CPUPlace())
    results = [
        executor.run(p, feed=feed, fetch_list=[y], scope=scope)[0]
        for p, y in zip((first, second), outputs, strict=True)
    ]
    assert [value.item() for value in results] == [7, 7]


def test_numbers_beside_a_value_pass_through_float32():
    program, startup = static.Program(), static.Program()
    with static.program_guard(program, startup):
        x = static.data("x", [1], "float64")
        fetch = [x * 0.1, x * paddle.full([1], 0.1, "float64")]
    ((attribute_, tensor),), _ = run(program, startup, fetch, [{"x": np.ones(1)}])
    assert abs(attribute_.item() - 0.1) > 1e-10
    assert tensor.item() == 0.1


def test_everything_in_a_program_runs():
    """An operator whose result is not fetched runs all the same: here a counter that counts."""
    program, startup = static.Program(), static.Program()
    with static.program_guard(program, startup):
        x = static.data("x", [1], "float32")
        counter = static.create_parameter([1], "float32", name="counter", attr=attribute("counter", 0.0))
        paddle.assign(counter + 1, counter)
        y = x * 2
    _, scope = run(program, startup, [y], [{"x": np.ones(1, "float32")}] * 3)
    assert np.array(scope.find_var("counter").get_tensor()).item() == 3


def test_linear_keeps_in_out():
    with static.program_guard(static.Program(), static.Program()):
        assert tuple(nn.Linear(3, 2).weight.shape) == (3, 2)


def test_adam_default_epsilon():
    assert inspect.signature(paddle.optimizer.Adam).parameters["epsilon"].default == 1e-8


def test_bce_with_logits_has_a_wrong_gradient_at_zero():
    """The true derivative at logit 0 is ½ - target; Paddle's is lower by 1, exactly there and nowhere else."""
    program, startup = static.Program(), static.Program()
    with static.program_guard(program, startup), quiet():
        logits, target = static.data("logits", [3], "float64"), static.data("target", [3], "float64")
        logits.stop_gradient = False
        theirs = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="sum")
        ours = (nn.functional.softplus(logits, threshold=40) - target * logits).sum()
        slopes = static.gradients(theirs, [logits]) + static.gradients(ours, [logits])
    given = {"logits": np.array([0.0, 1e-9, -1e-9]), "target": np.full(3, 0.25)}
    ((wrong, right),), _ = run(program, startup, slopes, [given])
    assert right == pytest.approx([0.25] * 3, abs=1e-8)
    assert wrong == pytest.approx([0.25 - 1, 0.25, 0.25], abs=1e-8)


def test_softplus_gives_up_at_20():
    program, startup = static.Program(), static.Program()
    with static.program_guard(program, startup):
        x = static.data("x", [1], "float64")
        fetch = [nn.functional.softplus(x), nn.functional.softplus(x, threshold=40)]
    ((default, far),), _ = run(program, startup, fetch, [{"x": np.array([20.1])}])
    exact = np.logaddexp(0, 20.1)
    assert default.item() == 20.1
    assert far.item() == pytest.approx(exact, rel=1e-15)
    assert exact - 20.1 > 1e-9


def test_the_powers_of_a_beta_given_as_a_tensor_start_from_09():
    program, startup = static.Program(), static.Program()
    with static.program_guard(program, startup), paddle.utils.unique_name.guard(), quiet():
        parameter = static.create_parameter([1], "float32", name="q", attr=attribute("q"))
        optimizer = paddle.optimizer.Adam(learning_rate=1e-3, beta1=paddle.full([1], 0.5, "float32"))
        optimizer.minimize((parameter * 2).sum(), startup, [parameter])
    _, scope = run(program, startup, [])
    assert np.array(scope.find_var("q_beta1_pow_acc_0").get_tensor()).item() == pytest.approx(0.9 * 0.5)


def test_importing_paddle_leaves_one_thread_to_child_processes():
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    code = (
        "import os, warnings; warnings.simplefilter('ignore'); import paddle; print(os.environ.get('OMP_NUM_THREADS'))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_a_small_model_has_one_thread(monkeypatch, train):
    """The threads of an operator, as Paddle's OpenMP says, after 64 images by `vae_z100` and by `gan`."""
    monkeypatch.setattr(process, "THREADS", 2)
    openmp = ctypes.CDLL(next((Path(paddle.__file__).parent / "libs").glob("libiomp5*")))
    for name, batch, threads in (("vae_z100", 64, 1), ("gan", 64, 2), ("vae_z100", 1000, 2)):
        column = backends.create("paddle", specs.get(name), initial_parameters(specs.get(name), 0))
        column.upload(train)
        column.train_steps({"all": np.zeros((1, batch), np.int32)})
        assert openmp.omp_get_max_threads() == threads, name
    process.use_threads(0)


def test_a_program_holds_nothing_of_another_job():
    """The GAN's Programs: each updates its own network only, and sampling knows neither D nor Adam."""
    spec = specs.get("gan")
    programs = backends.create("paddle", spec, initial_parameters(spec, 0)).state.programs
    text = {job: str(programs[job, "replayed"].main) for job in ("discriminator", "generator")}
    text |= {job: str(programs[job, "fed"].main) for job in ("sample", "forward", "losses")}
    for job, other in (("discriminator", "generator"), ("generator", "discriminator")):
        assert text[job].count("pd_op.adam_") == 8  # four weights and four biases
        assert f"{job}.{job}.fc0.weight_moment1_0" in text[job]
        assert f"{other}." + "fc0.weight_moment1_0" not in text[job].replace(f"{job}.{job}", "")
    assert "tanh_grad" not in text["discriminator"]  # nothing flows back into G
    assert "generator_z" not in text["discriminator"]
    assert "discriminator_z" not in text["generator"]
    assert "uploaded.images" in text["discriminator"]
    assert "uploaded.images" not in text["generator"]  # G's update sees no data
    assert text["sample"].count("pd_op.matmul") == 4  # the four layers of G
    for job in ("sample", "forward", "losses"):
        assert "adam_" not in text[job]
        assert '_grad" (' not in text[job]


def test_convolutions_keep_pytorch_layout():
    with static.program_guard(static.Program(), static.Program()):
        assert tuple(nn.Conv2D(8, 16, 3).weight.shape) == (16, 8, 3, 3)
        assert tuple(nn.Conv2DTranspose(8, 16, 3).weight.shape) == (8, 16, 3, 3)


def test_a_parameter_created_twice_in_the_gan(train):
    """D(real) and D(fake) by two layers of one name: forward and losses are right, the gradients are not."""
    spec = specs.get("gan")
    planted = with_text("paddle", spec, "model.discriminator(generated", "GAN().discriminator(generated")
    assert failure(spec, train, planted).name == "gradients"


def test_leaky_relu_has_slope_1_at_zero():
    program, startup = static.Program(), static.Program()
    with static.program_guard(program, startup), paddle.utils.unique_name.guard(), quiet():
        x = static.data("x", [1], "float32")
        x.stop_gradient = False
        theirs = static.gradients(nn.functional.leaky_relu(x, 0.25), x)
        ours = static.gradients(leaky_relu(x, 0.25), x)
    ((theirs, ours),), _ = run(program, startup, theirs + ours, [{"x": np.zeros(1, np.float32)}])
    assert (theirs.item(), ours.item()) == (1, 0.25)


def test_batch_norm_keeps_its_numbers_in_float32():
    """The running mean after one float64 batch of mean 1.5 is (1 - momentum)·1.5, with a momentum of 0.9."""
    program, startup = static.Program(), static.Program()
    with static.program_guard(program, startup), paddle.utils.unique_name.guard(), float64(), quiet():
        layer = nn.BatchNorm1D(1)
        assert (layer._momentum, layer._epsilon) == (0.9, 1e-5)
        y = layer(static.data("x", [4, 1], "float64"))
        name = layer._mean.name
    _, scope = run(program, startup, [y], [{"x": np.arange(4.0).reshape(4, 1)}])
    mean = np.asarray(scope.find_var(name).get_tensor()).item()
    assert mean == pytest.approx(0.15, rel=1e-6)
    assert mean == pytest.approx((1 - np.float64(np.float32(0.9))) * 1.5, rel=1e-7)
    assert abs(mean / 0.15 - 1) > 1e-7


def running_statistics(dtype, x):
    """(mean, variance) that the column's batch norm keeps after one pass of x (B, 1), with a momentum of 0.9."""
    program, startup = static.Program(), static.Program()
    with static.program_guard(program, startup), paddle.utils.unique_name.guard(), quiet():
        with float64() if dtype == "float64" else contextlib.nullcontext():
            y = BatchNorm(1, "bn", momentum=0.9, epsilon=1e-5)(static.data("x", [None, 1], dtype))
    _, scope = run(program, startup, [y], [{"x": x.astype(dtype)}])
    return [np.array(scope.find_var(f"bn.{kind}").get_tensor()).item() for kind in ("mean", "variance")]


def test_batch_norm_weighs_the_old_and_keeps_a_biased_variance():
    """Paddle's own, which the column uses in float32, means what the specification does; in float64 it is exact too."""
    x = np.array([[0.0], [1.0], [5.0]])  # mean 2, variance 14/3, unbiased 7
    expected = [0.1 * 2, 0.9 + 0.1 * 14 / 3]
    assert running_statistics("float32", x) == pytest.approx(expected, rel=1e-6)
    assert running_statistics("float64", x) == pytest.approx(expected, rel=1e-15)


def ten_times_a_share(detach):
    """10·v of v = 4 in many runs, beside √(v + 1), which may be computed in the memory of v."""
    program, startup = static.Program(), static.Program()
    with static.program_guard(program, startup), paddle.utils.unique_name.guard():
        one, ten = paddle.full([1], 1.0), paddle.full([1], 10.0)
        v = paddle.mean(static.data("x", [4], "float32") ** 2, 0, keepdim=True)
        share = v.detach() if detach else v
        root = paddle.sqrt(v + one)
        found = [root, share * ten]
    results, _ = run(program, startup, found, [{"x": np.full(4, 2, np.float32)}] * 200)
    return {float(value.item()) for _, value in results}


def test_a_detached_value_is_overwritten():
    """Not in every run: the executor's threads decide."""
    assert ten_times_a_share(detach=False) == {40}
    assert max(abs(value - 40) for value in ten_times_a_share(detach=True)) > 10


def test_gradients_twice_in_a_program_with_an_operator_in_place():
    """Such an operator ends the pruning of the backward pass, so that the second call differentiates the first."""
    for in_place in (False, True):
        program, startup = static.Program(), static.Program()
        with static.program_guard(program, startup), paddle.utils.unique_name.guard(), quiet():
            x = static.data("x", [1], "float32")
            x.stop_gradient = False
            if in_place:
                paddle.assign(x, static.create_parameter([1], "float32", name="kept", attr=attribute("kept")))
            y = (x + 1) ** 2
            static.gradients(y, x)
            if in_place:
                with pytest.raises(ValueError, match="has no grad op"):
                    static.gradients(y, x)
            else:
                static.gradients(y, x)


def held_after_a_run(threshold):
    """MiB that a run leaves behind of three results of 4 MiB, its own arrays aside, once nothing more is freed."""
    program, startup = static.Program(), static.Program()
    with static.program_guard(program, startup):
        x = static.data("x", [None], "float32")
        mean = paddle.mean(paddle.exp(paddle.tanh(x + x)))
    before, outside = held(), paddle.get_flags("FLAGS_eager_delete_tensor_gb")
    paddle.set_flags({"FLAGS_eager_delete_tensor_gb": threshold})
    try:
        executor, scope = static.Executor(paddle.CPUPlace()), static.Scope()
        executor.run(program, feed={"x": np.zeros(2**20, np.float32)}, fetch_list=[mean], scope=scope)
        end = time.monotonic() + 10
        while held() - before > 4 and threshold >= 0 and time.monotonic() < end:
            time.sleep(0.01)  # another thread frees
        return round(held() - before)
    finally:
        paddle.set_flags(outside)


def held():
    return paddle.base.core.host_memory_stat_current_value("Allocated", 0) / 2**20


def test_an_executor_frees_at_once_what_the_next_run_needs_again():
    """x is fed and stays; what was made of it is kept by the engine's setting alone."""
    assert held_after_a_run(0.0) == 4
    assert held_after_a_run(-1.0) > 4


def values(make, **feeds):
    """What `make` builds from static inputs of the shapes and dtypes of `feeds`, run once."""
    program, startup = static.Program(), static.Program()
    with static.program_guard(program, startup), paddle.utils.unique_name.guard(), quiet():
        inputs = [static.data(name, value.shape, str(value.dtype)) for name, value in feeds.items()]
        for value in inputs:
            value.stop_gradient = False
        fetch = make(*inputs)
    return run(program, startup, fetch, [feeds])[0][0]


def test_leaky_relu_default_slope():
    (y,) = values(lambda x: [nn.functional.leaky_relu(x)], x=np.array([-1.0], np.float32))
    assert y.item() == np.float32(-0.01)


def test_max_pool_steps_by_its_kernel_and_pads_with_less_than_anything():
    x = np.full((1, 1, 4, 4), -1, np.float32)
    plain, padded = values(lambda x: [nn.functional.max_pool2d(x, 2), nn.functional.max_pool2d(x, 2, padding=1)], x=x)
    assert plain.shape == (1, 1, 2, 2)
    assert (padded == -1).all()  # a padding of zeros would win


def test_dropout_scales_what_it_keeps_unless_told_not_to():
    """In the mode that was the default of `fluid`, what is dropped in training is scaled down in evaluation instead."""
    dropout, old, x = nn.functional.dropout, {"mode": "downscale_in_infer"}, np.ones((10, 100), np.float32)
    kept, old_kept, off, old_off = values(
        lambda x: [
            dropout(x, 0.75),
            dropout(x, 0.75, **old),
            dropout(x, 0.75, training=False),
            dropout(x, 0.75, training=False, **old),
        ],
        x=x,
    )
    assert (set(kept.flat), set(off.flat)) == ({0, 4}, {1})
    assert (set(old_kept.flat), set(old_off.flat)) == ({0, 1}, {0.25})


def test_bce_on_probabilities_is_clamped():
    (loss,) = values(lambda p, t: [nn.functional.binary_cross_entropy(p, t)], p=np.ones(1), t=np.zeros(1))
    assert loss.item() == 100


def test_cross_entropy_stops_at_64():
    """Where the true loss is 100, in float64; both ways to write it. The gradient is right."""
    functional = nn.functional

    def make(logits, labels):
        log_softmax = -(labels * functional.log_softmax(logits, axis=1)).sum()
        loss = functional.cross_entropy(logits, labels, soft_label=True)
        return [log_softmax, loss, *static.gradients(loss, logits)]

    given = {"logits": np.array([[100.0, 0.0]]), "labels": np.array([[0.0, 1.0]])}
    log_softmax, loss, slope = values(make, **given)
    assert log_softmax.item() == loss.item() == pytest.approx(64, rel=1e-15)
    assert slope == pytest.approx(np.array([[1.0, -1.0]]), abs=1e-15)


def test_log_of_a_probability_plus_epsilon_loses_the_gradient():
    """Of a fake that D takes for real with a logit of 20, in float32: the true loss is 20 and its slope 1."""

    def make(logit):
        loss = -paddle.log(1 - nn.functional.sigmoid(logit) + 1e-8)
        return [loss, *static.gradients(loss, logit)]

    loss, slope = values(make, logit=np.array([20.0], np.float32))
    assert loss.item() == pytest.approx(-np.log(1e-8), rel=1e-6)
    assert slope.item() == 0


def test_losses_are_averages_over_everything():
    (loss,) = values(nn.functional.binary_cross_entropy_with_logits, logit=np.ones((2, 3)), label=np.zeros((2, 3)))
    assert loss.item() == pytest.approx(np.log1p(np.e))


def test_default_initial_values():
    """Dense layers by Glorot, convolutions by He's normal rule, biases zero."""
    program, startup = static.Program(), static.Program()
    with static.program_guard(program, startup), paddle.utils.unique_name.guard():
        dense, conv = nn.Linear(784, 400), nn.Conv2D(64, 128, 3)
        names = [p.name for p in (dense.weight, dense.bias, conv.weight)]
    _, scope = run(program, startup, [])
    weight, bias, kernel = (np.array(scope.find_var(name).get_tensor()) for name in names)
    assert 0.97 < np.abs(weight).max() / np.sqrt(6 / (784 + 400)) <= 1
    assert not bias.any()
    assert kernel.std() == pytest.approx(np.sqrt(2 / (64 * 9)), rel=0.02)


def test_an_executor_prints_its_program_before_every_run(monkeypatch, train):
    """But not those of the engine, which are looked up once."""
    from paddle.base import executor as module

    printed, real = [], module._get_strong_program_cache_key_for_new_exe

    def counted(program, *arguments):
        printed.append(program)
        return real(program, *arguments)

    monkeypatch.setattr(module, "_get_strong_program_cache_key_for_new_exe", counted)
    program, startup = static.Program(), static.Program()
    with static.program_guard(program, startup):
        one = paddle.full([1], 1.0)
    run(program, startup, [one], feeds=({}, {}, {}))
    assert printed.count(program) == 3
    column = backends.create("paddle", specs.get("vae"), initial_parameters(specs.get("vae"), 0), device="cpu")
    column.upload(train)
    column.train_steps({"all": np.zeros((3, 8), np.int32)})
    assert printed.count(column.state.programs["train", "native"].main) == 1


def test_a_power_of_two_is_no_product():
    """In many times the time: the least of several runs, so that a busy machine does not decide."""
    feed = {"x": np.linspace(-1, 1, 1_000_000, dtype=np.float32)}
    least, found = {}, {}
    for name, function in {"square": paddle.square, "power": lambda x: x**2}.items():
        program, startup = static.Program(), static.Program()
        with static.program_guard(program, startup):
            fetch = [function(static.data("x", [1_000_000], "float32"))]
        executor, times = static.Executor(paddle.CPUPlace()), []
        for _ in range(8):
            start = time.perf_counter()
            (found[name],) = executor.run(program, feed=feed, fetch_list=fetch)
            times.append(time.perf_counter() - start)
        least[name] = min(times)
    assert np.array_equal(found["square"], feed["x"] * feed["x"])
    assert found["power"] == pytest.approx(found["square"], rel=1e-6)
    assert least["power"] > 2 * least["square"]


def test_without_the_executors_cache_a_run_is_the_same(monkeypatch):
    """The fallback of `look_up_once`, for a release that has no such private method."""
    spec, data = specs.get("vae"), digits.load()
    rows = batch_indices(row_sets(spec, data.train, 0), 16, 0, range(3))
    found = []
    for name in (steps.LOOK_UP, "in no release"):
        monkeypatch.setattr(steps, "LOOK_UP", name)
        column = backends.create("paddle", spec, initial_parameters(spec, 0), dtype="float64")
        cache = column.state.programs["train", "native"].executor._executor_cache
        assert isinstance(cache.get_pir_program_and_executor, steps.Once) == (not found)
        column.upload(data.train)
        found.append(column.train_steps(rows)["loss"])
    assert np.array_equal(*found)
