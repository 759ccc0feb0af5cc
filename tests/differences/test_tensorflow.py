"""docs/differences.md, the entries that TensorFlow and Keras show by themselves."""

import inspect

import numpy as np
import pytest

from backends.tensorflow import engine  # first: it sets what Keras reads at its import

import keras  # isort: skip
import tensorflow as tf  # isort: skip

from common.reference.adam import adam_update
from common.specs import get
from common.specs.records import Adam, Update
from tests.backend.test_sabotage import failure, with_text

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

    optimizer = engine.Adam(Update("train", "loss", ("network",), (), None, ADAM), Model)
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


def test_keras_adam_default_epsilon():
    assert inspect.signature(keras.optimizers.Adam).parameters["epsilon"].default == 1e-7


def test_leaky_relu_slope_is_a_float32_attribute():
    x = tf.constant([-1.0], tf.float64)
    assert abs(tf.nn.leaky_relu(x, alpha=0.2).numpy()[0] + 0.2) > 1e-9
    assert tf.where(x > 0, x, 0.2 * x).numpy()[0] == -0.2


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


def test_flattening_in_nhwc_is_caught(images):
    """The same shape, other columns of the dense layer's weight."""
    planted = with_text("tensorflow", get("infogan"), "tf.reshape(to_nchw(h),", "tf.reshape(h,")
    assert failure(get("infogan"), images, planted).name == "forward"
