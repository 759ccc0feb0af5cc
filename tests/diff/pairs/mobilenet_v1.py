"""MobileNet without its classifier, of `paddle.vision.models` beside that of `keras.applications`, at 64 x 64.

Paddle's has ReLU where Keras's has ReLU6, and pads both sides at stride 2 where Keras's pads the end.

forward, evaluation: 27 x epsilon, 27 x name, 5 x padding
state: 27 x keep
"""


def inputs(rng):
    return {"x": rng.normal(size=(2, 3, 64, 64)), "y": rng.normal(size=(2, 1024, 2, 2))}


def reference():
    import paddle

    model = paddle.vision.models.mobilenet_v1(num_classes=0, with_pool=False)
    optimizer = paddle.optimizer.SGD(0.01, model.parameters())
    return {"model": model, "loss": paddle.nn.functional.mse_loss, "optimizer": optimizer}


def port():
    import keras

    model = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(64, 64, 3))
    layout = {"x": "NHWC", "y": "NHWC", "output": "NHWC"}
    return {
        "model": model,
        "loss": keras.losses.MeanSquaredError(),
        "optimizer": keras.optimizers.SGD(0.01),
        "layout": layout,
    }
