"""keras-team/keras#19291: a convolution of stride 2 with padding "same" pads at the end where PyTorch's padding=1 pads on both sides.

layer: 0 · cause: padding
"""


def inputs(rng):
    return {"x": rng.normal(size=(4, 3, 16, 16))}


def reference():
    from torch import nn

    return {"model": nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1))}


def port():
    import keras
    from keras import layers

    model = keras.Sequential([
        keras.Input((16, 16, 3)),
        layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2D(4, 3, padding="same"),
    ])  # fmt: skip
    return {"model": model, "layout": {"x": "NHWC", "output": "NHWC"}}
