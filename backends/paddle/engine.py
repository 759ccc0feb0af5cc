"""The Paddle engine: everything about running a model that does not depend on the model.

A model is a set of static Programs, one per job, that share their parameters by name through one Scope, in Paddle's own
layouts. The data set lies in that Scope as uint8, and the training Programs gather and scale their batches from it.

Importing this calls paddle.enable_static(), which holds for the whole process: other code there that uses Paddle's
dynamic mode needs paddle.disable_static() before and paddle.enable_static() after.
"""

import os
import warnings
from contextlib import contextmanager

import numpy as np

from common.contract import Snapshot
from common.environment import amd_processor, has_avx512
from common.errors import UsageError
from common.specs.draws import Bernoulli, Normal, OneHot, Uniform
from common.specs.layers import BatchNorm, Conv, ConvTranspose, Dense

# The CPU wheel brings an MKL of 2019 that takes its slow generic path on AMD processors unless told that AVX-512 (7) or
# AVX2 (5) is there: square matrix products at 430 GFLOP/s or 230 instead of 90.
if amd_processor():
    os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "7" if has_avx512() else "5")
# Where OMP_NUM_THREADS asks for more than Paddle's one thread for an operator: one operator after another, because those
# that Paddle would run at once compete for the cores (a VAE update takes 4.2 ms instead of 5.2 on two); and threads that
# wait must not spin for 200 ms, because the executor and other processes want the cores.
if os.environ.get("OMP_NUM_THREADS", "1") != "1":
    os.environ.setdefault("FLAGS_new_executor_serial_run", "1")
    os.environ.setdefault("KMP_BLOCKTIME", "1")
# Errors only: the executor announces itself, and paddle.normal warns of an `out` that nobody passed.
os.environ.setdefault("GLOG_minloglevel", "2")
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "No ccache found", UserWarning)  # of use to those who compile operators
    import paddle

paddle.enable_static()
# TF32 rounds float32 inputs to 10 bits of mantissa on recent GPUs; Paddle leaves it on for convolutions.
paddle.base.core.set_cublas_switch(False)
paddle.base.core.set_cudnn_switch(False)

# Where a training Program has x and noise from: fed; uploaded images and fed noise; uploaded images and its own draws.
SOURCES = ("fed", "replayed", "native")

# canonical.transpose(axes) is Paddle's layout.
AXES = {
    Dense: {"weight": (1, 0), "bias": (0,)},
    Conv: {"weight": (0, 1, 2, 3), "bias": (0,)},
    ConvTranspose: {"weight": (0, 1, 2, 3), "bias": (0,)},
    BatchNorm: {"weight": (0,), "bias": (0,), "mean": (0,), "variance": (0,)},
}


def named(path, bias=True):
    """A layer's attributes: its parameters are path.weight and path.bias, whose values `restore` sets."""
    zero = paddle.nn.initializer.Constant(0.0)
    return {
        "weight_attr": paddle.ParamAttr(f"{path}.weight", zero),
        "bias_attr": bias and paddle.ParamAttr(f"{path}.bias", zero),
    }


def number(value):
    """A constant in the model's dtype. A Python number, in an attribute or times a Value, is rounded to float32."""
    return paddle.full([], value, paddle.get_default_dtype())


class CoupledL2(paddle.regularizer.WeightDecayRegularizer):
    """l2·θ, to be added to the gradient: Paddle's L2Decay, which rounds l2 to float32."""

    def __init__(self, l2):
        self.l2 = number(l2)

    def __call__(self, parameter, gradient, block):
        return self.l2 * parameter


def adam(update):
    """Paddle's Adam: Algorithm 1, once its numbers are tensors of the model's dtype."""
    return paddle.optimizer.Adam(
        learning_rate=update.optimizer.learning_rate,
        beta1=number(update.optimizer.beta1),
        beta2=number(update.optimizer.beta2),
        epsilon=number(update.optimizer.epsilon),
        weight_decay=CoupledL2(update.optimizer.l2) if update.optimizer.l2 else None,
    )


def parameters(model, update):
    """The parameters that the update moves: those of its networks, without running statistics."""
    return [p for name in update.networks for p in getattr(model, name).parameters() if p.trainable]


def gradients(model, update, values):
    """{"encoder.fc0.weight": ...}: the gradient of the update's objective among `values`, without L2. One call a Program:
    where an operator works in place, as batch norms do, Paddle would differentiate the first call's operators too."""
    moved = parameters(model, update)
    slopes = paddle.static.gradients(values[update.objective], moved)
    return {parameter.name: slope for parameter, slope in zip(moved, slopes, strict=True)}


class Once:
    """Looks the one Program that an Executor runs up in its cache, for the first run only. For the look-up Paddle prints the
    whole Program: 0.3 ms for the VAE's, and as much again for what that drives from the processor's caches."""

    def __init__(self, look_up):
        self.look_up, self.found = look_up, None

    def __call__(self, *arguments):
        self.found = self.found or self.look_up(*arguments)
        return self.found


