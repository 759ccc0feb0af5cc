"""docs/differences.md, the entries that JAX, Flax and Optax show by themselves."""

import inspect
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest
from flax import nnx
from jax import numpy as jnp

import backends
from backends.jax import (
    process,  # noqa: F401  (turns x64 on, as every run here has it)
    steps,
)
from backends.jax.exact import ConvTranspose, leaky_relu
from backends.jax.terms import complement
from common.specs import get
from tests.backend.ready import jax as ready
from tests.planting import failure, planted, with_text

BIAS_CORRECTION = """
import jax, numpy as np, optax
from jax import numpy as jnp
jax.config.update("jax_enable_x64", {x64})
rule = optax.adam(1.0, b1=0.9, b2=0.999, eps=1e-30, eps_root=0.0)
parameter = jnp.zeros(1, jnp.float32)
update, _ = rule.update(jnp.full(1, 0.5, jnp.float32), rule.init(parameter), parameter)
assert update.dtype == jnp.float32
print(abs(float(update[0]) + 1))
"""


def first_move_error(x64):
    """Adam's first move is exactly -1 for rate 1 and ε 0; how far Optax is from it, in a process of its own."""
    code = BIAS_CORRECTION.format(x64=x64)
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def test_optax_corrects_its_bias_in_the_default_float():
    assert first_move_error(x64=False) > 5e-6
    assert first_move_error(x64=True) < 5e-7


def test_without_x64_float64_becomes_float32():
    code = "import numpy, jax.numpy as j; print(j.asarray(numpy.zeros(1)).dtype)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "float32"


def test_optax_adam_defaults():
    parameters = inspect.signature(optax.adam).parameters
    assert (parameters["eps"].default, parameters["eps_root"].default) == (1e-8, 0.0)


def test_dicts_leave_jit_sorted():
    assert list(jax.jit(lambda: {"loss": 1.0, "bce": 2.0})()) == ["bce", "loss"]


def test_an_index_out_of_range_is_clamped():
    assert jnp.arange(3)[jnp.array([99])].tolist() == [2]


def test_xla_multiplies_by_a_reciprocal():
    """x / 255 is compiled to x * (1 / 255): many pixels differ in the last bit, none by more."""
    x = np.arange(256, dtype=np.float32)
    compiled = np.asarray(jax.jit(lambda v: v / 255)(x))
    assert (compiled != x / np.float32(255)).sum() > 50
    assert compiled == pytest.approx(x / 255, rel=2e-7)


def test_linear_keeps_in_out():
    layer = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    assert layer.kernel.shape == (3, 2)
    assert not np.asarray(layer.bias[...]).any()  # and starts with zero biases


def test_optimizers_compare_by_identity():
    assert optax.adam(1e-3) != optax.adam(1e-3)


def test_arrays_cannot_be_changed_in_place():
    with pytest.raises(TypeError, match="immutable"):
        jnp.zeros(3)[0] = 1.0


def test_flax_does_not_turn_the_kernel_of_a_transposed_convolution():
    """One pixel in: the kernel itself must come out, as in the other frameworks; Flax's default gives it turned by 180°."""
    kernel = jnp.arange(9.0).reshape(3, 3)
    outputs = {}
    for turned in (False, True):
        layer = nnx.ConvTranspose(
            1, 1, (3, 3), padding="VALID", transpose_kernel=turned, use_bias=False, rngs=nnx.Rngs(0)
        )
        layer.kernel.set_value(kernel.reshape(3, 3, 1, 1))
        outputs[turned] = np.asarray(layer(jnp.ones((1, 1, 1, 1)))).reshape(3, 3)
    assert np.array_equal(outputs[True], kernel)
    assert np.array_equal(outputs[False], kernel[::-1, ::-1])


def test_kernels_of_transposed_convolutions():
    shapes = [
        nnx.ConvTranspose(8, 16, (3, 3), transpose_kernel=turned, rngs=nnx.Rngs(0)).kernel.shape
        for turned in (False, True)
    ]
    assert shapes == [(3, 3, 8, 16), (3, 3, 16, 8)]


def test_leaky_relu_has_slope_1_at_zero():
    assert jax.grad(lambda x: nnx.leaky_relu(x, 0.25))(0.0) == 1.0
    assert [jax.grad(lambda x: leaky_relu(x, 0.25))(x) for x in (-1.0, 0.0, 1.0)] == [0.25, 0.25, 1.0]


