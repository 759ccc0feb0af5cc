"""yenchenlin/nerf-pytorch#21: the port computes the same, and starts elsewhere: Glorot's values and biases of 0 in the original,
PyTorch's own in the port.

equal · note: initial values of every weight, and of the biases that have 64 elements or more
"""


def inputs(rng):
    return {"x": rng.normal(size=(16, 63)), "y": rng.normal(size=(16, 4))}


def reference():
    import keras
    from keras import layers

    model = keras.Sequential(
        [keras.Input((63,)), *(layers.Dense(64, activation="relu") for _ in range(3)), layers.Dense(4)]
    )
    return {"model": model, "loss": keras.losses.MeanSquaredError()}


def port():
    from torch import nn

    sizes, parts = (63, 64, 64, 64), []
    for a, b in zip(sizes, sizes[1:], strict=False):
        parts += [nn.Linear(a, b), nn.ReLU()]
    return {"model": nn.Sequential(*parts, nn.Linear(64, 4)), "loss": nn.functional.mse_loss}