class Program:
    """A static Program (`main`, `startup`), its inputs, what it fetches, and an Executor of its own.

    Of its own, because an Executor keeps 8 compiled Programs and with a ninth silently compiles again on every run. It is
    complete, and keeps its feeds and fetches, from its first run on.
    """

    def __init__(self, spec, source, place):
        self.spec, self.source = spec, source
        self.main, self.startup = paddle.static.Program(), paddle.static.Program()
        self.executor = paddle.static.Executor(place)
        cache = self.executor._executor_cache
        cache.get_pir_program_and_executor = Once(cache.get_pir_program_and_executor)
        self.feeds, self.fetch = {}, {}  # {name: dtype} of the inputs, {name: Value} of the results
        self.inputs = []  # the Values that are fed

    def data(self, name, shape, dtype=None):
        """paddle.static.data for (B, *shape), of the model's dtype unless another is given; None is the batch."""
        self.feeds[name] = dtype or paddle.get_default_dtype()
        self.inputs.append(paddle.static.data(name, [None, *shape], self.feeds[name]))
        return self.inputs[-1]

    def x(self):
        """(B, *input_shape) in spec.images.pixels."""
        if self.source == "fed":
            return self.data("x", self.spec.images.shape)
        images = paddle.static.data("images", [None, 28, 28], "uint8")
        images.persistable = True  # it lies in the Scope and is not fed
        # spec.scale with tensors for its numbers, see `number`; without what changes nothing.
        low, high = self.spec.images.pixels
        x = paddle.gather(images, self.indices).astype(paddle.get_default_dtype()) / number(255)  # (B, 28, 28)
        x = x if (low, high) == (0, 1) else x * number(high - low) + number(low)
        return x.reshape([-1, *self.spec.images.shape])

    def noise(self, declared):
        """{name: (B, *shape)} of the `declared` random draws: fed, or drawn by the Program itself."""
        if self.source != "native":
            return {noise.name: self.data(noise.name, noise.shape) for noise in declared}
        batch = paddle.shape(self.indices)[0]
        return {noise.name: _draw_one(noise.distribution, [batch, *noise.shape]) for noise in declared}


def _draw_one(distribution, shape):
    match distribution:
        case Normal(mean, std):
            return paddle.normal(mean, std, shape)
        case Uniform(low, high):
            return paddle.uniform(shape, min=low, max=high)
        case Bernoulli(keep):
            return (paddle.uniform(shape, min=0.0, max=1.0) < keep).astype(paddle.get_default_dtype())
        case OneHot():
            classes = paddle.randint(0, shape[-1], shape[:-1])
            return paddle.nn.functional.one_hot(classes, shape[-1]).astype(paddle.get_default_dtype())


