"""MobileNetV2 of `paddle.vision.models` beside that of `keras.applications`, at 64 x 64.

Only Paddle's has a dropout before its classifier.

forward, evaluation: 52 x epsilon, 5 x padding
forward, training: 1 x dropout
state: 52 x keep
update: 1 x rate_inside
"""


def inputs(rng):
    return {"x": rng.normal(size=(2, 3, 64, 64)), "y": rng.integers(0, 1000, 2)}


def reference():
    import paddle

    model = paddle.vision.models.mobilenet_v2()
    optimizer = paddle.optimizer.Momentum(0.1, 0.9, parameters=model.parameters())
    return {"model": model, "loss": paddle.nn.functional.cross_entropy, "optimizer": optimizer}


def port():
    import keras

    model = keras.applications.MobileNetV2(weights=None, input_shape=(64, 64, 3), classifier_activation=None)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return {"model": model, "loss": loss, "optimizer": keras.optimizers.SGD(0.1, 0.9), "layout": {"x": "NHWC"}}
