"""The networks of zoo.py in Flax's nnx, channels last; what has no parameters is a plain function, as its users write it."""

import jax
import optax
from flax import nnx
from jax import numpy as jnp
from zoo import pads

ACTIVATIONS = {
    "relu": nnx.relu, "relu6": nnx.relu6, "silu": nnx.silu, "sigmoid": nnx.sigmoid, "tanh": nnx.tanh, "hard_sigmoid": nnx.hard_sigmoid, "hard_swish": nnx.hard_swish,
    "selu": nnx.selu, "leaky_relu": lambda x, slope: nnx.leaky_relu(x, slope), "elu": lambda x, alpha=1.0: nnx.elu(x, alpha),
    "gelu": lambda x, approximate: nnx.gelu(x, approximate), "softplus": lambda x, beta=1.0: nnx.softplus(beta * x) / beta,
    "softmax": lambda x, axis: nnx.softmax(x, axis), "log_softmax": lambda x, axis: nnx.log_softmax(x, axis),
}  # fmt: skip


def _flow(factor):
    stop = jax.lax.stop_gradient
    return lambda x: stop(x) if factor == 0 else x + (factor - 1) * (x - stop(x))


def _scores(scale, width):
    """Attention whose scores are divided by another number than the root of a head's size, which Flax's own divides by."""

    def attend(query, key, value, **about):
        factor = query.shape[-1] ** 0.5 * (1.0 if scale == "none" else width**-0.5)
        return nnx.dot_product_attention(query * factor, key, value, **about)

    return nnx.dot_product_attention if scale == "root" else attend


def layer(op, s, shape, rngs):
    """A module, or a plain function."""
    match op:
        case "affine":
            return lambda x: s["factor"] * x + s["shift"]
        case "flow":
            return _flow(s["factor"])
        case "conv":
            return nnx.Conv(shape[0], s["out"], (s["size"],) * 2, (s["stride"],) * 2, padding=pads(s["padding"], 2), kernel_dilation=s["dilation"], feature_group_count=s["groups"], use_bias=s["bias"], rngs=rngs)  # fmt: skip
        case "pool":
            about = {"window_shape": (s["size"],) * 2, "strides": (s["stride"],) * 2, "padding": pads(s["padding"], 2)}
            if s["ceil"]:
                about["padding"] = "SAME"
            return (lambda x: nnx.max_pool(x, **about)) if s["op"] == "max" else (lambda x: nnx.avg_pool(x, count_include_pad=s["counted"], **about))  # fmt: skip
        case "conv_transpose":
            # What is added to the input spread apart.
            added = [(s["size"] - 1 - before, s["size"] - 1 - after + s["more"]) for before, after in pads(s["padding"], 2)]  # fmt: skip
            if s["turned"]:
                return nnx.ConvTranspose(shape[0], s["out"], (s["size"],) * 2, (s["stride"],) * 2, padding=added, use_bias=s["bias"], rngs=rngs)  # fmt: skip
            return nnx.ConvTranspose(shape[0], s["out"], (s["size"],) * 2, (s["stride"],) * 2, padding=added, use_bias=s["bias"], transpose_kernel=True, rngs=rngs)  # fmt: skip
        case "batch_norm":
            more = {"use_running_average": True} if s["frozen"] else {}
            return nnx.BatchNorm(shape[0], momentum=s["keep"], epsilon=s["epsilon"], use_fast_variance=False, rngs=rngs, **more)  # fmt: skip
        case "group_norm":
            return nnx.GroupNorm(shape[0], s["groups"], epsilon=s["epsilon"], use_fast_variance=False, rngs=rngs)
        case "instance_norm":
            return nnx.InstanceNorm(shape[0], epsilon=s["epsilon"], use_fast_variance=False, rngs=rngs)
        case "layer_norm":
            return nnx.LayerNorm(shape[-1], epsilon=s["epsilon"], use_fast_variance=False, rngs=rngs)
        case "rms_norm":
            return nnx.RMSNorm(shape[-1], epsilon=s["epsilon"], rngs=rngs)
        case "activation":
            numbers = {k: v for k, v in s.items() if k != "name"}
            return lambda x: ACTIVATIONS[s["name"]](x, **numbers)
        case "flatten":
            return (lambda x: x.transpose(0, 3, 1, 2).reshape(len(x), -1)) if s["order"] == "channels_first" else (lambda x: x.reshape(len(x), -1))  # fmt: skip
        case "reshape":
            c, h, w = s["shape"]
            return (lambda x: x.reshape(-1, c, h, w).transpose(0, 2, 3, 1)) if s["order"] == "channels_first" else (lambda x: x.reshape(-1, h, w, c))  # fmt: skip
        case "dense":
            return nnx.Linear(shape[-1], s["out"], use_bias=s["bias"], rngs=rngs)
        case "dropout":
            return nnx.Dropout(s["rate"], rngs=rngs)
        case "embedding":
            return nnx.Embed(s["count"], s["out"], rngs=rngs)
        case "gru":
            return nnx.RNN(nnx.GRUCell(shape[-1], s["out"], rngs=rngs), rngs=rngs)
        case "lstm":
            return nnx.RNN(nnx.OptimizedLSTMCell(shape[-1], s["out"], rngs=rngs), rngs=rngs)
        case "attention":
            return nnx.MultiHeadAttention(s["heads"], shape[-1], decode=False, attention_fn=_scores(s["scale"], shape[-1]), rngs=rngs)  # fmt: skip
        case "resize":

            def resize(x):
                n, h, w, c = x.shape
                return jax.image.resize(x, (n, h * s["scale"], w * s["scale"], c), s["mode"])

            return resize
        case "last":
            return lambda x: x[:, -1]
    raise KeyError(op)