def test_batch_norm_weighs_the_old_and_keeps_a_biased_variance():
    layer, x = nnx.BatchNorm(1, rngs=nnx.Rngs(0)), jnp.arange(4, dtype=jnp.float32).reshape(4, 1)
    assert (layer.momentum, layer.epsilon) == (0.99, 1e-5)
    layer(x)
    assert layer.mean[...].item() == pytest.approx(0.01 * 1.5)
    assert layer.var[...].item() == pytest.approx(0.99 + 0.01 * 5 / 4)  # the sum of squares, 5, over n


def test_batch_norm_loses_its_variance_by_default():
    """E[x²] - E[x]² of values around 10,000 with variance 1, in float32: nothing is left."""
    x = 1e4 + np.random.default_rng(0).normal(size=(1000, 1)).astype(np.float32)
    found = {}
    for fast in (True, False):
        layer = nnx.BatchNorm(1, momentum=0.0, use_fast_variance=fast, rngs=nnx.Rngs(0))
        layer(jnp.asarray(x, jnp.float32))
        found[fast] = layer.var[...].item()
    assert nnx.BatchNorm(1, rngs=nnx.Rngs(0)).use_fast_variance
    assert found[False] == pytest.approx(x.var(dtype=np.float64), rel=1e-5)
    assert not 0.5 < found[True] < 2


def test_flattening_in_nhwc_is_caught(train):
    """The same shape, other columns of the dense layer's weight."""
    planted = with_text("jax", get("infogan"), "to_nchw(h).reshape(", "h.reshape(")
    assert failure(get("infogan").training.twin, train, planted).name == "forward"


def test_leaky_relu_default_slope():
    assert nnx.leaky_relu(jnp.float64(-1)) == -0.01


def test_max_pool_steps_by_one_and_same_puts_the_odd_one_last():
    x = -jnp.ones((1, 4, 4, 1))
    assert nnx.max_pool(x, (2, 2)).shape == (1, 3, 3, 1)
    assert (nnx.max_pool(x, (3, 3), strides=(2, 2), padding="SAME") == -1).all()  # a padding of zeros would win
    x = jnp.arange(6.0).reshape(1, 6, 1)
    assert nnx.max_pool(x, (3,), strides=(2,), padding="SAME").flatten().tolist() == [2, 4, 5]
    assert nnx.max_pool(x, (3,), strides=(2,), padding=((1, 1),)).flatten().tolist() == [1, 3, 5]


def test_dropout_scales_what_it_keeps_and_is_on_by_default():
    layer, x = nnx.Dropout(0.75, rngs=nnx.Rngs(0)), jnp.ones(1000)
    assert set(layer(x).tolist()) == {0, 4}
    layer.eval()
    assert jnp.array_equal(layer(x), x)


def test_losses_are_not_reduced():
    loss = optax.sigmoid_binary_cross_entropy(jnp.ones((2, 3)), jnp.zeros((2, 3)))
    assert np.asarray(loss) == pytest.approx(np.full((2, 3), np.log1p(np.e)))


def test_log_of_a_probability_plus_epsilon_loses_the_gradient():
    """Of a fake that D takes for real with a logit of 20, in float32: the true loss is 20 and its slope 1."""

    def loss(logit):
        return -jnp.log(1 - nnx.sigmoid(logit) + 1e-8)

    value, slope = jax.value_and_grad(loss)(jnp.float32(20))
    assert value == pytest.approx(-np.log(1e-8), rel=1e-6)
    assert slope == 0


def test_an_epsilon_is_compiled_away():
    """XLA adds numbers that are known before it runs: (1 - p) + 1e-8 is (1 + 1e-8) - p, in float32 1 - p."""

    def loss(p):
        return -jnp.log(1 - p + 1e-8)

    certain = jnp.float32(1)
    assert loss(certain) == pytest.approx(-np.log(1e-8), rel=1e-6)
    assert jax.jit(loss)(certain) == np.inf
    assert jax.jit(lambda p: -jnp.log(complement(p) + 1e-8))(certain) == pytest.approx(-np.log(1e-8), rel=1e-6)


def test_linear_draws_weights_by_lecun():
    """A normal of variance 1 / fan_in, truncated at two deviations of what was drawn."""
    kernel = np.asarray(nnx.Linear(784, 400, rngs=nnx.Rngs(0)).kernel[...]) * np.sqrt(784)
    assert kernel.std() == pytest.approx(1, rel=0.01)
    assert 2.2 < np.abs(kernel).max() <= 2 / 0.8796  # the deviation of a normal cut at ±2


