"""The program with which article `infogan` shows what a static Program is, its calls translated from `fluid` to `paddle.static` and
nothing repaired: what it does in today's Paddle.

Parameters are given to `minimize` as Values, because it refuses the article's names (`by_name`).
"""

from backends.paddle import process  # isort: skip

import contextlib
import json
import time
import warnings

import numpy as np
import paddle
from paddle import nn, static

Z_DIM, BATCH = 100, 128  # which the article leaves open
STEPS, SAMPLES = 200, 100
UNFETCHED, SIDE = 100, 300  # matrix products that nobody asks for, and their size


def build():
    """{name: (Program, fetched Value)} of its three Programs, in its order."""

    def discriminator(x):
        with paddle.utils.unique_name.guard("D_"):
            h = static.nn.fc(x, 256, activation="relu")
            return static.nn.fc(h, 1, activation="sigmoid")

    def generator(z):
        with paddle.utils.unique_name.guard("G_"):
            h = static.nn.fc(z, 256, activation="relu")
            return static.nn.fc(h, 784, activation="sigmoid")

    def get_params(program, prefix):
        return [p for p in program.global_block().all_parameters() if p.name.startswith(prefix)]

    G_program = static.Program()
    with static.program_guard(G_program):
        Z = static.data("Z", [None, Z_DIM], "float32")
        D_fake = discriminator(generator(Z))
        G_loss = 0.0 - paddle.mean(paddle.log(D_fake + 1e-8))
        theta_G = get_params(G_program, "G")
        paddle.optimizer.Adam().minimize(G_loss, parameters=theta_G)

    D_program = static.Program()
    with static.program_guard(D_program):
        Z = static.data("Z", [None, Z_DIM], "float32")
        X = static.data("X", [None, 784], "float32")  # in [-1, 1], as the article's reader gives it
        X = X * 0.5 + 0.5
        G_sample = generator(Z)
        D_real = discriminator(X)
        D_fake = discriminator(G_sample)
        D_loss = 0.0 - paddle.mean(paddle.log(D_real + 1e-8) + paddle.log(1.0 - D_fake + 1e-8))
        theta_D = get_params(G_program, "D")  # of the other Program
        paddle.optimizer.Adam().minimize(D_loss, parameters=theta_D)

    Infer_program = static.Program()
    with static.program_guard(Infer_program):
        Z = static.data("Z", [None, Z_DIM], "float32")
        G_sample = generator(Z)

    return {"D": (D_program, D_loss), "G": (G_program, G_loss), "Infer": (Infer_program, G_sample)}


@contextlib.contextmanager
def quiet():
    """Without what Paddle says of its own calls, and of feeds that it then refuses."""
    with process.quiet():
        warnings.filterwarnings("ignore", "The data type of fed Variable", UserWarning)
        yield


class Printed:
    """The program with its Executor, as the article calls it: the default startup Program, the global Scope."""

    def __init__(self):
        with quiet():
            self.programs = build()
        paddle.seed(0)
        self.executor = paddle.static.Executor(paddle.CPUPlace())
        self.executor.run(paddle.static.default_startup_program())
        self.scope = paddle.static.global_scope()

    def parameters(self, name: str) -> list[str]:
        """Of one Program, in alphabetical order."""
        return sorted(p.name for p in self.programs[name][0].global_block().all_parameters())

    def run(self, name: str, **feed) -> np.ndarray:
        program, fetched = self.programs[name]
        return self.executor.run(program, feed=feed, fetch_list=[fetched])[0]

    def moved(self, name: str, **feed) -> list[str]:
        """The parameters of any Program that one run of this one changes."""

        def values():
            every = {parameter for program in self.programs for parameter in self.parameters(program)}
            return {parameter: np.array(self.scope.find_var(parameter).get_tensor()) for parameter in sorted(every)}

        before = values()
        self.run(name, **feed)
        return [parameter for parameter, value in values().items() if not np.array_equal(value, before[parameter])]

    def answer(self, z) -> str:
        """What the Program for inference says to `z` as a feed."""
        try:
            with quiet():
                images = self.run("Infer", Z=z)
        except ValueError:
            return "refused"
        same = np.array_equal(images, self.run("Infer", Z=np.asarray(z, np.float32)))
        return "taken, with the same result" if same else "taken, with another result"


