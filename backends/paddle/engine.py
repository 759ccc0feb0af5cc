"""The Paddle engine: everything about running a model that does not depend on the model.

Importing it calls paddle.enable_static(), which holds for the whole process: other code in it that uses Paddle in
dynamic mode must call paddle.disable_static() first and paddle.enable_static() after.

A model is a set of static Programs, one per job. They share parameters by name through one Scope, in Paddle's own
layouts; a training Program gathers and scales its batch from the uint8 data set in that Scope.
"""

import os
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from common.errors import UsageError
from common.specs.records import Dense, Normal

# Paddle's CPU wheel brings an MKL of 2019, which keeps to its slow generic path on AMD processors unless told that
# AVX2 is there: a VAE update takes 9 ms instead of 16. (On Intel it would hold MKL back from AVX-512.)
if (cpuinfo := Path("/proc/cpuinfo")).exists() and "AuthenticAMD" in cpuinfo.read_text():
    os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
# Errors only: the executor announces itself, and paddle.normal warns of an `out` that nobody passed.
os.environ.setdefault("GLOG_minloglevel", "2")
threads = os.environ.get("OMP_NUM_THREADS")
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "No ccache found", UserWarning)  # only of use to those who compile operators
    import paddle
if threads is None:
    os.environ.pop("OMP_NUM_THREADS", None)  # Paddle leaves 1 behind, which child processes would inherit

paddle.enable_static()
# TF32 rounds float32 inputs to 10 bits of mantissa on recent GPUs; Paddle leaves it on for convolutions.
paddle.base.core.set_cublas_switch(False)
paddle.base.core.set_cudnn_switch(False)

# Where a training Program has x and noise from: both fed; the uploaded images and fed noise; the uploaded images and
# noise that it draws itself.
SOURCES = ("fed", "replayed", "native")

# canonical.transpose(axes) is Paddle's layout.
AXES = {Dense: {"weight": (1, 0), "bias": (0,)}}


def named(path):
    """Attributes of a layer whose parameters are called path.weight and path.bias; `restore` sets their values."""
    return {
        f"{kind}_attr": paddle.ParamAttr(name=f"{path}.{kind}", initializer=paddle.nn.initializer.Constant(0.0))
        for kind in ("weight", "bias")
    }


def number(value):
    """A constant in the model's dtype: numbers in attributes, and beside the operators of a Value, pass through float32."""
    return paddle.full([1], value, paddle.get_default_dtype())


class CoupledL2(paddle.regularizer.WeightDecayRegularizer):
    """l2·θ, to be added to the gradient. Paddle's L2Decay is the same with l2 rounded to float32."""

    def __init__(self, l2):
        self.l2 = l2

    def __call__(self, parameter, gradient, block):
        return number(self.l2) * parameter


def adam(update):
    """Paddle's Adam, which is Algorithm 1 once its numbers are tensors of the model's dtype."""
    return paddle.optimizer.Adam(
        learning_rate=update.adam.learning_rate,
        beta1=number(update.adam.beta1),
        beta2=number(update.adam.beta2),
        epsilon=number(update.adam.epsilon),
        weight_decay=CoupledL2(update.adam.l2) if update.adam.l2 else None,
    )


def parameters(model, update):
    """The parameters that the update moves: those of its networks."""
    return [parameter for name in update.networks for parameter in getattr(model, name).parameters()]


def gradients(spec, model, values):
    """{"train.encoder.fc0.weight": ...}: the gradient of each update's objective, without L2."""
    result = {}
    for update in spec.updates:
        moved = parameters(model, update)
        slopes = paddle.static.gradients(values[update.objective], moved)
        result |= {f"{update.name}.{p.name}": slope for p, slope in zip(moved, slopes, strict=True)}
    return result


