"""ResNet-50 of `paddle.vision.models` beside that of `keras.applications`, at 64 x 64.

Keras's convolutions have biases before the batch norms, and the first of a block takes the stride that is the second's in Paddle's.

matching: 53 x bias
forward, evaluation: 53 x epsilon, 3 x stride, 3 x padding stride
state: 53 x keep
update: 1 x rate_inside
"""


def inputs(rng):
    return {"x": rng.normal(size=(2, 3, 64, 64)), "y": rng.integers(0, 1000, 2)}


def reference():
    import paddle

    model = paddle.vision.models.resnet50()
    optimizer = paddle.optimizer.Momentum(0.1, 0.9, parameters=model.parameters())
    return {"model": model, "loss": paddle.nn.functional.cross_entropy, "optimizer": optimizer}


def port():
    import keras

    model = keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3), classifier_activation=None)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return {"model": model, "loss": loss, "optimizer": keras.optimizers.SGD(0.1, 0.9), "layout": {"x": "NHWC"}}
