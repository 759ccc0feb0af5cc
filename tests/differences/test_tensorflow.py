"""docs/differences.md, the entries that TensorFlow and Keras show by themselves."""

import inspect
import signal
import subprocess
import sys

import numpy as np
import pytest

from backends.tensorflow import process  # noqa: F401  # first: it sets what Keras reads at its import

import keras  # isort: skip
import tensorflow as tf  # isort: skip

from backends.tensorflow.exact import leaky_relu
from backends.tensorflow.optimizer import Adam as OurAdam
from backends.tensorflow.optimizer import Momentum as OurMomentum
from backends.tensorflow.terms import complement
from common.environment import ROOT
from common.reference.adam import adam_update
from common.specs import get
from common.specs.records import Adam, Momentum, Steps, Update
from tests.planting import failure, with_text

ADAM = Adam(learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, l2=0.0)
GRADIENTS = [np.array([1e-8, 3e-3, -2.0]) * scale for scale in (1.0, 0.5, -0.7, 1.5, 0.1)]


def algorithm_1(adam=ADAM):
    parameter, first, second = np.ones(3), np.zeros(3), np.zeros(3)
    for step, gradient in enumerate(GRADIENTS, 1):
        parameter, first, second = adam_update(adam, parameter, gradient, first, second, step)
    return parameter - 1


def keras_adam(**settings):
    variable = keras.Variable(np.ones(3), dtype="float64")
    optimizer = keras.optimizers.Adam(learning_rate=1e-3, beta_1=0.9, beta_2=0.999, **settings)
    for gradient in GRADIENTS:
        optimizer.apply([tf.constant(gradient)], [variable])
    return variable.numpy() - 1


def our_adam():
    class Model:
        network = type("Network", (), {"trainable_variables": [tf.Variable(np.ones(3))]})

    optimizer = OurAdam(Update("train", "loss", ("network",), (), None, ADAM), Model)
    for gradient in GRADIENTS:
        optimizer.apply([tf.constant(gradient)])
    return optimizer.parameters[0].numpy() - 1


def test_keras_adam_adds_epsilon_before_the_bias_correction():
    """With the same ε the total move of a parameter with a small gradient is off by a third and more."""
    exact, keras_move = algorithm_1(), keras_adam(epsilon=1e-8)
    assert abs(keras_move[0] / exact[0] - 1) > 0.3
    assert our_adam() == pytest.approx(exact, rel=1e-12)


def test_keras_adam_passes_its_numbers_through_float32():
    """Where ε plays no part (third gradient), what is left is the rounding of β1, β2 and the rate."""
    exact, keras_move = algorithm_1(), keras_adam(epsilon=1e-8)
    assert 1e-9 < abs(keras_move[2] / exact[2] - 1) < 1e-4


def test_keras_momentum_keeps_the_rate():
    """Its velocity is -α·v, so that a smaller rate comes slowly; ours, from the same gradients, obeys at once."""
    variable = keras.Variable(np.zeros(1), dtype="float64")
    optimizer = keras.optimizers.SGD(learning_rate=1.0, momentum=0.5, nesterov=False)
    moves = []
    for rate in (1.0, 0.0):
        optimizer.learning_rate = rate
        before = variable.numpy().copy()
        optimizer.apply([tf.constant([1.0], tf.float64)], [variable])
        moves.append((variable.numpy() - before).item())
    assert moves == pytest.approx([-1.0, -0.5])
    settings = Momentum(learning_rate=1.0, momentum=0.5, steps=Steps((1,), (0.0,)))

    class Model:
        network = type("Network", (), {"trainable_variables": [tf.Variable(np.zeros(1))]})

    ours = OurMomentum(Update("train", "loss", ("network",), (), None, settings), Model)
    for expected in (-1.0, -1.0):
        ours.apply([tf.constant([1.0], tf.float64)])
        assert ours.parameters[0].numpy().item() == expected


