"""What stands around a TensorFlow model in a file of its own (common.tools.take): optimisers, hooks, loop, saving."""

from common.specs.draws import Bernoulli, FanInNormal, FanInUniform, FixedNormal, GlorotUniform, Normal, OneHot, Uniform
from common.specs.records import Adam, Spec
from common.tools.take.around import Distribution, drawn, rule_of, sizes
from common.tools.take.lines import body_of

IMPORTS = (
    "import math\nfrom functools import partial\n\nimport keras\nimport tensorflow as tf\nfrom keras import layers\n"
)
SETTINGS = 'DTYPE = "float32"\n'
ENGINE = ("optimizer", "steps", "terms", "exact", "layouts")  # files of ours that model files import from
TERMS = ("bce", "dropout", "complement", "to_nhwc", "to_nchw")  # what is taken of them as it is
REWRITTEN = (
    (r"^def train_step\(state,", "def train_step(model, optimizers,"),
    (r"state\.(model|optimizers)\b", r"\1"),
    (r"(?<![\w.])BatchNorm\b", "layers.BatchNormalization"),
    (r", which the engine\s+sets", ""),
)
OWN = {
    "terms": {
        "leaky_relu": '''def leaky_relu(x, slope):
    """tf.nn.leaky_relu, which keeps its slope in float32, in the dtype of x."""
    return tf.where(x > 0, x, slope * x)''',
    },
    "updates": {
        "Adam": '''class Adam(tf.Module):
    """Algorithm 1 of arXiv 1412.6980. keras.optimizers.Adam adds its epsilon before the bias correction, which is another course, and
    keeps its numbers in float32."""

    def __init__(self, networks, learning_rate, beta1, beta2, epsilon{l2}):
        super().__init__()
        self.learning_rate, self.beta1, self.beta2, self.epsilon{self_l2} = learning_rate, beta1, beta2, epsilon{value_l2}
        self.parameters = [variable for network in networks for variable in network.trainable_variables]
        self.first, self.second = ([tf.Variable(tf.zeros_like(v)) for v in self.parameters] for _ in range(2))
        self.step = tf.Variable(0, dtype=tf.int64)

    def apply(self, gradients):
        self.step.assign_add(1)
        # In float64: with beta2 = 0.999 in float32, 1 - beta2 is off by 1e-5.
        step = tf.cast(self.step, tf.float64)
        root = tf.sqrt(1 - self.beta2**step)
        rate, epsilon = self.learning_rate * root / (1 - self.beta1**step), self.epsilon * root
        for parameter, gradient, first, second in zip(self.parameters, gradients, self.first, self.second):
{decay}            first.assign(self.beta1 * first + (1 - self.beta1) * gradient)
            second.assign(self.beta2 * second + (1 - self.beta2) * gradient**2)
            move = tf.cast(rate, first.dtype) * first / (tf.sqrt(second) + tf.cast(epsilon, first.dtype))
            parameter.assign_sub(move)''',
        "RMSProp": '''class RMSProp(tf.Module):
    """With epsilon outside the root; keras.optimizers.RMSprop has it inside."""

    def __init__(self, networks, learning_rate, decay, epsilon):
        super().__init__()
        self.learning_rate, self.decay, self.epsilon = learning_rate, decay, epsilon
        self.parameters = [variable for network in networks for variable in network.trainable_variables]
        self.square = [tf.Variable(tf.zeros_like(v)) for v in self.parameters]

    def apply(self, gradients):
        for parameter, gradient, square in zip(self.parameters, gradients, self.square):
            square.assign(self.decay * square + (1 - self.decay) * gradient**2)
            parameter.assign_sub(self.learning_rate * gradient / (tf.sqrt(square) + self.epsilon))''',
        "update": '''def update(optimizer, loss, tape):
    """One step of `optimizer` on `loss`, which `tape` has seen, by its parameters alone."""
    optimizer.apply(tape.gradient(loss, optimizer.parameters))''',
        "update_all": '''def update_all(optimizers, objectives, tape):
    """One step of every optimizer on its objective; all gradients are taken, from one tape, before any of them moves."""
    taken = {name: tape.gradient(objectives[name], one.parameters) for name, one in optimizers.items()}
    for name, one in optimizers.items():
        one.apply(taken[name])''',
    },
}
DECORATED = SEEDED = ""


def own(spec: Spec) -> dict[str, dict[str, str]]:
    """{section: {name: source}}: OWN, as the specification needs it."""
    l2 = any(getattr(update.optimizer, "l2", 0) for update in spec.updates)
    given = {
        "l2": ", l2",
        "self_l2": ", self.l2",
        "value_l2": ", l2",
        "decay": "            gradient += self.l2 * parameter\n",
    }
    step = OWN["updates"]
    adam = step["Adam"].format(**{name: value * l2 for name, value in given.items()})
    return OWN | {"updates": step | {"Adam": adam}}


