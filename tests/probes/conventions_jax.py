"""JAX's side of test_conventions: Flax's layers, Optax's losses and optimisers, with the settings that they have."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

F64 = {"dtype": jnp.float64, "param_dtype": jnp.float64}


def drawn(rng, shape):
    return rng.normal(size=shape)


def last(x):
    return np.moveaxis(x, 1, -1)


def first(y):
    return np.moveaxis(np.asarray(y), -1, 1)


def layer(kind, settings, module, weights, shape=(2, 4, 7, 8), images=True):
    """weights: function of a generator -> ({role: canonical}, Flax's variables)."""

    def case(rng):
        tensors, variables = weights(rng)
        x = drawn(rng, shape)
        with jax.enable_x64(True):
            y = module.apply(jax.tree.map(jnp.asarray, variables), jnp.asarray(last(x) if images else x))
        return kind, settings, tensors, [x], False, [first(y) if images else np.asarray(y)]

    return case


def nothing(rng):
    return {}, {}


def kernel(*order, shape=(5, 4, 3, 2), bias=5):
    def weights(rng):
        t = {"weight": drawn(rng, shape), "bias": drawn(rng, bias)}
        return t, {"params": {"kernel": t["weight"].transpose(order), "bias": t["bias"]}}

    return weights


def normal(size, *roles):
    def weights(rng):
        t = {role: rng.uniform(0.5, 2, size) for role in roles}
        own = {"weight": "scale", "bias": "bias", "mean": "mean", "variance": "var"}
        parts = {True: {}, False: {}}
        for role, value in t.items():
            parts[role in ("weight", "bias")][own[role]] = value
        return t, {"params": parts[True], "batch_stats": parts[False]}

    return weights


def lambda_layer(f):
    class Layer(nn.Module):
        def __call__(self, x):
            return f(x)

    return Layer()


def gru(rng):
    t = {"weight_ih": drawn(rng, (18, 4)), "weight_hh": drawn(rng, (18, 6)), "bias_ih": drawn(rng, 18), "bias_hn": drawn(rng, 6)}  # fmt: skip
    parts = {}
    for k, gate in enumerate("rzn"):
        rows = slice(6 * k, 6 * k + 6)
        parts[f"i{gate}"] = {"kernel": t["weight_ih"][rows].T, "bias": t["bias_ih"][rows]}
        parts[f"h{gate}"] = {"kernel": t["weight_hh"][rows].T} | ({"bias": t["bias_hn"]} if gate == "n" else {})
    return t, {"params": {"cell": parts}}


def function(settings, f):
    def case(rng):
        x = 3 * drawn(rng, (3, 4, 5))
        with jax.enable_x64(True):
            return "activation", settings, {}, [x], True, [np.asarray(f(jnp.asarray(x)))]

    return case


def resized(**more):
    return lambda_layer(lambda x: jax.image.resize(x, (len(x), 9, 5, x.shape[-1]), **more))


SAME = {"stride": [2, 2], "padding": "same"}
POOL = {"size": [3, 3], "stride": [2, 2], "padding": "same", "ceil": False}
AVERAGE = ((3, 3), (2, 2), "SAME")
SIZE = {"size": [9, 5]}
LAYERS = {
    "conv": layer("conv", SAME, nn.Conv(5, (3, 2), 2, "SAME", **F64), kernel(2, 3, 1, 0)),
    "causal": layer("conv", {"padding": "causal"}, nn.Conv(5, (3,), 1, "CAUSAL", **F64), kernel(2, 1, 0, shape=(5, 4, 3)), (2, 4, 9)),
    "transposed": layer("conv_transpose", SAME | {"turned": True}, nn.ConvTranspose(3, (3, 2), (2, 2), "SAME", **F64), kernel(2, 3, 0, 1, shape=(4, 3, 3, 2), bias=3)),
    "transposed and turned": layer("conv_transpose", SAME, nn.ConvTranspose(3, (3, 2), (2, 2), "SAME", transpose_kernel=True, **F64), kernel(2, 3, 1, 0, shape=(4, 3, 3, 2), bias=3)),
    "batch norm": layer("batch_norm", {"epsilon": 1e-5}, nn.BatchNorm(True, **F64), normal(4, "weight", "bias", "mean", "variance")),
    "layer norm": layer("layer_norm", {"epsilon": 1e-6, "axes": 1}, nn.LayerNorm(use_fast_variance=False, **F64), normal(8, "weight", "bias"), images=False),
    "rms norm": layer("rms_norm", {"epsilon": 1e-6, "axes": 1}, nn.RMSNorm(**F64), normal(8, "weight"), images=False),
    "group norm": layer("group_norm", {"epsilon": 1e-6, "groups": 2}, nn.GroupNorm(2, use_fast_variance=False, **F64), normal(4, "weight", "bias")),
    "max": layer("pool", POOL | {"op": "max"}, lambda_layer(lambda x: nn.max_pool(x, *AVERAGE)), nothing),
    "average": layer("pool", POOL | {"op": "average", "counted": True}, lambda_layer(lambda x: nn.avg_pool(x, *AVERAGE)), nothing),
    "average, not counted": layer("pool", POOL | {"op": "average", "counted": False}, lambda_layer(lambda x: nn.avg_pool(x, *AVERAGE, count_include_pad=False)), nothing),
    "gru": layer("gru", {"reset_after": True}, nn.RNN(nn.GRUCell(6, **F64)), gru, (3, 5, 4), images=False),
    "linear": layer("resize", SIZE | {"mode": "linear", "antialias": True}, resized(method="linear"), nothing),
    "linear, plain": layer("resize", SIZE | {"mode": "linear"}, resized(method="linear", antialias=False), nothing),
    "cubic": layer("resize", SIZE | {"mode": "cubic", "cubic": -0.5, "edge": "dropped"}, resized(method="cubic", antialias=False), nothing),
    "nearest": layer("resize", SIZE | {"mode": "nearest-exact"}, resized(method="nearest"), nothing),
    "gelu": function({"name": "gelu", "approximate": True}, nn.gelu),
    "leaky": function({"name": "leaky_relu", "slope": 0.01}, nn.leaky_relu),
    "hard": function({"name": "hard_sigmoid", "slope": 1 / 6, "offset": 0.5}, nn.hard_sigmoid),
}  # fmt: skip


def statistics(rng):
    t, x = {role: rng.uniform(0.5, 2, 4) for role in ("mean", "variance")}, drawn(rng, (3, 4, 5, 6))
    module = nn.BatchNorm(False, momentum=0.75, use_scale=False, use_bias=False, use_fast_variance=False, **F64)
    with jax.enable_x64(True):
        own = {"batch_stats": {"mean": jnp.asarray(t["mean"]), "var": jnp.asarray(t["variance"])}}
        kept = module.apply(own, jnp.asarray(last(x)), mutable=["batch_stats"])[1]["batch_stats"]
        return {"epsilon": 1e-5, "keep": 0.75, "unbiased": False}, t, x, {"mean": np.asarray(kept["mean"]), "variance": np.asarray(kept["var"])}  # fmt: skip


def loss(f, wanted, target):
    def case(rng):
        x, y = drawn(rng, (6, 5)), target(rng)
        with jax.enable_x64(True):
            value, slope = jax.value_and_grad(lambda given: f(given, jnp.asarray(y)).mean())(jnp.asarray(x))
            return x, y, float(value), np.asarray(slope), wanted

    return case


def labels(rng):
    return rng.integers(0, 5, 6)


def shares(rng):
    return rng.dirichlet(np.ones(5), 6)


LOSSES = {
    "squared": loss(optax.squared_error, {"name": "squared", "reduction": "mean", "factor": 1.0}, lambda rng: drawn(rng, (6, 5))),
    "l2": loss(optax.l2_loss, {"name": "squared", "reduction": "mean", "factor": 0.5}, lambda rng: drawn(rng, (6, 5))),
    "huber": loss(lambda x, y: optax.huber_loss(x, y, delta=0.5), {"name": "huber", "delta": 0.5}, lambda rng: drawn(rng, (6, 5))),
    "bce": loss(optax.sigmoid_binary_cross_entropy, {"name": "bce", "takes": "logits"}, lambda rng: rng.integers(0, 2, (6, 5)).astype(float)),
    "classes": loss(optax.softmax_cross_entropy_with_integer_labels, {"name": "cross_entropy", "labels": "integers"}, labels),
    "shares": loss(optax.softmax_cross_entropy, {"name": "cross_entropy", "labels": "shares"}, shares),
    "smoothed": loss(lambda x, y: optax.softmax_cross_entropy(x, optax.smooth_labels(y, 0.1)), {"name": "cross_entropy", "smoothing": 0.1, "spread": "even"}, lambda rng: np.eye(5)[labels(rng)]),
    "kl": loss(lambda x, y: optax.kl_divergence(x, y), {"name": "kl", "takes": "log_probabilities", "reduction": "batch"}, shares),
}  # fmt: skip


def optimiser(settings, make):
    def run(parameters, gradients, rates):
        with jax.enable_x64(True):
            own = {name: jnp.asarray(value) for name, value in parameters.items()}
            one = make(lambda count: 0.1 * jnp.asarray(rates)[count])
            state, found = one.init(own), []
            for given in gradients:
                moved, state = one.update({name: jnp.asarray(value) for name, value in given.items()}, state, own)
                own = optax.apply_updates(own, moved)
                found.append({name: np.array(value) for name, value in own.items()})
        return found

    return settings, run


ADAM = {
    "name": "adam",
    "rate": 0.1,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-3,
    "place": "outside",
    "amsgrad": False,
}
SGD = {"name": "sgd", "rate": 0.1, "momentum": 0.9, "nesterov": False, "rate_inside": False}
RMS = {
    "name": "rmsprop",
    "rate": 0.1,
    "keep": 0.9,
    "epsilon": 1e-3,
    "place": "root",
    "start": 0.0,
    "momentum": 0.0,
    "rate_inside": True,
}
DECAY = {"decay": 0.1, "decoupled": True}
chain, decays, clip = optax.chain, optax.add_decayed_weights, optax.clip_by_global_norm
OPTIMISERS = {
    "adam": optimiser(ADAM, lambda r: optax.adam(r, eps=1e-3)),
    "adam, ε under the root": optimiser(ADAM | {"epsilon": 1e-8, "epsilon_root": 1e-3}, lambda r: optax.adam(r, eps_root=1e-3)),
    "nadam": optimiser(ADAM | {"nesterov": True}, lambda r: optax.nadam(r, eps=1e-3)),
    "adamw": optimiser(ADAM | DECAY, lambda r: optax.adamw(r, eps=1e-3, weight_decay=0.1)),
    "adam with L2": optimiser(ADAM | {"decay": 0.1}, lambda r: chain(decays(0.1), optax.adam(r, eps=1e-3))),
    "decay without a rate": optimiser(ADAM | DECAY | {"decay_rate": "none"}, lambda r: chain(optax.adam(r, eps=1e-3), decays(-0.1))),
    "amsgrad": optimiser(ADAM | {"amsgrad": "corrected"}, lambda r: optax.amsgrad(r, eps=1e-3)),
    "sgd": optimiser(SGD, lambda r: optax.sgd(r, 0.9)),
    "nesterov": optimiser(SGD | {"nesterov": True}, lambda r: optax.sgd(r, 0.9, nesterov=True)),
    "rmsprop": optimiser(RMS, lambda r: optax.rmsprop(r, eps=1e-3)),
    "rmsprop outside": optimiser(RMS | {"place": "outside"}, lambda r: optax.rmsprop(r, eps=1e-3, eps_in_sqrt=False)),
    "rmsprop with momentum": optimiser(RMS | {"momentum": 0.9}, lambda r: optax.rmsprop(r, eps=1e-3, momentum=0.9)),
    "rmsprop corrected": optimiser(RMS | {"corrected": True, "centered": True}, lambda r: optax.rmsprop(r, eps=1e-3, bias_correction=True, centered=True)),
    "rmsprop from 1": optimiser(RMS | {"start": 1.0}, lambda r: optax.rmsprop(r, eps=1e-3, initial_scale=1.0)),
    "adagrad": optimiser({"name": "adagrad", "rate": 0.1, "epsilon": 1e-3, "place": "root", "start": 0.1}, lambda r: optax.adagrad(r, eps=1e-3)),
    "clipped": optimiser(SGD | {"clip": {"kind": "global_norm", "value": 0.5}}, lambda r: chain(clip(0.5), optax.sgd(r, 0.9))),
    "clipped after decay": optimiser(SGD | {"decay": 0.1, "decay_first": True, "clip": {"kind": "global_norm", "value": 0.5}}, lambda r: chain(decays(0.1), clip(0.5), optax.sgd(r, 0.9))),
}  # fmt: skip


def gelu(x):
    with jax.enable_x64(True):
        return np.asarray(jax.nn.gelu(jnp.asarray(x)))


FUNCTIONS = [
    (gelu, [{"kind": "activation", "name": "gelu", "approximate": True}]),
    (lambda x: last(x).reshape(3, -1), [{"kind": "flatten", "first": 1, "order": "channels_last"}]),
]
