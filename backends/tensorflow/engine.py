"""The TensorFlow engine: everything about running a model that does not depend on the model.

Keras layers, tf.GradientTape and Algorithm 1 in TensorFlow operations. A training step is compiled by XLA;
`train_steps` is one compiled loop over many of them, on a data set that sits on the device as uint8.
"""

import contextlib
import functools
import operator
import os
import subprocess
import sys
import zlib
from dataclasses import dataclass

import numpy as np

from common.contract import Snapshot
from common.errors import UsageError
from common.specs.draws import Bernoulli, Normal, OneHot, Uniform
from common.specs.layers import BatchNorm, Conv, ConvTranspose, Dense

# TensorFlow and Keras read these when they are imported.
os.environ["KERAS_BACKEND"] = "tensorflow"
# Start-up notices of the C++ side, an ERROR line wherever there is no GPU among them; failures raise all the same.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# oneDNN serves float32 outside XLA only, with kernels chosen by processor: results would depend on the machine.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
# TensorFlow takes all of a GPU's memory otherwise; the other backends' processes need theirs.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


@contextlib.contextmanager
def _without_cuda_notice():
    """Drops what TensorFlow writes where there is no CUDA driver before it heeds TF_CPP_MIN_LOG_LEVEL
    (tensorflow#100442), past sys.stderr. Everything else on standard error is passed on, by a process of its own: that of an
    import that ends in abort(), as on a processor without AVX, too."""
    sift = (
        "import sys\n"
        "for line in sys.stdin.buffer:\n"
        "    if b'cudart_stub.cc' not in line and b'absl::InitializeLog()' not in line:\n"
        "        sys.stderr.buffer.write(line)\n"
        "        sys.stderr.flush()"
    )
    command = [sys.executable, "-I", "-S", "-c", sift]
    # A group of its own, which Ctrl-C does not reach: it ends with the last line of this process.
    with subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0) as sieve:
        stderr = os.dup(2)
        os.dup2(sieve.stdin.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


with _without_cuda_notice():
    import keras
    import tensorflow as tf

if keras.config.backend() != "tensorflow":
    raise UsageError(f"Keras runs on {keras.config.backend()!r} in this process already; use a process of its own")

# TF32 rounds float32 inputs to 10 bits of mantissa on recent GPUs; TensorFlow leaves it on.
tf.config.experimental.enable_tensor_float_32_execution(False)

# Every Column traces its own functions, which TensorFlow takes for needless retracing where a process has several.
tf.get_logger().addFilter(lambda record: "triggered tf.function retracing" not in record.getMessage())

# How Keras keeps a layer's parameters and statistics: {record: {canonical kind: (its attribute, its axes in canonical
# order)}}.
LAYOUTS = {
    Dense: {"weight": ("kernel", (1, 0)), "bias": ("bias", (0,))},
    Conv: {"weight": ("kernel", (3, 2, 0, 1)), "bias": ("bias", (0,))},  # (kernel, kernel, in, out)
    ConvTranspose: {"weight": ("kernel", (3, 2, 0, 1)), "bias": ("bias", (0,))},  # (kernel, kernel, out, in)
    BatchNorm: {
        "weight": ("gamma", (0,)),
        "bias": ("beta", (0,)),
        "mean": ("moving_mean", (0,)),
        "variance": ("moving_variance", (0,)),
    },
}


@dataclass
class State:
    """A model and one optimiser per update of the specification; `train_step` changes both in place."""

    model: keras.Model
    optimizers: dict[str, "Adam"]


class Adam(tf.Module):
    """Algorithm 1 with coupled L2, restricted to the update's networks.

    Not keras.optimizers.Adam, whose ε sits inside the bias correction and whose β1, β2 pass through float32.
    """

    def __init__(self, update, model):
        super().__init__()
        self.settings = update.optimizer
        self.parameters = [v for name in update.networks for v in getattr(model, name).trainable_variables]
        self.first = [tf.Variable(tf.zeros(v.shape, v.dtype)) for v in self.parameters]
        self.second = [tf.Variable(tf.zeros(v.shape, v.dtype)) for v in self.parameters]
        self.step = tf.Variable(0, dtype=tf.int64)

    def apply(self, gradients):
        adam = self.settings
        self.step.assign_add(1)
        # In float64 whatever the model's dtype is: with β2 = 0.999 in float32, 1 - β2 is off by 1e-5.
        step = tf.cast(self.step, tf.float64)
        correction1, correction2 = 1 - adam.beta1**step, 1 - adam.beta2**step
        for parameter, gradient, first, second in zip(self.parameters, gradients, self.first, self.second, strict=True):
            gradient += adam.l2 * parameter
            first.assign(adam.beta1 * first + (1 - adam.beta1) * gradient)
            second.assign(adam.beta2 * second + (1 - adam.beta2) * gradient**2)
            corrected_first = first / tf.cast(correction1, first.dtype)
            corrected_second = second / tf.cast(correction2, second.dtype)
            parameter.assign_sub(adam.learning_rate * corrected_first / (tf.sqrt(corrected_second) + adam.epsilon))


def has_gpu():
    return bool(tf.config.list_physical_devices("GPU"))


def _on_device(method):
    @functools.wraps(method)
    def run(self, *args, **kwargs):
        with tf.device(self.device):
            return method(self, *args, **kwargs)

    return run


class Column:
    """One model in TensorFlow, behind the contract of `common.contract.Column`."""

    def __init__(self, spec, module, parameters, *, dtype, device, seed):
        if device == "gpu" and not has_gpu():
            raise UsageError("device 'gpu' was asked for, but TensorFlow finds no GPU; use --device cpu")
        self.spec, self.module, self.dtype, self.seed = spec, module, dtype, seed
        self.device = {"cpu": "/CPU:0", "gpu": "/GPU:0"}[device]
        # In a loop XLA leaves the fast path of convolutions on a CPU: 1.6 s for a weight gradient that takes 40 ms.
        self.one_by_one = spec.convolutional and device == "cpu"
        self.state = module.build(spec, dtype, self.device)
        self.variables = {}  # {canonical name: (variable, axes)} of parameters and running statistics
        for name, (layer, kind) in spec.owners().items():
            attribute, axes = LAYOUTS[type(layer)][kind]
            path = name.removesuffix(kind) + attribute
            self.variables[name] = (operator.attrgetter(path)(self.state.model), axes)
        self.restore(Snapshot.start(spec, parameters))

    # ------------------------------------------------------------------------- parameters and moments

    def parameters(self):
        return {name: _canonical(variable, axes) for name, (variable, axes) in self._parameters().items()}

    def statistics(self):
        return {name: _canonical(variable, axes) for name, (variable, axes) in self._statistics().items()}

    def moments(self):
        return {name: _canonical(variable, axes) for name, (variable, axes) in self._moments().items()}

    @_on_device
    def restore(self, snapshot):
        self.step = snapshot.step
        for variables, arrays in (
            (self._parameters(), snapshot.parameters),
            (self._statistics(), snapshot.statistics),
            (self._moments(), snapshot.moments),
        ):
            for name, (variable, axes) in variables.items():
                variable.assign(np.transpose(arrays[name], np.argsort(axes)))
        for optimizer in self.state.optimizers.values():
            optimizer.step.assign(snapshot.step)

    def _parameters(self):
        return {name: self.variables[name] for name in self.spec.parameter_shapes()}

    def _statistics(self):
        return {name: self.variables[name] for name in self.spec.statistic_shapes()}

    def _moments(self):
        names = {id(variable): (name, axes) for name, (variable, axes) in self._parameters().items()}
        return {
            f"{update}.{moment}.{name}": (variable, axes)
            for update, optimizer in self.state.optimizers.items()
            for moment, variables in (("first", optimizer.first), ("second", optimizer.second))
            for parameter, variable in zip(optimizer.parameters, variables, strict=True)
            for name, axes in [names[id(parameter)]]
        }

    # -------------------------------------------------------------------------------- one call, one job

    @_on_device
    def forward(self, x, noise):
        with self._looking_on():
            return _arrays(self.module.forward(self.state.model, self._tensor(x), self._tensors(noise)))

    @_on_device
    def losses(self, x, noise):
        with self._looking_on():
            return _floats(self.module.losses(self.state.model, self._tensor(x), self._tensors(noise)))

    @_on_device
    def gradients(self, x, noise):
        with self._looking_on(), tf.GradientTape(persistent=True) as tape:
            values = self.module.losses(self.state.model, self._tensor(x), self._tensors(noise))
        result = {}
        for update in self.spec.updates:
            moved = {n: v for n, v in self._parameters().items() if n.split(".")[0] in update.networks}
            gradients = tape.gradient(values[update.objective], [variable for variable, _ in moved.values()])
            for (name, (_, axes)), gradient in zip(moved.items(), gradients, strict=True):
                result[f"{update.name}.{name}"] = _canonical(gradient, axes)
        return result

    @_on_device
    def train_step(self, x, noise):
        self.step += 1
        return _floats(self._compiled_step(self._tensor(x), self._tensors(noise)))

    @_on_device
    def encode(self, x):
        return self.module.encode(self.state.model, self._tensor(x)).numpy()

    @_on_device
    def reconstruct(self, x, noise):
        return self.module.reconstruct(self.state.model, self._tensor(x), self._tensors(noise)).numpy()

    @_on_device
    def sample(self, noise):
        return self.module.sample(self.state.model, self._tensors(noise)).numpy()

    @contextlib.contextmanager
    def _looking_on(self):
        """Running statistics, which a pass in training mode moves, come back as they were."""
        variables = [variable for variable, _ in self._statistics().values()]
        before = [variable.numpy() for variable in variables]
        yield
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)

    @tf.function(jit_compile=True, autograph=False)
    def _compiled_step(self, x, noise):
        return self.module.train_step(self.state, x, noise)

    # ------------------------------------------------------------------------------------- many steps

    @_on_device
    def upload(self, images):
        self.images = tf.constant(images)

    @_on_device
    def train_steps(self, indices, noise=None):
        if self.one_by_one:
            return self._one_by_one(indices, noise)
        count, first_step = len(indices), tf.constant(self.step, tf.int64)
        # Two rows at least, of which `count` run: from a stack or a loop of one, XLA drops the indexing, fuses the
        # step differently and so rounds it differently, and a run would depend on how it is cut into calls.
        rows = [0, 0] if count == 1 else slice(None)
        noise = {name: self._tensor(value[rows]) for name, value in noise.items()} if noise is not None else None
        table = self._compiled_steps(self.images, tf.constant(indices[rows]), noise, tf.constant(count), first_step)
        self.step += count
        return {name: table[:count, column].numpy() for column, name in enumerate(self.loss_names)}

    @tf.function(jit_compile=True)
    def _compiled_steps(self, images, indices, noise, count, first_step):
        table = tf.TensorArray(self.dtype, indices.shape[0])
        for k in tf.range(count):  # AutoGraph makes this a loop on the device
            one = {name: value[k] for name, value in noise.items()} if noise is not None else None
            table = table.write(k, self._one_of_many(images, indices[k], one, first_step + tf.cast(k, tf.int64)))
        return table.stack()

    def _one_by_one(self, indices, noise):
        rows = []
        for k, batch in enumerate(indices):
            one = {name: self._tensor(value[k]) for name, value in noise.items()} if noise is not None else None
            rows.append(self._compiled_one(self.images, tf.constant(batch), one, tf.constant(self.step, tf.int64)))
            self.step += 1
        table = tf.stack(rows).numpy()
        return {name: table[:, column] for column, name in enumerate(self.loss_names)}

    @tf.function(jit_compile=True, autograph=False)
    def _compiled_one(self, images, batch, noise, step):
        return self._one_of_many(images, batch, noise, step)

    @tf.autograph.experimental.do_not_convert  # it cannot read `match`, and the loop above is all there is to convert
    def _one_of_many(self, images, batch, noise, step):
        size = batch.shape[0]
        x = self.spec.images.scale(tf.cast(tf.gather(images, batch), self.dtype))
        x = tf.reshape(x, (size, *self.spec.images.shape))
        values = self.module.train_step(self.state, x, noise if noise is not None else self._draw(size, step))
        self.loss_names = list(values)
        return tf.stack(list(values.values()))

    @_on_device
    def native_noise(self, count, batch):
        draws = [self._draw(batch, tf.constant(self.step + k, tf.int64)) for k in range(count)]
        return {name: np.stack([one[name].numpy() for one in draws]) for name in draws[0]}

    @tf.function(jit_compile=True, autograph=False)  # XLA's generator draws other numbers than TensorFlow's own
    def _draw(self, batch, step):
        return {noise.name: self._draw_one(noise, (batch, *noise.shape), step) for noise in self.spec.noise}

    def _draw_one(self, noise, shape, step):
        # XLA reads the lower 32 bits of each half of a seed; SeedSequence mixes seed and name into the first half.
        mixed = np.random.SeedSequence((self.seed, zlib.crc32(noise.name.encode()))).generate_state(1)[0]
        seed = tf.stack([tf.constant(mixed, tf.int64), step])
        match noise.distribution:
            case Normal(mean, std):
                return tf.random.stateless_normal(shape, seed, mean, std, self.dtype)
            case Uniform(low, high):
                return tf.random.stateless_uniform(shape, seed, low, high, self.dtype)
            case Bernoulli(keep):
                return tf.cast(tf.random.stateless_uniform(shape, seed, 0.0, 1.0, self.dtype) < keep, self.dtype)
            case OneHot():
                classes = tf.random.stateless_uniform(shape[:-1], seed, 0, shape[-1], tf.int32)
                return tf.one_hot(classes, shape[-1], dtype=self.dtype)

    def _tensor(self, array):
        return tf.constant(np.asarray(array), self.dtype)

    def _tensors(self, arrays):
        return {name: self._tensor(array) for name, array in arrays.items()}


def _canonical(tensor, axes):
    return np.ascontiguousarray(np.transpose(tensor.numpy(), axes))


def _arrays(tensors):
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def _floats(tensors):
    return {name: float(tensor) for name, tensor in tensors.items()}