class Program:
    """A static Program (`main`, `startup`) with its inputs, what it fetches, and its own Executor.

    An Executor keeps 8 compiled Programs and silently compiles the ninth again each time, hence one for each.
    """

    def __init__(self, spec, source, place):
        self.spec, self.source = spec, source
        self.main, self.startup = paddle.static.Program(), paddle.static.Program()
        self.executor = paddle.static.Executor(place)
        self.feeds, self.fetch = [], {}

    def data(self, name, shape, dtype=None):
        """paddle.static.data of the default dtype for (B, *shape); None stands for the batch."""
        self.feeds.append(name)
        return paddle.static.data(name, [None, *shape], dtype)

    def x(self):
        """(B, *input_shape) in spec.pixels."""
        if self.source == "fed":
            return self.data("x", self.spec.input_shape)
        images = paddle.static.data("images", [None, 28, 28], "uint8")
        images.persistable = True  # it lies in the Scope and is not fed
        self.indices = self.data("indices", (), "int32")
        # spec.scale on a Value would round its numbers to float32; in NumPy it is exact, and 256 levels are all.
        levels = paddle.assign(self.spec.scale(np.arange(256, dtype=paddle.get_default_dtype())))
        pixels = paddle.gather(images, self.indices).astype("int32")  # (B, 28, 28)
        return paddle.gather(levels, pixels.flatten()).reshape([-1, *self.spec.input_shape])

    def noise(self, declared=None):
        """{name: (B, *shape)}, of a training step unless other noise is `declared`."""
        declared = self.spec.noise if declared is None else declared
        if self.source != "native":
            return {noise.name: self.data(noise.name, noise.shape) for noise in declared}
        batch = paddle.shape(self.indices)[0]
        return {noise.name: _draw_one(noise.distribution, [batch, *noise.shape]) for noise in declared}


def _draw_one(distribution, shape):
    match distribution:
        case Normal(mean, std):
            return paddle.normal(mean, std, shape)


class State:
    """The Programs of one model, by (job, source), and the Scope that holds parameters, moments and images."""

    def __init__(self, spec, dtype, device):
        self.spec, self.dtype = spec, dtype
        self.place = paddle.CUDAPlace(0) if device == "gpu" else paddle.CPUPlace()
        self.scope = paddle.static.Scope()
        self.programs = {}
        self.noise_seed = None  # of the step's native noise

    @contextmanager
    def program(self, job, source="fed"):
        """A new Program under static.program_guard, to be filled by the `with` block. An update's has the update's name.

        Within one Program a parameter name used twice makes two parameters; between Programs equal names share. The
        optimiser's variables are called by the job: train.encoder.fc0.weight_moment1_0, train.learning_rate_0.
        """
        program = Program(self.spec, source, self.place)
        outside = paddle.get_default_dtype()
        paddle.set_default_dtype(self.dtype)
        try:
            with (
                paddle.static.program_guard(program.main, program.startup),
                paddle.utils.unique_name.guard(f"{job}."),
                warnings.catch_warnings(),
            ):
                # Paddle's own minimize asks a static Value for its place.
                warnings.filterwarnings("ignore", "Tensor do not have 'place' interface", UserWarning)
                yield program
        finally:
            paddle.set_default_dtype(outside)
        paddle.static.Executor(self.place).run(program.startup, scope=self.scope)
        self.programs[job, source] = program

    def run(self, job, x=None, noise=None):
        """Run one Program; {name: array} of what it fetches.

        An integer x (B,) holds indices of uploaded images; without noise the Program then draws its own.
        """
        source = "fed" if x is None or x.dtype.kind != "i" else "native" if noise is None else "replayed"
        program = self.programs[job, source]
        if source == "native":
            # Ahead of each Program, so that all Programs of a step see the same draws.
            paddle.seed(self.noise_seed)
        given = {"x": x, "indices": x, **(noise or {})}
        values = program.executor.run(
            program.main,
            feed={name: given[name] for name in program.feeds},
            fetch_list=list(program.fetch.values()),
            scope=self.scope,
        )
        return dict(zip(program.fetch, values, strict=True))


