"""One layer as users of Paddle would write it, for the file that shows a difference without us."""

from paddle import nn

from backends.paddle.probe.layers import Known

# {class: {argument: attribute}}; positional ones first, with numbers for names.
CONV = {0: "_in_channels", 1: "_out_channels", 2: "_kernel_size", "stride": "_stride", "padding": "_padding", "dilation": "_dilation", "groups": "_groups", "data_format": "_data_format"}  # fmt: skip
POOL = {0: "ksize", "stride": "stride", "padding": "padding", "ceil_mode": "ceil_mode", "data_format": "data_format"}
NORM = {0: "_num_features", "momentum": "_momentum", "epsilon": "_epsilon", "data_format": "_data_format"}
MADE = {
    nn.Conv1D: CONV, nn.Conv2D: CONV, nn.Conv3D: CONV,
    nn.Conv1DTranspose: CONV | {"output_padding": "output_padding"},
    nn.Conv2DTranspose: CONV | {"output_padding": "output_padding"},
    nn.BatchNorm1D: NORM, nn.BatchNorm2D: NORM, nn.BatchNorm3D: NORM,
    nn.LayerNorm: {0: "_normalized_shape", "epsilon": "_epsilon"},
    nn.GroupNorm: {0: "_num_groups", 1: "_num_channels", "epsilon": "_epsilon", "data_format": "_data_format"},
    nn.MaxPool2D: POOL, nn.AvgPool2D: POOL | {"exclusive": "exclusive"},
    nn.GELU: {"approximate": "_approximate"}, nn.LeakyReLU: {"negative_slope": "_negative_slope"}, nn.ELU: {"alpha": "_alpha"},
    nn.Softplus: {"beta": "_beta", "threshold": "_threshold"}, nn.Hardsigmoid: {}, nn.Hardswish: {}, nn.Silu: {}, nn.ReLU: {},
    nn.ReLU6: {}, nn.Sigmoid: {}, nn.Tanh: {}, nn.Softmax: {"axis": "_axis"}, nn.Flatten: {},
}  # fmt: skip


def source(one: Known, dtype: str, training: bool) -> list[str]:
    """Lines that leave the layer's output in `y`, see common.probing; none where few lines cannot."""
    kind, about = type(one.module), MADE.get(type(one.module))
    if kind is nn.Linear:
        words = [str(size) for size in one.module.weight.shape]
    elif kind is nn.Embedding:
        words = [str(size) for size in one.module.weight.shape] + [f"padding_idx={one.settings['padding']!r}"]
    elif about is None or not all(hasattr(one.module, name) for name in about.values()):
        return []
    else:
        values = {name: getattr(one.module, attribute) for name, attribute in about.items()}
        words = [repr(value) if isinstance(name, int) else f"{name}={value!r}" for name, value in values.items()]
    if one.tensors and "bias" not in one.tensors:
        words.append("bias_attr=False")
    tensors = [
        f"layer.{held.name}.set_value(data[{role!r}]{'.T' if held.turned else ''})"
        for role, held in one.tensors.items()
    ]
    turned = one.last
    return [
        "import paddle",
        "from paddle import nn",
        f"paddle.set_default_dtype({dtype!r})",
        f"layer = nn.{kind.__name__}({', '.join(words)})",
        *tensors,
        "layer.train()" if training else "layer.eval()",
        f"x = paddle.to_tensor({'''np.moveaxis(data['x0'], 1, -1)''' if turned else '''data['x0']'''})",
        "y = layer(x).numpy()",
        *(["y = np.moveaxis(y, -1, 1)"] if turned else []),
    ]
