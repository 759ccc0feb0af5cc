"""What stands around a Paddle model in a file of its own (common.tools.take): Programs, optimisers, hooks, loop, saving."""

import ast
import re
import textwrap

from common.specs.draws import Bernoulli, FanInNormal, FanInUniform, FixedNormal, GlorotUniform, Normal, OneHot, Uniform
from common.specs.records import Adam, Spec
from common.tools.take.around import Distribution, drawn, rule_of, sizes, together
from common.tools.take.lines import definition

IMPORTS = (
    "import math\nimport warnings\n\nimport paddle\nfrom paddle import nn\nfrom paddle.nn import functional as F\n"
)
SETTINGS = 'warnings.filterwarnings("ignore", "Tensor do not have \'place\' interface")  # minimize asks for it\npaddle.enable_static()\n\nDTYPE = "float32"\nPLACE = paddle.CUDAPlace(0) if paddle.is_compiled_with_cuda() else paddle.CPUPlace()\nEXECUTOR, SCOPE = paddle.static.Executor(PLACE), paddle.static.global_scope()\n'
ENGINE = ("optimizer", "steps", "terms", "exact", "layouts")  # files of ours that model files import from
TERMS = ("cross_entropy", "bce", "dropout", "leaky_relu", "named")  # what is taken of them as it is
REWRITTEN = (
    (r"^def train_step\(state,", "def train_step(programs,"),
    (r'state\.run\(("\w+"), inputs, noise\)', r"run(programs[\1], inputs | noise)"),
    (r", whose values `restore` sets", ""),
    (r", which the engine\s+sets", ""),
)
OWN = {
    "terms": {
        "number": '''def number(value):
    """A constant that is exact in float64 too: a Python number combined with a Value is rounded to float32."""
    return paddle.full([], value, DTYPE)''',
        "BatchNorm": '''class BatchNorm(nn.Layer):
    """nn.BatchNorm, which rounds momentum and epsilon to float32. `momentum` is what is kept of the running statistics."""

    def __init__(self, features, path, momentum, epsilon):
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.weight = self.variable(f"{path}.weight", features, 1.0)
        self.bias = self.variable(f"{path}.bias", features, 0.0)
        self.running_mean = self.variable(f"{path}.mean", features, 0.0, trainable=False)
        self.running_variance = self.variable(f"{path}.variance", features, 1.0, trainable=False)

    def variable(self, name, features, value, trainable=True):
        constant = nn.initializer.Constant(value)
        return self.create_parameter([features], paddle.ParamAttr(name, constant, trainable=trainable), DTYPE)

    def forward(self, x):
        others, shape = [0, *range(2, len(x.shape))], [1, -1] + [1] * (len(x.shape) - 2)
        mean, variance = self.running_mean, self.running_variance
        if self.training:
            mean = paddle.mean(x, others)
            variance = paddle.mean(paddle.square(x - mean.reshape(shape)), others)
            for kept, found in ((self.running_mean, mean), (self.running_variance, variance)):
                paddle.assign(number(self.momentum) * kept + number(1 - self.momentum) * found, kept)
        scale = self.weight / paddle.sqrt(variance + number(self.epsilon))
        return (x - mean.reshape(shape)) * scale.reshape(shape) + self.bias.reshape(shape)''',
    },
    "updates": {
        "CoupledL2": '''class CoupledL2(paddle.regularizer.WeightDecayRegularizer):
    """l2·θ, to be added to the gradient: Paddle's L2Decay, which rounds l2 to float32."""

    def __init__(self, l2):
        self.l2 = l2

    def __call__(self, parameter, gradient, block):
        return number(self.l2) * parameter''',
        "adam": '''def adam(learning_rate, beta1, beta2, epsilon{l2}):
    """paddle.optimizer.Adam, whose numbers are tensors because it rounds Python's to float32."""
    numbers = {{"beta1": number(beta1), "beta2": number(beta2), "epsilon": number(epsilon)}}
    return paddle.optimizer.Adam(learning_rate, **numbers{decay})''',
        "begin_adam": '''def begin_adam(name, names, networks, beta1, beta2):
    """Adam keeps powers of its betas next to each parameter, which start from 0.9 and 0.999 where these are tensors."""
    for parameter in (one for one in names if one.split(".")[0] in networks):
        for key, beta in (("beta1", beta1), ("beta2", beta2)):
            variable = SCOPE.find_var(f"{{name}}.{{parameter}}_{{key}}_pow_acc_0")
            variable.get_tensor().set(np.full([1], beta, DTYPE), PLACE)''',
        "parameters": '''def parameters(*networks):
    """Those that training moves, of some of the model's networks."""
    return [one for network in networks for one in network.parameters() if one.trainable]''',
        "minimize_all": '''def minimize_all(model, rules):
    """One step of every {{name: (optimizer, objective, parameters)}}; all gradients are taken before any of them moves."""
    block, found = paddle.static.default_main_program().global_block(), {{}}
    for name, (_, objective, moved) in rules.items():
        others = [one for one in parameters(*model.children()) if all(one is not other for other in moved)]
        before = len(block.ops)
        found[name] = paddle.static.gradients(objective, moved, no_grad_set=others)
        for operator in block.ops[before:]:  # which the next call would differentiate too
            for value in operator.results():
                value.stop_gradient = True
    for name, (optimizer, _, moved) in rules.items():
        with paddle.utils.unique_name.guard(f"{{name}}."):
            optimizer.apply_gradients(list(zip(moved, found[name])))''',
        "Fed": '''class Fed(dict):
    """{{name: Value (B, ...)}}: what a Program is fed, declared when it is first asked for."""

    def __missing__(self, name):
        self[name] = paddle.static.data(name, [None, *SHAPES[name]], DTYPE)
        return self[name]

    def __contains__(self, name):
        return name in SHAPES

    def get(self, name):
        return self[name] if name in self else None''',
        "program": '''def program(name, build):
    """A Program of a new model; what it is fed; what `build(model, given, startup)` makes of both and a run fetches, {{name: Value}}.

    Within a Program, a parameter name used twice would make two parameters; between Programs, one name is one parameter.
    """
    main, startup, given = paddle.static.Program(), paddle.static.Program(), Fed()
    paddle.set_default_dtype(DTYPE)
    with paddle.static.program_guard(main, startup), paddle.utils.unique_name.guard(f"{{name}}."):
        fetched = build(network(), given, startup)
    EXECUTOR.run(startup, scope=SCOPE)
    return main, given, fetched''',
        "evaluate": '''def evaluate(job):
    """For `program`: `job(model, given)` in evaluation mode."""

    def build(model, given, startup):
        model.eval()
        return {{"value": job(model, given)}}

    return build''',
        "run": '''def run(program, values):
    """{{name: array}} of what a Program fetches; it takes of the `values` what it is fed."""
    main, given, fetched = program
    feed = {{name: np.asarray(values[name], DTYPE) for name in given}}
    return dict(zip(fetched, EXECUTOR.run(main, feed=feed, fetch_list=list(fetched.values()), scope=SCOPE)))''',
    },
}
DECORATED, SEEDED = "", "random = np.random.default_rng((SEED, step))\n    "