def step(spec: Spec, build: str, texts: dict[str, str]) -> str:
    """`create` and `create_optimizers`."""
    body = body_of(build)
    for before in ("dtype)", "dtype,"):
        for sign in ("(", " "):
            body = body.replace(sign + before, sign + before.replace("dtype", "DTYPE"))
    body = body.replace("dtype=dtype", "dtype=DTYPE").replace("\n", "\n    ")
    lines = [f"def create():\n    {body}\n    return model\n\n\n"]
    lines.append('def create_optimizers(model):\n    """One an update, each with moments of its own."""\n    return {')
    for update in spec.updates:
        networks = ", ".join(f"model.{name}" for name in update.networks)
        rule = update.optimizer
        if isinstance(rule, Adam):
            l2 = f", l2={rule.l2}" if rule.l2 else ""
            made = f"Adam([{networks}], {rule.learning_rate}, beta1={rule.beta1}, beta2={rule.beta2}, epsilon={rule.epsilon}{l2})"
        else:
            made = f"RMSProp([{networks}], {rule.learning_rate}, decay={rule.decay}, epsilon={rule.epsilon})"
        lines.append(f'"{update.name}": {made},')
    return "\n".join(lines) + "}"


def draw(distribution: Distribution, batch: str, shape: tuple[int, ...], name: str) -> str:
    """An expression for `batch` rows of one random input; `name` is that of the input, an expression too."""
    rows = sizes(batch, *shape)
    match distribution:
        case Normal(mean, std):
            return f"tf.random.normal({rows}, {mean:g}, {std:g}, DTYPE)"
        case Uniform(low, high):
            return f"tf.random.uniform({rows}, {low:g}, {high:g}, DTYPE)"
        case Bernoulli(keep):
            return f"tf.cast(tf.random.uniform({rows}) < {keep:g}, DTYPE)"
        case OneHot():
            rows = sizes(batch, *shape[:-1])
            return f"tf.one_hot(tf.random.uniform({rows}, 0, {shape[-1]}, tf.int32), {shape[-1]}, dtype=DTYPE)"


INITIAL = {
    FanInUniform: "tf.random.uniform({0}.shape, -(fan_in**-0.5), fan_in**-0.5, DTYPE)",
    FanInNormal: "tf.random.normal({0}.shape, 0.0, (GAIN / fan_in) ** 0.5, DTYPE)",
    GlorotUniform: "keras.initializers.GlorotUniform()({0}.shape, DTYPE)",
    FixedNormal: "tf.random.normal({0}.shape, 0.0, STD, DTYPE)",
}


def initialize(spec: Spec) -> str:
    """The hook of the weights."""
    rule = drawn(spec, INITIAL)
    lines = [
        "def initialize(model):",
        f'    """Weights ~ {rule_of(spec)}; replace it to start from others."""',
        "    for layer in (layer for network in model.layers for layer in network.layers):",
        '        if hasattr(layer, "kernel"):',
    ]
    if "fan_in" in rule:
        lines.append("            fan_in = math.prod(layer.kernel.shape[:-1])")
    lines.append(f"            layer.kernel.assign({rule.format('layer.kernel')})")
    if isinstance(spec.initial, FanInUniform):
        lines.append(f"            layer.bias.assign({rule.format('layer.bias')})")
    return "\n".join(lines) + "\n\n\n"


TRAINING = '''def train({taken}, steps=STEPS, initialize=initialize, draw_noise=draw_noise):
    """The trained model, and {{loss: value}} of every step."""
    keras.utils.set_random_seed(SEED)
    model = create()
    initialize(model)
    optimizers, history = create_optimizers(model), []
    compiled = tf.function(partial(train_step, model, optimizers), jit_compile=True)
    for step, inputs in zip(range(steps), batches({taken})):
        inputs = {{name: tf.constant(value, DTYPE) for name, value in inputs.items()}}
        history.append(compiled(inputs, draw_noise(step)))
        if (step + 1) % 100 == 0:
            print(step + 1, ", ".join(f"{{name}} {{value:.4f}}" for name, value in history[-1].items()))
    return model, [{{name: float(value) for name, value in values.items()}} for values in history]


def save(model, name):
    """The weights of each network, for `network.load_weights` of what `create` makes."""
    for network in model.layers:
        network.save_weights(f"{{name}}.{{network.name}}.weights.h5")


'''

SAMPLES = '''def pictures(model, count=64):
    """(count, ...): samples."""
    return sample(model, {noise}).numpy()
'''

COPIES = '''def pictures(model, images):
    """Rows of eight images, each with the row of their reconstructions below it."""
    given = next(batches(images))["images"][:32]
    made = reconstruct(model, {"images": tf.constant(given, DTYPE)}, {}).numpy()
    return np.stack([given.reshape(4, 8, -1), made.reshape(4, 8, -1)], axis=1)
'''