def test_keras_adam_default_epsilon():
    assert inspect.signature(keras.optimizers.Adam).parameters["epsilon"].default == 1e-7


def test_leaky_relu_slope_is_a_float32_attribute():
    x = tf.constant([-1.0], tf.float64)
    assert abs(tf.nn.leaky_relu(x, alpha=0.2).numpy()[0] + 0.2) > 1e-9
    assert leaky_relu(x, 0.2).numpy()[0] == -0.2


def test_keras_leaky_relu_default_slope():
    assert keras.layers.LeakyReLU()(np.array([-1.0], "float32")).numpy()[0] == np.float32(-0.3)


def test_dense_keeps_in_out():
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    assert tuple(layer.kernel.shape) == (3, 2)
    assert not layer.bias.numpy().any()  # and starts with zero biases


def test_xla_draws_other_numbers_than_eager():
    def draw():
        return tf.random.stateless_normal((4,), [1, 2])

    assert not np.allclose(draw().numpy(), tf.function(draw, jit_compile=True)().numpy())


def test_xla_keeps_32_bits_of_each_half_of_a_seed():
    @tf.function(jit_compile=True)
    def draw(seed):
        return tf.random.stateless_normal((4,), seed)

    seeds = [tf.constant([first, 2], tf.int64) for first in (5, 5 + 2**32)]
    assert np.array_equal(draw(seeds[0]), draw(seeds[1]))
    eager = [tf.random.stateless_normal((4,), seed) for seed in seeds]
    assert not np.array_equal(eager[0], eager[1])


def test_xla_multiplies_by_a_reciprocal():
    """x / 255 is compiled to x * (1 / 255): many pixels differ in the last bit, none by more."""
    x = np.arange(256, dtype=np.float32)
    compiled = tf.function(lambda v: v / 255, jit_compile=True)(tf.constant(x)).numpy()
    assert (compiled != x / np.float32(255)).sum() > 50
    assert compiled == pytest.approx(x / 255, rel=2e-7)


def test_build_alone_creates_no_variables():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.fc0 = keras.layers.Dense(2)

        def call(self, x):
            return self.fc0(x)

    model = Model()
    with pytest.warns(UserWarning, match="does not have a `build\\(\\)` method implemented"):
        model.build((None, 3))
    assert model.trainable_variables == []
    model(keras.Input((3,)))
    assert len(model.trainable_variables) == 2


def test_same_padding_puts_the_odd_zero_last():
    """With stride 2 and an even width, "same" pads (0, 1) where a padding of 1 pads (1, 1)."""
    x = tf.reshape(tf.range(4.0), (1, 4, 1, 1))
    kernel = tf.constant([1.0, 0.0, 0.0], shape=(3, 1, 1, 1))  # picks the first pixel of each window
    same = tf.nn.conv2d(x, kernel, strides=(2, 1), padding="SAME")
    explicit = tf.nn.conv2d(tf.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0))), kernel, strides=(2, 1), padding="VALID")
    assert tf.reshape(same, -1).numpy().tolist() == [0, 2]
    assert tf.reshape(explicit, -1).numpy().tolist() == [0, 1]


def test_kernels_of_convolutions():
    conv, transposed = keras.layers.Conv2D(16, 3), keras.layers.Conv2DTranspose(16, 3)
    for layer in (conv, transposed):
        layer.build((None, 5, 5, 8))
    assert tuple(conv.kernel.shape) == (3, 3, 8, 16)  # in, out
    assert tuple(transposed.kernel.shape) == (3, 3, 16, 8)  # out, in


def test_leaky_relu_has_its_slope_at_zero():
    x = tf.Variable(0.0)
    with tf.GradientTape() as tape:
        y = tf.nn.leaky_relu(x, 0.25)
    assert tape.gradient(y, x).numpy() == 0.25


