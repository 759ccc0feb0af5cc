"""What stands around a PyTorch model in a file of its own (common.tools.take): optimisers, hooks, loop, saving."""

from common.specs.draws import Bernoulli, FanInNormal, FanInUniform, FixedNormal, GlorotUniform, Normal, OneHot, Uniform
from common.specs.records import Adam, Spec
from common.tools.take.around import Distribution, drawn, rule_of, sizes
from common.tools.take.lines import body_of

IMPORTS = "import math\n\nimport torch\nfrom torch import nn\nfrom torch.nn import functional as F\n"
SETTINGS = 'DTYPE, DEVICE = torch.float32, "cuda" if torch.cuda.is_available() else "cpu"\n'
ENGINE = ("optimizer", "steps", "terms", "exact")  # files of ours that model files import from
TERMS = ("bce", "dropout")  # what is taken of them as it is
REWRITTEN = (
    (r"def train_step\(state,", "def train_step(model, optimizers,"),
    (r"state\.(model|optimizers)\b", r"\1"),
    (r"\.to\(\s*dtype=dtype, device=device\s*\)", ""),
    (r", which the engine\s+sets", ""),
)
OWN = {
    "terms": {
        "BatchNorm": '''class BatchNorm(nn.Module):
    """As nn.BatchNorm1d and 2d, but for two things: `momentum` is what is kept of the running statistics, and their variance is the
    biased one, as in TensorFlow, Paddle and Flax."""

    def __init__(self, features, momentum, epsilon):
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(self, x):
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.epsilon)
        with torch.no_grad():
            variance, mean = torch.var_mean(x, (0, *range(2, x.dim())), correction=0)
            self.running_mean.lerp_(mean, 1 - self.momentum)
            self.running_var.lerp_(variance, 1 - self.momentum)
        return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.epsilon)''',
    },
    "updates": {
        "update": '''def update(optimizer, loss):
    """One step of `optimizer` on `loss`, by its parameters alone."""
    optimizer.zero_grad()  # of what other losses have left there too
    loss.backward()
    optimizer.step()''',
        "update_all": '''def update_all(optimizers, objectives):
    """One step of every optimizer on its objective; all gradients are taken before any of them moves."""
    for name, optimizer in optimizers.items():
        optimizer.zero_grad()
        objectives[name].backward(inputs=optimizer.param_groups[0]["params"], retain_graph=True)
    for optimizer in optimizers.values():
        optimizer.step()''',
    },
}
DECORATED = SEEDED = ""


def own(spec: Spec) -> dict[str, dict[str, str]]:
    """{section: {name: source}}: OWN, as the specification needs it."""
    return OWN


def step(spec: Spec, build: str, texts: dict[str, str]) -> str:
    """`create` and `create_optimizers`."""
    body = body_of(build).replace("\n", "\n    ")
    lines = [f"def create():\n    {body}\n    return model.to(dtype=DTYPE, device=DEVICE)\n\n\n"]
    lines.append('def create_optimizers(model):\n    """One an update, each with moments of its own."""\n    return {')
    for update in spec.updates:
        owned = [f"*model.{name}.parameters()" for name in update.networks]
        parameters = f"[{', '.join(owned)}]" if len(owned) > 1 else owned[0].removeprefix("*")
        lines.append(f'"{update.name}": {_optimizer(update.optimizer, parameters)},')
    return "\n".join(lines) + "}"


def _optimizer(rule, parameters):
    if isinstance(rule, Adam):
        decay = f", weight_decay={rule.l2}" if rule.l2 else ""
        return f"torch.optim.Adam({parameters}, lr={rule.learning_rate}, betas=({rule.beta1}, {rule.beta2}), eps={rule.epsilon}{decay})"
    return f"torch.optim.RMSprop({parameters}, lr={rule.learning_rate}, alpha={rule.decay}, eps={rule.epsilon})"


