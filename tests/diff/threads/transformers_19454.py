"""huggingface/transformers#19454: a batch norm's momentum of 0.9 is the share that stays in Keras and the share that comes in PyTorch:
outputs, losses and gradients are the same in training, and only the running statistics differ. PyTorch also takes in n / (n - 1)
times the variance, which Keras does not.

layer: batch_normalization · cause: keep unbiased
"""


def inputs(rng):
    return {"x": rng.normal(size=(8, 3, 6, 6)), "y": rng.normal(size=(8, 4, 6, 6))}


def reference():
    import keras
    from keras import layers

    model = keras.Sequential([
        keras.Input((6, 6, 3)),
        layers.Conv2D(4, 3, padding="same"),
        layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
    ])  # fmt: skip
    return {
        "model": model,
        "loss": keras.losses.MeanSquaredError(),
        "layout": dict.fromkeys(("x", "y", "output"), "NHWC"),
    }


def port():
    from torch import nn

    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4, momentum=0.9, eps=1e-5))
    return {"model": model, "loss": nn.functional.mse_loss}