class State:
    """The Programs of one model, by (job, source), and the Scope that holds parameters, moments and images."""

    def __init__(self, spec, dtype, device):
        self.spec, self.dtype = spec, dtype
        self.place = paddle.CUDAPlace(0) if device == "gpu" else paddle.CPUPlace()
        self.scope = paddle.static.Scope()
        self.programs = {}
        self.noise_seeds = {}  # of the step's native noise, by update

    @contextmanager
    def program(self, job, source="fed"):
        """A new Program under static.program_guard, for the `with` block to fill. An update's is called as the update.

        Equal names are one variable, so the job prefixes what an optimiser creates: train.encoder.fc0.weight_moment1_0,
        train.learning_rate_0. Without, the last of two updates to be built would set the learning_rate_0 of both.
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
                if source != "fed":
                    program.indices = program.data("indices", (), "int32")
                yield program
        finally:
            paddle.set_default_dtype(outside)
        paddle.static.Executor(self.place).run(program.startup, scope=self.scope)
        self.programs[job, source] = program

    def run(self, job, x=None, noise=None):
        """Run one Program; {name: array} of what it fetches.

        An x of one dimension holds indices of uploaded images; without noise the Program then draws its own.
        """
        source = "fed" if np.ndim(x) != 1 else "native" if noise is None else "replayed"
        program = self.programs[job, source]
        if source == "native":
            paddle.seed(self.noise_seeds[job])
        given = {"x": x, "indices": x, **(noise or {})}
        feed = {name: np.asarray(given[name], dtype) for name, dtype in program.feeds.items()}
        fetches = list(program.fetch.values())
        values = program.executor.run(program.main, feed=feed, fetch_list=fetches, scope=self.scope)
        return dict(zip(program.fetch, values, strict=True))


def has_gpu():
    return paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0


class Column:
    """One model in Paddle, behind the contract of `common.contract.Column`."""

    def __init__(self, spec, module, parameters, *, dtype, device, seed):
        if device == "gpu" and not has_gpu():
            raise UsageError("device 'gpu' was asked for, but Paddle finds no CUDA device; use --device cpu")
        self.spec, self.module, self.dtype, self.seed = spec, module, dtype, seed
        self.axes = {name: AXES[type(layer)][kind] for name, (layer, kind) in spec.owners().items()}
        self.state = module.build(spec, dtype, device)
        # For `native_noise`: what an update's Program draws, and nothing else.
        for update in spec.updates:
            with self.state.program(f"{update.name}.noise", "native") as program:
                program.fetch = program.noise(update.noise)
        self.restore(Snapshot.start(spec, parameters))

    # ------------------------------------------------------------------------- parameters and moments

    def parameters(self):
        return {name: self._canonical(name, self._tensor(name)) for name in self.spec.parameter_shapes()}

    def statistics(self):
        return {name: self._canonical(name, self._tensor(name)) for name in self.spec.statistic_shapes()}

    def moments(self):
        return {name: self._canonical(of, self._tensor(variable)) for name, variable, of in self._moments()}

    def restore(self, snapshot):
        self.step = snapshot.step
        for name, array in (snapshot.parameters | snapshot.statistics).items():
            self._set(name, np.transpose(array, self.axes[name]))
        for name, variable, of in self._moments():
            self._set(variable, np.transpose(snapshot.moments[name], self.axes[of]))
        for update in self.spec.updates:
            # Adam keeps βᵗ⁺¹ beside each parameter, a running product; given β as a tensor, it starts from 0.9 and
            # 0.999 whatever β is.
            for key, beta in (("beta1", update.optimizer.beta1), ("beta2", update.optimizer.beta2)):
                power = np.cumprod(np.full(self.step + 1, beta, self.dtype))[-1:]
                for name in self.spec.parameter_shapes(update.networks):
                    self._set(f"{update.name}.{name}_{key}_pow_acc_0", power)

    def _moments(self):
        """(canonical name, Paddle's variable, parameter) of every moment."""
        return [
            (f"{update.name}.{moment}.{name}", f"{update.name}.{name}_{key}_0", name)
            for update in self.spec.updates
            for moment, key in (("first", "moment1"), ("second", "moment2"))
            for name in self.spec.parameter_shapes(update.networks)
        ]

    def _tensor(self, variable):
        return self.state.scope.find_var(variable).get_tensor()

    def _set(self, variable, array):
        self._tensor(variable).set(np.ascontiguousarray(array, self.dtype), self.state.place)

    def _canonical(self, name, array):
        return np.transpose(np.asarray(array), np.argsort(self.axes[name])).copy()

    # -------------------------------------------------------------------------------- one call, one job

    def forward(self, x, noise):
        return self._look("forward", x, noise)

    def losses(self, x, noise):
        return _floats(self._look("losses", x, noise))

    def gradients(self, x, noise):
        result = {}
        for update in self.spec.updates:
            for name, value in self._look(f"{update.name}.gradients", x, noise).items():
                result[f"{update.name}.{name}"] = self._canonical(name, value)
        return result

    def train_step(self, x, noise):
        self.step += 1
        return _floats(self.module.train_step(self.state, x, noise))

    def encode(self, x):
        return self.state.run("encode", x)["encode"]

    def reconstruct(self, x, noise):
        return self.state.run("reconstruct", x, noise)["reconstruct"]

    def sample(self, noise):
        return self.state.run("sample", noise=noise)["sample"]

    def _look(self, job, x, noise):
        """Run a Program in training mode; the running statistics, which it moves, come back as they were."""
        before = self.statistics()
        values = self.state.run(job, x, noise)
        for name, array in before.items():
            self._set(name, array)
        return values

    # ------------------------------------------------------------------------------------- many steps

    def upload(self, images):
        self.state.scope.var("images").get_tensor().set(np.ascontiguousarray(images), self.state.place)

    def train_steps(self, indices, noise=None):
        # One run per update: several updates unrolled in one Program are no faster.
        rows = []
        for k, batch in enumerate(indices):
            self._seed(self.step)
            one = {n: v[k] for n, v in noise.items()} if noise is not None else None
            rows.append(self.module.train_step(self.state, batch, one))
            self.step += 1
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def native_noise(self, count, batch):
        draws = []
        for step in range(self.step, self.step + count):
            self._seed(step)
            draws.append({})
            for update in self.spec.updates:
                draws[-1] |= self.state.run(f"{update.name}.noise", np.zeros(batch))
        return {name: np.stack([one[name] for one in draws]) for name in draws[0]}

    def _seed(self, step):
        # Per step, so that a resumed run draws what an uninterrupted one would, and per update, which is a Program.
        seeds = np.random.SeedSequence((self.seed, step)).generate_state(len(self.spec.updates), np.uint64)
        for update, seed in zip(self.spec.updates, seeds, strict=True):
            self.state.noise_seeds[update.name] = self.state.noise_seeds[f"{update.name}.noise"] = int(seed)


def _floats(values):
    return {name: float(value) for name, value in values.items()}
