"""VGG-16 without its classifier, of `paddle.vision.models` beside that of `keras.applications`, at 32 x 32.

equal
"""


def inputs(rng):
    return {"x": rng.normal(size=(2, 3, 32, 32)), "y": rng.normal(size=(2, 512, 1, 1))}


def reference():
    import paddle

    model = paddle.vision.models.vgg16(num_classes=0, with_pool=False)
    optimizer = paddle.optimizer.SGD(0.01, model.parameters())
    return {"model": model, "loss": paddle.nn.functional.mse_loss, "optimizer": optimizer}


def port():
    import keras

    model = keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
    layout = {"x": "NHWC", "y": "NHWC", "output": "NHWC"}
    return {
        "model": model,
        "loss": keras.losses.MeanSquaredError(),
        "optimizer": keras.optimizers.SGD(0.01),
        "layout": layout,
    }
