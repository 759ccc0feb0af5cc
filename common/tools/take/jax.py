"""What stands around a JAX model in a file of its own (common.tools.take): optimisers, hooks, loop, saving."""

from common.specs.draws import Bernoulli, FanInNormal, FanInUniform, FixedNormal, GlorotUniform, Normal, OneHot, Uniform
from common.specs.records import Adam, Spec
from common.tools.take.around import Distribution, drawn, rule_of, sizes
from common.tools.take.lines import body_of

IMPORTS = (
    "import math\nfrom functools import partial\n\nimport jax\nimport optax\nfrom flax import nnx\nfrom jax import numpy as jnp\n"
    "from orbax import checkpoint\n"
)
SETTINGS = "DTYPE = jnp.float32\n"
ENGINE = ("optimizer", "steps", "terms", "exact", "layouts")  # files of ours that model files import from
TERMS = ("bce", "dropout", "complement", "leaky_relu", "to_nhwc", "to_nchw")  # what is taken of them as it is
REWRITTEN = (
    (r"^def train_step\(state,", "@nnx.jit\ndef train_step(model, optimizers,"),
    (r'\bupdate\(state, ("\w+"),', r"update(model, optimizers[\1],"),
    (r"\bupdate_all\(state,", "update_all(model, optimizers,"),
    (r"(?<![\w.])ConvTranspose\b", "nnx.ConvTranspose"),
    (r"  # for initial values, which the engine replaces", ""),
    (r", which the engine\s+sets", ""),
)
OWN = {
    "terms": {},
    "updates": {
        "update": '''def update(model, optimizer, losses_of, objective, inputs, noise):
    """One step of `optimizer` on the `objective` among what `losses_of(model, inputs, noise)` returns; returns them all."""

    def of_model(model):
        values = losses_of(model, inputs, noise)
        return values[objective], values

    gradients, values = nnx.grad(of_model, argnums=nnx.DiffState(0, optimizer.wrt), has_aux=True)(model)
    optimizer.update(model, gradients)
    return values''',
        "update_all": '''def update_all(model, optimizers, losses_of, objectives, inputs, noise):
    """One step of every optimizer on its objective among what `losses_of(model, inputs, noise)` returns, all gradients from one
    pass; returns the losses."""

    def of_model(model):
        values = losses_of(model, inputs, noise)
        return {name: values[objective] for name, objective in objectives.items()}, values

    taken, pull, values = nnx.vjp(of_model, model, has_aux=True, graph_updates=False)
    gradients = {}
    for name in objectives:
        (gradients[name],) = pull({other: jnp.full_like(value, other == name) for other, value in taken.items()})
    for name, gradient in gradients.items():
        optimizers[name].update(model, gradient)
    return values''',
    },
}
DECORATED, SEEDED = "@jax.jit\n", "key = keys(step)\n    "


def own(spec: Spec) -> dict[str, dict[str, str]]:
    """{section: {name: source}}: OWN, as the specification needs it."""
    return OWN


def step(spec: Spec, build: str, texts: dict[str, str]) -> str:
    """`create` and `create_optimizers`."""
    body = body_of(build).replace("dtype=dtype", "dtype=DTYPE").replace(" dtype, rngs", " DTYPE, rngs")
    body = body.replace("(dtype, rngs", "(DTYPE, rngs").replace("\n", "\n    ")
    lines = [f"def create():\n    {body}\n    return model\n\n\n"]
    lines.append('''def of(*networks):
    """The parameters of some of the model's networks."""
    return nnx.All(nnx.Param, nnx.Any(*map(nnx.PathContains, networks)))


def create_optimizers(model):
    """One an update, each with moments of its own."""
    return {''')
    for update in spec.updates:
        networks = ", ".join(f'"{name}"' for name in update.networks)
        lines.append(f'"{update.name}": nnx.Optimizer(model, {_optimizer(update.optimizer)}, wrt=of({networks})),')
    return "\n".join(lines) + "}"


def _optimizer(rule):
    if isinstance(rule, Adam):
        adam = f"optax.adam({rule.learning_rate}, b1={rule.beta1}, b2={rule.beta2}, eps={rule.epsilon})"
        return f"optax.chain(optax.add_decayed_weights({rule.l2}), {adam})" if rule.l2 else adam
    return f"optax.rmsprop({rule.learning_rate}, decay={rule.decay}, eps={rule.epsilon}, eps_in_sqrt=False)"


