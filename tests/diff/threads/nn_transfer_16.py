"""gzuidhof/nn-transfer#16: what follows a flattened picture sees rows, columns, channels in Keras, channels first in PyTorch.

layer: 1 · cause: order
"""


def inputs(rng):
    return {"x": rng.normal(size=(4, 3, 8, 8))}


def reference():
    from torch import nn

    return {"model": nn.Sequential(nn.Conv2d(3, 6, 3), nn.Flatten(), nn.Linear(6 * 6 * 6, 10))}


def port():
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(6, 3), layers.Flatten(), layers.Dense(10)])
    return {"model": model, "layout": {"x": "NHWC"}}
