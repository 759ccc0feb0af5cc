"""What TensorFlow's users load: Keras's own files of weights, one a network."""

import warnings

DTYPE = '"{dtype}"'

EXAMPLE = """\
import os

os.environ["KERAS_BACKEND"] = "tensorflow"
import numpy as np
import tensorflow as tf

from model import create, {job}

model = create()
for network in {networks}:
    getattr(model, network).load_weights(f"{{network}}.weights.h5")

random = np.random.default_rng(0)
{given}
given = {{name: tf.constant(value) for name, value in given.items()}}
images = {job}(model, given, {{}}) if "images" in given else {job}(model, given)
images = images.numpy()
print(images.shape)
"""


def save(column, folder):
    with warnings.catch_warnings():
        # Keras's own writer turns variables into arrays by NumPy's former protocol.
        warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy keyword", DeprecationWarning)
        for network in column.spec.networks:
            getattr(column.state.model, network.name).save_weights(folder / f"{network.name}.weights.h5")