def by_name() -> str:
    """What `minimize` says to a parameter given by its name, as the article gives it."""
    with paddle.static.program_guard(paddle.static.Program(), paddle.static.Program()), quiet():
        loss = paddle.mean(paddle.static.nn.fc(paddle.static.data("x", [1, 2], "float32"), 1))
        names = [p.name for p in paddle.static.default_main_program().global_block().all_parameters()]
        try:
            paddle.optimizer.Adam().minimize(loss, parameters=names)
        except TypeError as error:
            return f"TypeError: {error}"
    return "taken"


def one_name() -> dict[str, bool]:
    """Whether two layers with a weight of one name have one weight: in two Programs, and in one."""

    def layer():
        weight = paddle.ParamAttr("one_name", initializer=nn.initializer.Constant(1.0))
        return nn.Linear(1, 1, weight_attr=weight, bias_attr=False)

    executor, scope, one = static.Executor(paddle.CPUPlace()), static.Scope(), np.ones((1, 1), np.float32)
    fetched = []
    for _ in range(2):
        main, startup = static.Program(), static.Program()
        with static.program_guard(main, startup), quiet():
            x = static.data("x", [1, 1], "float32")
            first, second = layer(), layer()
            y = first(x) + second(x)
            fetched.append((main, [y, *static.gradients(y, [first.weight])]))
        executor.run(startup, scope=scope)
    scope.find_var("one_name").get_tensor().set(5 * one, paddle.CPUPlace())
    (y, slope), (other, _) = (executor.run(main, feed={"x": one}, fetch_list=of, scope=scope) for main, of in fetched)
    # Of y = w + w, were it one weight, the slope would be 2.
    return {"in two Programs": y.item() == other.item() == 10, "in one": slope.item() == 2}


def cost_of_unfetched() -> dict[str, float]:
    """Milliseconds of a run that fetches one small sum, without and with UNFETCHED products beside it: the least of a few."""
    found = {}
    for name, products in (("without", 0), ("with", UNFETCHED)):
        program = static.Program()
        with static.program_guard(program, static.Program()):
            x = static.data("x", [SIDE, SIDE], "float32")
            wanted = paddle.sum(x)
            for _ in range(products):
                paddle.matmul(x, x)
        executor, times = static.Executor(paddle.CPUPlace()), []
        for _ in range(5):
            start = time.perf_counter()
            executor.run(program, feed={"x": np.ones((SIDE, SIDE), np.float32)}, fetch_list=[wanted])
            times.append(time.perf_counter() - start)
        found[name] = 1000 * min(times)
    return found


def probe(data) -> dict[str, np.ndarray]:
    """Run it on the training images and write down what happens: "program", JSON, and the "program_samples" that it draws."""
    printed, random = Printed(), np.random.default_rng(0)

    def batch():
        images = data.train_images[random.integers(len(data.train_images), size=BATCH)].reshape(BATCH, 784)
        return (images / 127.5 - 1).astype(np.float32), noise(BATCH)

    def noise(count):
        return random.uniform(-1, 1, (count, Z_DIM)).astype(np.float32)

    x, z = batch()
    found = {
        "parameters": {name: printed.parameters(name) for name in printed.programs},
        "moved": {"D": printed.moved("D", X=x, Z=z), "G": printed.moved("G", Z=z)},
        "names": by_name(),
        "one name": one_name(),
    }
    losses = []
    for _ in range(STEPS):
        x, z = batch()
        losses.append((printed.run("D", X=x, Z=z).item(), printed.run("G", Z=z).item()))
    found |= {
        "steps": STEPS,
        "loss_d": [d for d, _ in losses],
        "loss_g": [g for _, g in losses],
        "unfetched": UNFETCHED,
        "side": SIDE,
        "milliseconds": cost_of_unfetched(),
        "feeds": {
            "float64": printed.answer(z.astype(np.float64)),
            "integers": printed.answer(np.ones((BATCH, Z_DIM), np.int64)),
            "a list of lists": printed.answer(z.tolist()),
        },
    }
    drawn = np.rint(255 * printed.run("Infer", Z=noise(SAMPLES))).astype(np.uint8).reshape(-1, 28, 28)
    return {"program": np.frombuffer(json.dumps(found).encode(), np.uint8), "program_samples": drawn}
