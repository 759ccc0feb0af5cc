"""The networks of zoo.py in Keras, channels last, as TensorFlow has them."""

import keras
from keras import layers as kl
from keras import ops
from zoo import pads


def activation(s):
    name, numbers = s["name"], {k: v for k, v in s.items() if k != "name"}
    match name:
        case "leaky_relu":
            return kl.LeakyReLU(negative_slope=numbers["slope"])
        case "elu":
            return kl.ELU(alpha=numbers.get("alpha", 1.0))
        case "softmax":
            return kl.Softmax(axis=numbers["axis"])
        case "gelu":
            return kl.Activation(lambda x: keras.activations.gelu(x, approximate=numbers["approximate"]))
        case "softplus" if numbers.get("beta", 1.0) != 1.0:
            return kl.Activation(lambda x: keras.activations.softplus(numbers["beta"] * x) / numbers["beta"])
        case "hard_swish":
            return kl.Activation("hard_silu")
    return kl.Activation(name)


def layer(op, s, shape, last):
    """Layers, one after the other. `last`: whether what comes in is an image."""
    match op:
        case "affine":
            return [kl.Rescaling(s["factor"], s["shift"])]
        case "flow":
            k = s["factor"]
            return [kl.Lambda(lambda x: ops.stop_gradient(x) if k == 0 else x + (k - 1) * (x - ops.stop_gradient(x)))]
        case "conv" | "pool":
            return _windowed(op, s, shape)
        case "conv_transpose":
            return _transposed(s, shape)
        case "batch_norm":
            return [kl.BatchNormalization(epsilon=s["epsilon"], momentum=s["keep"])]
        case "group_norm":
            return [kl.GroupNormalization(groups=s["groups"], epsilon=s["epsilon"])]
        case "instance_norm":
            return [kl.GroupNormalization(groups=-1, epsilon=s["epsilon"])]
        case "layer_norm":
            return [kl.LayerNormalization(epsilon=s["epsilon"])]
        case "rms_norm":
            return [kl.RMSNormalization(epsilon=s["epsilon"])]
        case "activation":
            return [activation(s)]
        case "flatten":
            turn = [kl.Permute((3, 1, 2))] if s["order"] == "channels_first" else []
            return [*turn, kl.Flatten()]
        case "reshape":
            c, h, w = s["shape"]
            return [kl.Reshape((c, h, w)), kl.Permute((2, 3, 1))] if s["order"] == "channels_first" else [kl.Reshape((h, w, c))]  # fmt: skip
        case "dense":
            return [kl.Dense(s["out"], use_bias=s["bias"])]
        case "dropout":
            return [kl.Dropout(s["rate"])]
        case "embedding":
            return [kl.Embedding(s["count"], s["out"])]
        case "gru":
            return [kl.GRU(s["out"], return_sequences=True, reset_after=s["reset_after"])]
        case "lstm":
            return [kl.LSTM(s["out"], return_sequences=True)]
        case "attention":
            return [kl.MultiHeadAttention(s["heads"], shape[-1] // s["heads"])]
        case "resize":
            return [kl.UpSampling2D(s["scale"], interpolation={"nearest": "nearest", "linear": "bilinear"}[s["mode"]])]
    raise KeyError(op)


def _windowed(op, s, shape):
    """Padding as Keras's "same", where that is the same, else by a layer of its own."""
    (before, after), n = pads(s["padding"], 1)[0], shape[1]
    window = s.get("dilation", 1) * (s["size"] - 1) + 1
    total = max((-(-n // s["stride"]) - 1) * s["stride"] + window - n, 0)
    same = (before, after) == (total // 2, total - total // 2)
    ahead = [] if same or not before + after else [kl.ZeroPadding2D(((before, after), (before, after)))]
    padding = "same" if same and total else "valid"
    if op == "pool":
        kind = kl.MaxPooling2D if s["op"] == "max" else kl.AveragePooling2D
        return [*ahead, kind(s["size"], s["stride"], padding)]
    return [*ahead, kl.Conv2D(s["out"], s["size"], s["stride"], padding, dilation_rate=s["dilation"], groups=s["groups"], use_bias=s["bias"])]  # fmt: skip


def _transposed(s, shape):
    """Keras's own padding leaves n * stride + more; it cuts what is odd at the end."""
    (before, after), n = pads(s["padding"], 1)[0], shape[1]
    size, stride, more = s["size"], s["stride"], s["more"]
    out = (n - 1) * stride + size - before - after + more
    same = out == n * stride and max(size - stride, 0) // 2 == before
    if same:
        return [kl.Conv2DTranspose(s["out"], size, stride, "same", use_bias=s["bias"])]
    crop = kl.Cropping2D(((before, after - more), (before, after - more)))
    return [kl.Conv2DTranspose(s["out"], size, stride, "valid", use_bias=s["bias"]), crop]


def build(spec):
    shapes, nodes = spec["shapes"], spec["nodes"]
    shape = spec["inputs"]["x"][1]
    image = len(shape) == 3
    x = inputs = keras.Input((*shape[1:], shape[0]) if image else shape, dtype="int64" if spec["inputs"]["x"][0] == "tokens" else None)  # fmt: skip
    seen, made = {}, {}
    for name, op, s in nodes:
        if op == "affine" and (s["factor"], s["shift"]) == (1, 0) or op == "flow" and s["factor"] == 1:
            continue
        if op == "add":
            x = kl.Add(name=name)([x, seen[s["of"]]])
        elif op == "last":
            x = x[:, -1]
        else:
            parts = layer(op, s, shapes[name], len(shapes[name]) == 3)
            for k, one in enumerate(parts):
                is_main = isinstance(one, MAIN) or len(parts) == 1
                one.name = name if is_main else f"{name}_{k}"
                if is_main:
                    made[name] = one
                x = one(x, x) if isinstance(one, kl.MultiHeadAttention) else one(x)
        seen[name] = x
    for name in spec.get("frozen", ()):
        made[name].trainable = False
    for name, op, s in nodes:
        if op == "batch_norm" and s["frozen"]:
            made[name].trainable = False
    model = keras.Model(inputs, x)
    channels = {key: "NHWC" for key, one in spec["inputs"].items() if len(one[1]) == 3}
    if len(x.shape) == 4:
        channels["output"] = "NHWC"
    return {"model": model, "loss": loss(spec["loss"]), "optimizer": optimizer(spec["optimizer"]), "layout": channels}


MAIN = (kl.Conv2D, kl.Conv2DTranspose, kl.MaxPooling2D, kl.AveragePooling2D, kl.Flatten, kl.Reshape)


def loss(s):
    kl_, reduction = keras.losses, {"mean": "sum_over_batch_size", "batch": "sum", "sum": "sum"}[s["reduction"]]

    def function(output, y):
        match s["name"]:
            case "cross_entropy":
                one = kl_.CategoricalCrossentropy(from_logits=s["takes"] == "logits", label_smoothing=s["smoothing"], reduction=reduction)  # fmt: skip
                value = one(ops.one_hot(y, output.shape[-1], dtype=output.dtype), output)
            case "bce":
                value = kl_.BinaryCrossentropy(from_logits=False, reduction=reduction)(y, output)
            case _:
                value = kl_.MeanSquaredError(reduction=reduction)(y, output)
        return s["factor"] * (value / len(output) if s["reduction"] == "batch" else value)

    return function


def optimizer(s):
    o, rate = keras.optimizers, s["rate"]
    more = {"weight_decay": s["decay"]} if s.get("decay") else {}
    if clip := s.get("clip"):
        more |= {{"norm": "clipnorm", "global_norm": "global_clipnorm", "value": "clipvalue"}[clip["kind"]]: clip["value"]}  # fmt: skip
    match s["name"]:
        case "adam":
            kind = o.AdamW if s["decoupled"] and s["decay"] else o.Adam
            return kind(rate, beta_1=s["beta1"], beta_2=s["beta2"], epsilon=s["epsilon"], amsgrad=s.get("amsgrad", False), **more)  # fmt: skip
        case "sgd":
            return o.SGD(rate, momentum=s["momentum"], nesterov=s["nesterov"], **more)
        case "rmsprop":
            return o.RMSprop(rate, rho=s["keep"], momentum=s["momentum"], epsilon=s["epsilon"], centered=s["centered"], **more)  # fmt: skip
        case "adagrad":
            return o.Adagrad(rate, initial_accumulator_value=s["start"], epsilon=s["epsilon"], **more)
    raise KeyError(s["name"])