def test_batch_norm_weighs_the_old_and_keeps_a_biased_variance():
    layer, x = keras.layers.BatchNormalization(), np.array([[0.0], [1.0], [2.0], [3.0]], np.float32)
    assert (layer.momentum, layer.epsilon) == (0.99, 1e-3)
    layer(x, training=True)
    assert layer.moving_mean.numpy().item() == pytest.approx(0.01 * 1.5)
    assert layer.moving_variance.numpy().item() == pytest.approx(0.99 + 0.01 * 5 / 4)  # the sum of squares, 5, over n


def test_flattening_in_nhwc_is_caught(train):
    """The same shape, other columns of the dense layer's weight."""
    planted = with_text("tensorflow", get("infogan"), "tf.reshape(to_nchw(h),", "tf.reshape(h,")
    assert failure(get("infogan").training.twin, train, planted).name == "forward"


def test_tensorflow_leaky_relu_default_slope():
    assert tf.nn.leaky_relu(tf.constant(-1.0)).numpy() == np.float32(-0.2)


def test_max_pool_steps_by_its_kernel_and_same_puts_the_odd_one_last():
    x = -np.ones((1, 4, 4, 1), np.float32)
    assert tuple(keras.layers.MaxPooling2D(2)(x).shape) == (1, 2, 2, 1)
    assert (keras.layers.MaxPooling2D(3, padding="same")(x).numpy() == -1).all()  # a padding of zeros would win
    x = np.arange(6, dtype=np.float32).reshape(1, 6, 1)
    assert keras.layers.MaxPooling1D(3, 2, "same")(x).numpy().flatten().tolist() == [2, 4, 5]


def test_dropout_scales_what_it_keeps_and_is_off_by_default():
    """The layer; the function in tf.nn has no mode, and is always on."""
    x = np.ones(1000, np.float32)
    assert np.array_equal(keras.layers.Dropout(0.75)(x), x)
    for y in (keras.layers.Dropout(0.75)(x, training=True), tf.nn.dropout(x, 0.75)):
        assert set(y.numpy()) == {0, 4}


def test_keras_clips_probabilities():
    """Where the sigmoid saturates, the true loss is 200; Keras stops at -log(1e-7)."""
    logit, target = tf.constant([200.0], tf.float64), tf.constant([0.0], tf.float64)
    assert keras.losses.binary_crossentropy(target, tf.sigmoid(logit)).numpy() == pytest.approx(-np.log(1e-7), rel=1e-6)
    assert tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logit).numpy() == 200


def test_log_of_a_probability_plus_epsilon_loses_the_gradient():
    """Of a fake that D takes for real with a logit of 20, in float32: the true loss is 20 and its slope 1."""
    logit = tf.Variable(20.0)
    with tf.GradientTape() as tape:
        loss = -tf.math.log(1 - tf.sigmoid(logit) + 1e-8)
    assert loss.numpy() == pytest.approx(-np.log(1e-8), rel=1e-6)
    assert tape.gradient(loss, logit).numpy() == 0


@pytest.mark.parametrize("jit_compile", [False, True])
def test_an_epsilon_is_compiled_away(jit_compile):
    """Grappler and XLA add numbers that are known before they run: (1 - p) + 1e-8 is (1 + 1e-8) - p, in float32 1 - p."""

    def loss(p):
        return -tf.math.log(1 - p + 1e-8)

    def kept(p):
        return -tf.math.log(complement(p) + 1e-8)

    certain = tf.ones(3)
    assert loss(certain).numpy() == pytest.approx(-np.log(1e-8), rel=1e-6)
    assert (tf.function(loss, jit_compile=jit_compile, autograph=False)(certain).numpy() == np.inf).all()
    found = tf.function(kept, jit_compile=jit_compile, autograph=False)(certain).numpy()
    assert found == pytest.approx(-np.log(1e-8), rel=1e-6)


