"""DenseNet-121 of `paddle.vision.models` beside that of `keras.applications`, neither with weights, at 64 x 64.

Keras's pads the stem's input with a layer, and joins with layers: no difference. Its batch norm's ε is 1.001e-5, Paddle's 1e-5.

forward, evaluation: 121 x epsilon
state: 121 x keep
update: 1 x rate_inside
"""


def inputs(rng):
    return {"x": rng.normal(size=(2, 3, 64, 64)), "y": rng.integers(0, 1000, 2)}


def reference():
    import paddle

    model = paddle.vision.models.densenet121()
    optimizer = paddle.optimizer.Momentum(0.1, 0.9, parameters=model.parameters())
    return {"model": model, "loss": paddle.nn.functional.cross_entropy, "optimizer": optimizer}


def port():
    import keras

    model = keras.applications.DenseNet121(weights=None, input_shape=(64, 64, 3), classifier_activation=None)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return {"model": model, "loss": loss, "optimizer": keras.optimizers.SGD(0.1, 0.9), "layout": {"x": "NHWC"}}