def draw(distribution: Distribution, batch: str, shape: tuple[int, ...], name: str) -> str:
    """An expression for `batch` rows of one random input; `name` is that of the input, an expression too."""
    rows = ", ".join(map(str, (batch, *shape)))
    kind = "dtype=DTYPE, device=DEVICE"
    match distribution:
        case Normal(mean, std):
            scale = f"{std:g} * " if std != 1 else ""
            return f"{scale}torch.randn({rows}, {kind})" + (f" + {mean:g}" if mean else "")
        case Uniform(low, high):
            return f"torch.empty({rows}, {kind}).uniform_({low:g}, {high:g})"
        case Bernoulli(keep):
            return f"(torch.rand({rows}, device=DEVICE) < {keep:g}).to(DTYPE)"
        case OneHot():
            rows = sizes(batch, *shape[:-1])
            return f"F.one_hot(torch.randint({shape[-1]}, {rows}, device=DEVICE), {shape[-1]}).to(DTYPE)"


INITIAL = {
    FanInUniform: "nn.init.uniform_({0}, -(fan_in**-0.5), fan_in**-0.5)",
    FanInNormal: "nn.init.normal_({0}, 0.0, (GAIN / fan_in) ** 0.5)",
    GlorotUniform: "nn.init.xavier_uniform_({0})",
    FixedNormal: "nn.init.normal_({0}, 0.0, STD)",
}


def initialize(spec: Spec) -> str:
    """The hook of the weights."""
    rule = drawn(spec, INITIAL)
    kinds = "nn.Linear | nn.Conv2d | nn.ConvTranspose2d" if spec.convolutional else "nn.Linear"
    lines = [
        "def initialize(model):",
        f'    """Weights ~ {rule_of(spec)}; replace it to start from others."""',
        "    for layer in model.modules():",
        f"        if isinstance(layer, {kinds}):",
    ]
    if "fan_in" in rule:
        lines.append("            fan_in = layer.weight[0].numel()")
    lines.append("            " + rule.format("layer.weight"))
    if isinstance(spec.initial, FanInUniform):
        lines.append("            " + rule.format("layer.bias"))
    else:
        lines += ["            if layer.bias is not None:", "                nn.init.zeros_(layer.bias)"]
    return "\n".join(lines) + "\n\n\n"


TRAINING = '''def train({taken}, steps=STEPS, initialize=initialize, draw_noise=draw_noise):
    """The trained model, and {{loss: value}} of every step."""
    torch.manual_seed(SEED)
    model = create()
    initialize(model)
    optimizers, history = create_optimizers(model), []
    for step, inputs in zip(range(steps), batches({taken})):
        inputs = {{name: torch.as_tensor(value, dtype=DTYPE, device=DEVICE) for name, value in inputs.items()}}
        values = train_step(model, optimizers, inputs, draw_noise(step))
        history.append({{name: value.item() for name, value in values.items()}})
        if (step + 1) % 100 == 0:
            print(step + 1, ", ".join(f"{{name}} {{value:.4f}}" for name, value in history[-1].items()))
    return model, history


def save(model, name):
    """To be loaded by `model.load_state_dict(torch.load("{{name}}.pt", weights_only=True))` into what `create` makes."""
    torch.save(model.state_dict(), f"{{name}}.pt")


'''


SAMPLES = '''@torch.no_grad()
def pictures(model, count=64):
    """(count, ...): samples."""
    model.eval()
    return sample(model, {noise}).cpu().numpy()
'''

COPIES = '''@torch.no_grad()
def pictures(model, images):
    """Rows of eight images, each with the row of their reconstructions below it."""
    model.eval()
    given = next(batches(images))["images"][:32]
    made = reconstruct(model, {"images": torch.as_tensor(given, dtype=DTYPE, device=DEVICE)}, {}).cpu().numpy()
    return np.stack([given.reshape(4, 8, -1), made.reshape(4, 8, -1)], axis=1)
'''