def own(spec: Spec) -> dict[str, dict[str, str]]:
    """{section: {name: source}}: OWN, as the specification needs it."""
    l2 = any(getattr(update.optimizer, "l2", 0) for update in spec.updates)
    given = {"l2": ", l2", "decay": ", weight_decay=CoupledL2(l2)"}
    given = {name: value * l2 for name, value in given.items()}
    updates = {name: text.format(**given) for name, text in OWN["updates"].items()}
    return OWN | {"updates": {"RMSProp": definition("paddle", "exact", "RMSProp")} | updates}


def step(spec: Spec, build: str, texts: dict[str, str]) -> str:
    """The model of a Program, what each Program holds, and `create`, which makes them all; `texts`: {name: source of a function of
    the model file}."""
    lines, made, begun = [f"SHAPES = {_shapes(spec)}", _network(build)], {}, []
    if spec.simultaneous:
        rules = ", ".join(
            f'"{u.name}": ({_optimizer(u.optimizer)}, values["{u.objective}"], parameters({_networks(u)}))'
            for u in spec.updates
        )
        lines.append(
            f"def train_program(model, given, startup):\n    values = losses(model, given, given)\n"
            f"    minimize_all(model, {{{rules}}})\n    return values"
        )
        made["train"] = "train_program"
    for update in () if spec.simultaneous else spec.updates:
        function = f"{update.name}_losses" if f"{update.name}_losses" in texts else "losses"
        lines.append(
            f"def {update.name}_program(model, given, startup):\n    values = {function}(model, given, given)\n"
            f'    {_optimizer(update.optimizer)}.minimize(values["{update.objective}"], startup, parameters({_networks(update)}))\n'
            f"    return values"
        )
        made[update.name] = f"{update.name}_program"
        begun.append((update.name, update.networks, update.optimizer.beta1, update.optimizer.beta2))
    for job in ("encode", "reconstruct", "sample"):
        if getattr(spec, job):
            called = "lambda model, given: reconstruct(model, given, given)" if job == "reconstruct" else job
            made[job] = f"evaluate({called})"
    programs = ", ".join(f'"{name}": program("{name}", {build})' for name, build in made.items())
    body = [
        "def create():",
        '    """{name: Program}, and the parameters, {name: tensor of the Scope}."""',
        f"    programs = {{{programs}}}",
    ]
    body.append("    mains = [main.global_block() for main, *_ in programs.values()]")
    body.append("    names = sorted({one.name for main in mains for one in main.all_parameters() if one.trainable})")
    for name, networks, beta1, beta2 in begun:
        body.append(f"    begin_adam('{name}', names, {networks!r}, {beta1}, {beta2})")
    body.append("    return programs, {name: SCOPE.find_var(name).get_tensor() for name in names}")
    return "\n\n\n".join([*lines, "\n".join(body)])