def draw(distribution: Distribution, batch: str, shape: tuple[int, ...], name: str) -> str:
    """An expression for `batch` rows of one random input; `name` is that of the input, an expression too."""
    rows = sizes(batch, *shape)
    match distribution:
        case Normal(mean, std):
            scale = f"{std:g} * " if std != 1 else ""
            return f"{scale}jax.random.normal(next(key), {rows}, DTYPE)" + (f" + {mean:g}" if mean else "")
        case Uniform(low, high):
            return f"jax.random.uniform(next(key), {rows}, DTYPE, {low:g}, {high:g})"
        case Bernoulli(keep):
            return f"jax.random.bernoulli(next(key), {keep:g}, {rows}).astype(DTYPE)"
        case OneHot():
            rows = sizes(batch, *shape[:-1])
            return f"jax.nn.one_hot(jax.random.randint(next(key), {rows}, 0, {shape[-1]}), {shape[-1]}, dtype=DTYPE)"


INITIAL = {
    FanInUniform: "jax.random.uniform(next(key), {0}.shape, DTYPE, -(fan_in**-0.5), fan_in**-0.5)",
    FanInNormal: "(GAIN / fan_in) ** 0.5 * jax.random.normal(next(key), {0}.shape, DTYPE)",
    GlorotUniform: "jax.nn.initializers.glorot_uniform()(next(key), {0}.shape, DTYPE)",
    FixedNormal: "STD * jax.random.normal(next(key), {0}.shape, DTYPE)",
}


def initialize(spec: Spec) -> str:
    """The hook of the weights, and the keys of all draws."""
    rule = drawn(spec, INITIAL)
    lines = [
        "def keys(step):",
        '    """Keys of the generator, as many as are asked for."""',
        "    key = jax.random.fold_in(jax.random.key(SEED), step)",
        "    while True:",
        "        key, one = jax.random.split(key)",
        "        yield one",
        "",
        "",
        "def initialize(model):",
        f'    """Weights ~ {rule_of(spec)}; replace it to start from others."""',
        "    key = keys(STEPS)",
        "    for _, layer in nnx.iter_modules(model):",
        '        if hasattr(layer, "kernel"):',
    ]
    if "fan_in" in rule:
        lines.append("            fan_in = math.prod(layer.kernel.shape[:-1])")
    lines.append(f"            layer.kernel.set_value({rule.format('layer.kernel')})")
    if isinstance(spec.initial, FanInUniform):  # else they are 0 as nnx makes them
        lines.append(f"            layer.bias.set_value({rule.format('layer.bias')})")
    return "\n".join(lines) + "\n\n\n"


TRAINING = '''def train({taken}, steps=STEPS, initialize=initialize, draw_noise=draw_noise):
    """The trained model, and {{loss: value}} of every step."""
    model = create()
    initialize(model)
    optimizers, history = create_optimizers(model), []
    for step, inputs in zip(range(steps), batches({taken})):
        inputs = {{name: jnp.asarray(value, DTYPE) for name, value in inputs.items()}}
        history.append(train_step(model, optimizers, inputs, draw_noise(step)))
        if (step + 1) % 100 == 0:
            print(step + 1, ", ".join(f"{{name}} {{value:.4f}}" for name, value in history[-1].items()))
    return model, [{{name: float(value) for name, value in values.items()}} for values in history]


def save(model, name):
    """As Orbax's checkpoint of the model's state, in a folder."""
    with checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save(Path(f"{{name}}.checkpoint").resolve(), nnx.state(model), force=True)


'''

SAMPLES = '''def pictures(model, count=64):
    """(count, ...): samples."""
    model.eval()
    key = keys(STEPS + 1)
    return np.asarray(sample(model, {noise}))
'''

COPIES = '''def pictures(model, images):
    """Rows of eight images, each with the row of their reconstructions below it."""
    model.eval()
    given = next(batches(images))["images"][:32]
    made = np.asarray(reconstruct(model, {"images": jnp.asarray(given, DTYPE)}, {}))
    return np.stack([given.reshape(4, 8, -1), made.reshape(4, 8, -1)], axis=1)
'''