def test_optax_bce_takes_two_logarithms():
    def count(function):
        return jax.jit(function).lower(jnp.ones(3), jnp.ones(3)).compile().as_text().count("log-plus-one(")

    assert count(optax.sigmoid_binary_cross_entropy) == 2
    assert count(lambda logits, x: nnx.softplus(logits) - x * logits) == 1


def convolutions(layer, steps=None):
    """XLA's lines of the convolutions in a gradient step of a transposed convolution's kernel; `steps` of them in a loop."""
    model = layer(8, 4, (4, 4), strides=2, padding=2, transpose_kernel=True, use_bias=False, rngs=nnx.Rngs(0))
    graph, state = nnx.split(model)

    def once(state):
        of_state = jax.grad(lambda state: (nnx.merge(graph, state)(jnp.ones((2, 7, 7, 8), jnp.float32)) ** 2).sum())
        return jax.tree.map(jnp.subtract, state, of_state(state))

    def run(state):
        return jax.lax.fori_loop(0, steps, lambda _, state: once(state), state) if steps else once(state)

    text = jax.jit(run).lower(state).compile().as_text()
    return [line for line in text.splitlines() if " convolution(" in line]


def canonical(line):
    """Whether XLA's fast convolutions on a CPU take it: batch first, channels last, the window as it stands."""
    return "dim_labels=b01f_01io->b01f" in line and "rhs_reversal" not in line


def test_the_kernel_gradient_of_a_transposed_convolution_turns_its_window():
    assert any("rhs_reversal" in line for line in convolutions(nnx.ConvTranspose))
    assert all(map(canonical, convolutions(ConvTranspose)))


def test_convolutions_in_a_loop_are_left_as_they_are():
    assert not all(map(canonical, convolutions(ConvTranspose, steps=2)))


def test_a_transposed_convolution_of_small_images_turns_its_window():
    """Of 2 × 2 by 4 × 4, with more filters than images: InfoGAN's for street numbers."""

    def compiled(layer):
        layer = layer(8, 64, (4, 4), strides=2, padding=2, transpose_kernel=True, rngs=nnx.Rngs(0))
        return jax.jit(layer).lower(jnp.zeros((4, 2, 2, 8))).compile().as_text()

    assert "rhs_reversal" in compiled(nnx.ConvTranspose)
    assert " convolution(" not in compiled(ConvTranspose)


@pytest.mark.parametrize("sides", [(5, 4), (3, 4), (5, 2)])
@pytest.mark.parametrize("padding", [2, ((2, 3), (1, 2))])
def test_our_transposed_convolution_is_that_of_flax(padding, sides):
    """Sizes that differ, images smaller than the window, a bias, and a stride that the kernel is no multiple of."""
    options = {"strides": 3, "padding": padding, "transpose_kernel": True}
    options |= {"dtype": jnp.float64, "param_dtype": jnp.float64}
    flax, ours = (layer(3, 2, (5, 4), rngs=nnx.Rngs(0), **options) for layer in (nnx.ConvTranspose, ConvTranspose))
    x = jax.random.normal(jax.random.key(0), (2, *sides, 3), jnp.float64)

    def result(layer):
        found = nnx.value_and_grad(lambda layer, x: jnp.sin(layer(x)).sum(), argnums=(0, 1))(layer, x)
        return [np.asarray(leaf) for leaf in jax.tree.leaves(found)]

    for expected, found in zip(result(flax), result(ours), strict=True):
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-13)


def test_a_loop_in_python_would_reach_a_gpu_as_many_steps(train):
    scan = "return jax.lax.scan(lambda values, row: self.step(values, *self.given(data, key, row)), values, rows)"
    loop = (
        "losses = []\n        for k in range(len(rows[0])):\n"
        "            row = jax.tree.map(lambda one, k=k: one[k], rows)\n"
        "            values, one = self.step(values, *self.given(data, key, row))\n"
        "            losses.append(one)\n        return values, losses"
    )
    spec, module = get("vae_z100"), backends.load("jax", get("vae_z100"))[1]
    assert ready.findings(spec, module, train) == []
    found = ready.findings(spec, module, train, steps=planted(steps, scan, loop))
    assert found[0] == "0 loops, where the scan is one"
    only_on_a_cpu = "%0 = stablehlo.while(%1)\n%2 = stablehlo.custom_call @xla_ffi_python_cpu_callback(%0)"
    assert ready.faults(only_on_a_cpu) == ["custom call: xla_ffi_python_cpu_callback"]