class Column:
    """One model in Paddle, behind the contract of `common.contract.Column`."""

    def __init__(self, spec, module, parameters, *, dtype, device, seed):
        if device == "gpu" and not (paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count()):
            raise UsageError("device 'gpu' was asked for, but Paddle finds no CUDA device; use --device cpu")
        self.spec, self.module, self.dtype, self.seed = spec, module, dtype, seed
        self.layers = spec.layers()
        self.state = module.build(spec, dtype, device)
        self.restore(parameters, {}, 0)

    # ------------------------------------------------------------------------- parameters and moments

    def parameters(self):
        return {name: self._get(name, name) for name in self.spec.parameter_shapes()}

    def moments(self):
        return {name: self._get(variable, parameter) for name, variable, parameter in self._moments()}

    def restore(self, parameters, moments, step):
        self.step = step
        for name in self.spec.parameter_shapes():
            self._set(name, self._paddle(name, parameters[name]))
        for name, variable, parameter in self._moments():
            value = moments[name] if moments else np.zeros(self.spec.parameter_shapes()[parameter])
            self._set(variable, self._paddle(parameter, value))
        for update in self.spec.updates:
            # Adam keeps βᵗ⁺¹ beside each parameter, multiplied up step by step; with a tensor for β it starts from 0.9
            # and 0.999 whatever β is.
            for power, beta in (("beta1", update.adam.beta1), ("beta2", update.adam.beta2)):
                value = np.cumprod(np.full(step + 1, beta, self.dtype), dtype=self.dtype)[-1:]
                for name in self.spec.parameter_shapes(update.networks):
                    self._set(f"{update.name}.{name}_{power}_pow_acc_0", value)

    def _moments(self):
        """(canonical name, Paddle's variable, parameter) of every moment."""
        return [
            (f"{update.name}.{moment}.{name}", f"{update.name}.{name}_{key}_0", name)
            for update in self.spec.updates
            for moment, key in (("first", "moment1"), ("second", "moment2"))
            for name in self.spec.parameter_shapes(update.networks)
        ]

    def _axes(self, name):
        path, kind = name.rsplit(".", 1)
        return AXES[type(self.layers[path])][kind]

    def _paddle(self, name, array):
        return np.transpose(array, self._axes(name))

    def _canonical(self, name, array):
        return np.transpose(array, np.argsort(self._axes(name))).copy()

    def _get(self, variable, name):
        return self._canonical(name, np.asarray(self.state.scope.find_var(variable).get_tensor()))

    def _set(self, variable, array):
        tensor = self.state.scope.find_var(variable).get_tensor()
        tensor.set(np.ascontiguousarray(array, self.dtype), self.state.place)

    # -------------------------------------------------------------------------------- one call, one job

    def forward(self, x, noise):
        return self.state.run("forward", self._array(x), self._arrays(noise))

    def losses(self, x, noise):
        return _floats(self.state.run("losses", self._array(x), self._arrays(noise)))

    def gradients(self, x, noise):
        values = self.state.run("gradients", self._array(x), self._arrays(noise))
        return {name: self._canonical(name.split(".", 1)[1], value) for name, value in values.items()}

    def train_step(self, x, noise):
        self.step += 1
        return _floats(self.module.train_step(self.state, self._array(x), self._arrays(noise)))

    def encode(self, x):
        return self.state.run("encode", self._array(x))["encode"]

    def reconstruct(self, x, noise):
        return self.state.run("reconstruct", self._array(x), self._arrays(noise))["reconstruct"]

    def sample(self, noise):
        return self.state.run("sample", noise=self._arrays(noise))["sample"]

    # ------------------------------------------------------------------------------------- many steps

    def upload(self, images):
        self.state.scope.var("images").get_tensor().set(np.ascontiguousarray(images), self.state.place)

    def train_steps(self, indices, noise=None):
        noise = self._arrays(noise) if noise is not None else None
        rows = []
        for k, batch in enumerate(np.asarray(indices, np.int32)):
            # Seeded per step, so that a resumed run draws what an uninterrupted one would.
            self.state.noise_seed = int(np.random.SeedSequence((self.seed, self.step)).generate_state(1, np.uint64)[0])
            one = {n: v[k] for n, v in noise.items()} if noise is not None else None
            rows.append(self.module.train_step(self.state, batch, one))
            self.step += 1
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def _array(self, array):
        return np.asarray(array, self.dtype)

    def _arrays(self, arrays):
        return {name: self._array(array) for name, array in arrays.items()}


def _floats(values):
    return {name: float(value) for name, value in values.items()}
