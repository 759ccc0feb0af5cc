"""One layer as users of Keras would write it, for the file that shows a difference without us."""

import keras

from backends.tensorflow.probe.known import ACTIVATED, Known

# Of a canonical array, what Keras's variable is: kernels of convolutions have (O, I), or (I, O), last and turned round.
KERNEL = {
    "dense": "{}.T",
    "conv": "np.moveaxis({}, (0, 1), (-1, -2))",
    "conv_transpose": "np.moveaxis({}, (0, 1), (-1, -2))",
}
KINDS = (*ACTIVATED, "embedding", "batch_norm", "layer_norm", "group_norm", "rms_norm", "pool", "adaptive_pool", "activation", "resize", "flatten", "pad")  # fmt: skip
LEFT_OUT = ("name", "trainable", "dtype", "activity_regularizer", "quantization_config", "build_config")


def source(one: Known, dtype: str, training: bool) -> list[str]:
    """Lines that leave the layer's output in `y`, see common.probing; none where few lines cannot."""
    kind = type(one.layer)
    if one.kind not in KINDS or getattr(keras.layers, kind.__name__, None) is not kind or "Depthwise" in kind.__name__:
        return []
    about = {
        name: value
        for name, value in one.layer.get_config().items()
        if name not in LEFT_OUT and not name.endswith(("_initializer", "_regularizer", "_constraint"))
    }
    if one.kind in ACTIVATED:
        about["activation"] = None
    if not all(isinstance(value, (bool, int, float, str, tuple, list, type(None))) for value in about.values()):
        return []
    roles = {id(weight.variable): role for role, weight in one.tensors.items()}
    weights = [roles.get(id(variable)) for variable in one.layer.weights]
    if None in weights:
        return []
    form = KERNEL.get(one.kind, "{}")
    values = ", ".join((form if role == "weight" else "{}").format(f"data[{role!r}]") for role in weights)
    given = ", ".join(f"{name}={value!r}" for name, value in about.items())
    turned = one.channels == -1
    return [
        "import keras",
        f"keras.config.set_floatx({dtype!r})",
        f"layer = keras.layers.{kind.__name__}({given})",
        f"x = {'''np.moveaxis(data['x0'], 1, -1)''' if turned else '''data['x0']'''}",
        "layer.build(x.shape)",
        *([f"layer.set_weights([{values}])"] if weights else []),
        f"y = layer(x{f', training={training}' if one.kind == 'batch_norm' else ''}).numpy()",
        *(["y = np.moveaxis(y, -1, 1)"] if turned and one.kind != "flatten" else []),
    ]