def test_keras_averages_over_the_last_axis_and_tensorflow_not_at_all():
    logits, target = tf.ones((2, 3), tf.float64), tf.zeros((2, 3), tf.float64)
    each = np.log1p(np.e)
    assert tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logits).numpy() == pytest.approx(
        np.full((2, 3), each)
    )
    function, object_ = (
        keras.losses.binary_crossentropy,
        keras.losses.BinaryCrossentropy(from_logits=True, dtype="float64"),
    )
    assert function(target, logits, from_logits=True).numpy() == pytest.approx([each, each])
    assert object_(target, logits).numpy() == pytest.approx(each)


def test_dense_draws_weights_by_glorot():
    layer = keras.layers.Dense(400)
    layer.build((None, 784))
    assert 0.97 < np.abs(layer.kernel.numpy()).max() / np.sqrt(6 / (784 + 400)) <= 1


def test_same_cuts_the_end_of_a_transposed_convolution():
    """One pixel in, stride 2: the whole kernel comes out, or what is left of it when one pixel is cut at the end. A padding of
    1 in PyTorch leaves the middle."""
    found = {}
    for padding in ("valid", "same"):
        layer = keras.layers.Conv1DTranspose(1, 3, strides=2, padding=padding, use_bias=False)
        layer.build((None, 1, 1))
        layer.kernel.assign(np.array([1, 2, 3]).reshape(3, 1, 1))
        found[padding] = layer(np.ones((1, 1, 1), np.float32)).numpy().flatten().tolist()
    assert found == {"valid": [1, 2, 3], "same": [1, 2]}


def test_output_padding_beside_same_changes_nothing():
    """Of 1, 2, 3, 4, 5 a padding of 2 and an output padding of 1 leave 3, 4 in PyTorch."""
    found = []
    for output_padding in (None, 1):
        options = {"strides": 2, "padding": "same", "output_padding": output_padding, "use_bias": False}
        layer = keras.layers.Conv1DTranspose(1, 5, **options)
        layer.build((None, 1, 1))
        layer.kernel.assign(np.arange(1.0, 6).reshape(5, 1, 1))
        found.append(layer(np.ones((1, 1, 1), np.float32)).numpy().flatten().tolist())
    assert found == [[2, 3], [2, 3]]


def test_an_abort_within_the_import_keeps_its_message():
    """What TensorFlow says where it needs instructions that the processor lacks; only CUDA's notices are dropped."""
    code = """
import os, sys
class Abort:
    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow":
            os.write(2, b"I0000 cudart_stub.cc:31] Could not find cuda drivers\\nF0000 compiled to use AVX instructions\\n")
            os.abort()
sys.meta_path.insert(0, Abort())
from backends import load
from common.specs import get
load("tensorflow", get("vae"))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGABRT, "F0000 compiled to use AVX instructions\n")


STRATEGY = """
import json, os, signal, socket, time
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
cluster = {"cluster": {"worker": [f"127.0.0.1:{port}"]}, "task": {"type": "worker", "index": 0}}
os.environ["TF_CONFIG"] = json.dumps(cluster)
from backends.tensorflow import process
import tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
"""


def with_strategy(script):
    """A process that makes a strategy, of itself alone, and goes on with `script`."""
    command = [sys.executable, "-c", STRATEGY + script]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_a_strategy_takes_sigterm_until_it_is_put_back():
    end = "os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.5); print('alive', flush=True)\n"
    back = "signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))\n"
    result = with_strategy(end + back + end)
    assert (result.returncode, result.stdout) == (-signal.SIGTERM, "alive\n"), result.stderr


def test_an_argument_cannot_be_reduced():
    function = """
def reduced(change):
    def one(x):
        return tf.distribute.get_replica_context().all_reduce("sum", change(x))
    return tf.function(lambda x: strategy.run(one, args=(x,)), autograph=False)
print(reduced(tf.identity)(tf.constant(3.0)).numpy())
try:
    reduced(lambda x: x)(tf.constant(3.0))
except ValueError as error:
    print(error)
"""
    result = with_strategy(function)
    assert result.stdout == "3.0\ndestinations can not be empty\n", result.stderr