def _network(build):
    """`network`, which makes a model."""
    body = textwrap.dedent("\n".join(build.split("\n")[1:]))
    nodes = ast.parse(body).body
    named = next((one for one in nodes if isinstance(one, ast.FunctionDef)), None)
    if named is None:
        made = re.search(r"State\(spec, (lambda: )?(.+?), dtype, device\)", build)
        return f"def network():\n    return {made[2]}" + "()" * (not made[1])
    before = [ast.get_source_segment(body, one) for one in nodes[: nodes.index(named)]]
    inner = textwrap.dedent("\n".join(body.split("\n")[named.lineno : named.end_lineno]))
    return "def network():\n" + textwrap.indent("\n".join([*before, inner]), "    ")


def _shapes(spec):
    """Of everything that is fed, without the batch; those of one shape together."""
    declared = (*spec.inputs, *spec.noise, *spec.sampling_noise)
    return together({one.name: repr(one.shape) for one in declared}, lambda name, shape: shape)


def _networks(update):
    return ", ".join(f"model.{name}" for name in update.networks)


def _optimizer(rule):
    if isinstance(rule, Adam):
        return (
            f"adam({rule.learning_rate}, {rule.beta1}, {rule.beta2}, {rule.epsilon}{f', {rule.l2}' if rule.l2 else ''})"
        )
    return f"RMSProp({rule.learning_rate}, rho={rule.decay}, epsilon={rule.epsilon})"


def draw(distribution: Distribution, batch: str, shape: tuple[int, ...], name: str) -> str:
    """An expression for `batch` rows of one random input; `name` is that of the input, an expression too."""
    rows = sizes(batch, *shape)
    match distribution:
        case Normal(mean, std):
            return f"random.normal({mean:g}, {std:g}, {rows})"
        case Uniform(low, high):
            return f"random.uniform({low:g}, {high:g}, {rows})"
        case Bernoulli(keep):
            return f"random.uniform(size={rows}) < {keep:g}"
        case OneHot():
            rows = sizes(batch, *shape[:-1])
            return f"np.eye({shape[-1]})[random.integers({shape[-1]}, size={rows})]"


INITIAL = {
    FanInUniform: "random.uniform(-(fan_in**-0.5), fan_in**-0.5, shape)",
    FanInNormal: "random.normal(0, (GAIN / fan_in) ** 0.5, shape)",
    GlorotUniform: "random.uniform(-((6 / sum(shape)) ** 0.5), (6 / sum(shape)) ** 0.5, shape)",
    FixedNormal: "random.normal(0, STD, shape)",
}


def initialize(spec: Spec) -> str:
    """The hook of the weights."""
    rule, biases = drawn(spec, INITIAL), isinstance(spec.initial, FanInUniform)
    chosen = [] if biases else ['name.endswith(".weight")', *['".bn" not in name'] * bool(spec.statistic_shapes())]
    lines = [
        "def initialize(found):",
        f'    """Weights ~ {rule_of(spec)}; `found`: {{name: tensor}}. Replace it to start from others."""',
        "    random = np.random.default_rng(SEED)",
        "    for name, tensor in found.items():",
    ]
    inner = ["shape = tensor.shape()"]
    if "fan_in" in rule:
        weight = "weight" if biases else "shape"
        inner += ['weight = found[name.replace(".bias", ".weight")].shape()'] * biases
        dense, conv = f"{weight}[0]", f"{weight}[0] if len({weight}) == 2 else math.prod({weight}[1:])"
        inner.append(f"fan_in = {conv if spec.convolutional else dense}")
    inner.append(f"tensor.set({rule}.astype(DTYPE), PLACE)")
    if chosen:
        lines.append(f"        if {' and '.join(chosen)}:")
    lines += [("            " if chosen else "        ") + one for one in inner]
    return "\n".join(lines) + "\n\n\n"


TRAINING = '''def train({taken}, steps=STEPS, initialize=initialize, draw_noise=draw_noise):
    """The trained Programs, and {{loss: value}} of every step."""
    programs, found = create()
    initialize(found)
    history = []
    for step, inputs in zip(range(steps), batches({taken})):
        values = train_step(programs, inputs, draw_noise(step))
        history.append({{name: float(value) for name, value in values.items()}})
        if (step + 1) % 100 == 0:
            print(step + 1, ", ".join(f"{{name}} {{value:.4f}}" for name, value in history[-1].items()))
    return programs, history


def save(programs, name):
    """Inference models, to be loaded by `paddle.static.load_inference_model`: coding and sampling."""
    for job in {{"encode", "reconstruct", "sample"}} & programs.keys():
        main, given, fetched = programs[job]
        feeds, fetches = list(given.values()), list(fetched.values())
        paddle.static.save_inference_model(f"{{name}}_{{job}}", feeds, fetches, EXECUTOR, program=main)


'''

SAMPLES = '''def pictures(programs, count=64):
    """(count, ...): samples."""
    random = np.random.default_rng((SEED, STEPS))
    return run(programs["sample"], {noise})["value"]
'''

COPIES = '''def pictures(programs, images):
    """Rows of eight images, each with the row of their reconstructions below it."""
    given = next(batches(images))["images"][:32]
    made = run(programs["reconstruct"], {"images": given})["value"]
    return np.stack([given.reshape(4, 8, -1), made.reshape(4, 8, -1)], axis=1)
'''