class Net(nnx.Module):
    def __init__(self, spec, rngs):
        steps = []
        for name, op, s in spec["nodes"]:
            if op == "affine" and (s["factor"], s["shift"]) == (1, 0) or op == "flow" and s["factor"] == 1:
                continue
            if op == "add":
                steps.append((name, s["of"], None))
                continue
            made = layer(op, s, spec["shapes"][name], rngs)
            if isinstance(made, nnx.Module):
                setattr(self, name, made)
                made = None
            steps.append((name, None, made))
        self.steps = tuple(steps)

    def __call__(self, x):
        seen = {}
        for name, of, function in self.steps:
            x = x + seen[of] if of else (function or getattr(self, name))(x)
            seen[name] = x
        return x


def build(spec):
    model = Net(spec, nnx.Rngs(0))
    for name, other in spec.get("tied", {}).items():
        getattr(model, name).kernel = getattr(model, other).kernel
    found = {"model": model, "loss": loss(spec["loss"])}
    channels = {key: "NHWC" for key, one in spec["inputs"].items() if len(one[1]) == 3}
    if len(spec["shapes"][""]) == 3:
        channels["output"] = "NHWC"
    one = optimizer(spec["optimizer"])
    if frozen := spec.get("frozen", ()):

        def labels(tree):
            return jax.tree.map_with_path(lambda path, _: "still" if path[0].key in frozen else "moved", tree)

        one = optax.multi_transform({"moved": one, "still": optax.set_to_zero()}, labels)
    return found | {"optimizer": one, "layout": channels}


def loss(s):
    def function(output, y):
        match s["name"]:
            case "cross_entropy":
                t = optax.smooth_labels(jax.nn.one_hot(y, output.shape[-1], dtype=output.dtype), s["smoothing"])
                terms = -(t * (nnx.log_softmax(output) if s["takes"] == "logits" else jnp.log(output))).sum(-1)
            case "bce":
                kind, number = s["guard"]
                p = jnp.clip(output, number, 1 - number) if kind == "clip" else output
                low = (lambda p: jnp.log(p + number)) if kind == "add" else jnp.log
                terms = -(y * low(p) + (1 - y) * low(1 - p))
            case _:
                terms = (output - y) ** 2
        value = terms.mean() if s["reduction"] == "mean" else terms.sum()
        return s["factor"] * (value / len(output) if s["reduction"] == "batch" else value)

    return function


def optimizer(s):
    rate, decay = s["rate"], s.get("decay", 0.0)
    steps = []
    if clip := s.get("clip"):
        steps.append({"global_norm": optax.clip_by_global_norm, "value": optax.clip}[clip["kind"]](clip["value"]))
    coupled = decay and not s.get("decoupled", False)
    if coupled:
        steps.append(optax.add_decayed_weights(decay))
    match s["name"]:
        case "adam" if decay and not coupled:
            steps.append(optax.adamw(rate, s["beta1"], s["beta2"], s["epsilon"], weight_decay=decay))
        case "adam":
            steps.append(
                (optax.amsgrad if s.get("amsgrad") else optax.adam)(rate, s["beta1"], s["beta2"], s["epsilon"])
            )
        case "sgd":
            steps.append(optax.sgd(rate, s["momentum"] or None, s["nesterov"]))
        case "rmsprop":
            steps.append(optax.rmsprop(rate, s["keep"], s["epsilon"], initial_scale=s["start"], eps_in_sqrt=s["place"] == "root", centered=s["centered"], momentum=s["momentum"] or None))  # fmt: skip
        case "adagrad":
            steps.append(optax.adagrad(rate, s["start"], s["epsilon"]))
        case _:
            raise KeyError(s["name"])
    return steps[0] if len(steps) == 1 else optax.chain(*steps)
