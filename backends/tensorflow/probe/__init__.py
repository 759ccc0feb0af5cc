"""A foreign Keras model, for `diff`: its layers by their own `call`, its gradients and updates by its own loss and optimiser.

The contract is in common.probing. A function with parameters={name: tensor} is a model without layers. A model that is not
built yet is built by a first forward pass on the inputs, in evaluation mode; that also tells which layers are given images
or sequences whose channels are last.
"""

import inspect
from contextlib import ExitStack

import keras
import numpy as np
import tensorflow as tf

from backends.tensorflow.probe import layers, source
from backends.tensorflow.probe.known import Weight, exact, replaced
from backends.tensorflow.probe.taps import Pass, named
from common.probing import Description, Layer, Refused, Tensor, structure


class Probe:
    """`side` is what the user's function returned: model, and where there are, loss, optimizer, parameters; with inputs
    {name: array} that the model is called with."""

    def __init__(self, side: dict, dtype: str):
        if keras.backend.backend() != "tensorflow":
            raise Refused(f"Keras runs on {keras.backend.backend()}, not TensorFlow: set KERAS_BACKEND=tensorflow")
        self.why, self.side = "", side
        self.model, self.loss_function, self.optimizer = side["model"], side.get("loss"), side.get("optimizer")
        if isinstance(self.loss_function, str):
            self.loss_function = keras.losses.get(self.loss_function)
        if isinstance(self.optimizer, str):
            self.optimizer = keras.optimizers.get(self.optimizer)
        self.known, self.rest, given = {}, {}, side.get("inputs")
        layered = isinstance(self.model, keras.layers.Layer)
        if not layered:
            values = {name: tf.Variable(tf.cast(value, dtype)) for name, value in side["parameters"].items()}
            self.rest = {name: Weight(value, name) for name, value in values.items()}
        try:
            if layered and not all(layer.built for layer in self.model._flatten_layers()):
                if given is None:
                    raise Refused("the model is not built, and there are no inputs to build it with; call it once")
                self._run([tf.convert_to_tensor(value) for value in given.values()], False)
            if layered:
                self.known, self.rest = layers.layers(self.model)
            for one in self.known.values():
                if one.layer.compute_dtype == "float64":
                    exact(one.layer)
            calls = self.forward(list(given.values()), False)[1] if given and self.known else []
            self.why = self._lower(calls) if dtype == "float64" else ""
        except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError, tf.errors.UnimplementedError) as error:
            if dtype == "float32" or "double" not in str(error).lower():
                raise
            # An operation that has no float64
            self.why = next(line for line in str(error).splitlines() if "double" in line.lower())
        self.dtype = "float32" if self.why else dtype
        self.trained = self.model.trainable_variables if layered else [one.variable for one in self.rest.values()]
        if self.optimizer is not None:
            if self.dtype == "float64":
                exact(self.optimizer)
            if not self.optimizer.built:
                self.optimizer.build(self.trained)
            self.fresh = [value.numpy() for value in self.optimizer.variables]

    def _lower(self, calls):
        """Why the model does not compute in float64, "" if it does."""
        for path, one in self.known.items():
            if found := layers.lower(one):
                return f"{path}: {found}"
        for call in calls:
            if lower := [one.dtype for one in call.outputs if one.dtype.kind == "f" and one.dtype != np.float64]:
                return f"{call.path} gives {lower[0]}"
        return ""

    # -------------------------------------------------------------------------------------- what there is

    def describe(self) -> Description:
        trained = {id(variable) for variable in self.trained}
        if self.optimizer is not None:
            trained &= {id(variable) for variable in self.optimizer._trainable_variables}

        def tensors(path, weights):
            return {
                r: Tensor(f"{path}.{w.name}" if r else path, w.shape, id(w.variable) in trained)
                for r, w in weights.items()
            }

        found = [
            Layer(path, one.kind, one.title, one.described(), tensors(path.split(":")[0], one.tensors))
            for path, one in self.known.items()
        ]  # fmt: skip
        found += [Layer(path, "unknown", "", {}, tensors(path, {"": one})) for path, one in self.rest.items()]
        return Description(
            "TensorFlow", {"tensorflow": tf.__version__, "keras": keras.__version__}, found, self.dtype, self.why,
            loss={"title": structure.title(self.loss_function)} if self.loss_function else None,
            optimizer=layers.optimizer(self.optimizer) if self.optimizer is not None else None,
        )  # fmt: skip

    def _tensors(self):
        found = {f"{path}/{role}": value for path, one in self.known.items() for role, value in one.tensors.items()}
        return found | {f"{path}/": value for path, value in self.rest.items()}

    def put(self, tensors):
        for key, one in self._tensors().items():
            if key in tensors:
                one.variable.assign(one.write(one.variable.numpy(), np.asarray(tensors[key])))

    def get(self):
        return {key: np.array(one.read(one.variable.numpy())) for key, one in self._tensors().items()}

    # ------------------------------------------------------------------------------------------- forward

    def forward(self, inputs, training):
        calls = []
        outputs = self._run([tf.convert_to_tensor(value) for value in inputs], training, calls)
        return {name: value.numpy() for name, value in named(outputs).items()}, calls

    def _run(self, inputs, training, calls=None):
        if not isinstance(self.model, keras.layers.Layer):
            return self.model({name: one.variable for name, one in self.rest.items()}, *inputs)
        layout = self.side.get("layout", {})
        last = [name for name in self.side.get("inputs", {}) if layout.get(name, "").endswith("C")]
        passed = Pass(calls, [tuple(self.side["inputs"][name].shape) for name in last])
        with ExitStack() as stack:
            owners = {}
            for path, one in self.known.items():
                owners.setdefault(id(one.layer), []).append((path, one))
            for parts in owners.values():
                layer = parts[0][1].layer
                stack.enter_context(replaced(layer, call=passed.watched(parts, layer.call)))
            return self.model(*self._arguments(inputs), training=training)

    def _arguments(self, inputs):
        """Several inputs are one structure for a functional model, and for a `call` that takes one."""
        struct = getattr(self.model, "_inputs_struct", None)
        if isinstance(struct, dict):
            return [dict(zip(struct, inputs, strict=True))]
        places = [
            one for one in inspect.signature(self.model.call).parameters.values()
            if one.name not in ("training", "mask") and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD, one.VAR_POSITIONAL)
        ]  # fmt: skip
        single = struct is not None or len(places) == 1 and places[0].kind is not places[0].VAR_POSITIONAL
        return [inputs] if single and len(inputs) > 1 else inputs

    def alone(self, path, arrays, training):
        one = self.known[path]
        given = [tf.convert_to_tensor(one.from_canonical(np.array(value))) for value in arrays]
        return one.results(one.call(given, training))

    def source(self, path, training):
        return source.source(self.known[path], self.dtype, training)

    # ------------------------------------------------------------------------- loss, gradients and updates

    def loss(self, outputs, rest):
        given = {name: tf.convert_to_tensor(np.array(value)) for name, value in outputs.items()}
        with tf.GradientTape() as tape:
            for value in given.values():
                tape.watch(value)
            found = self._loss(structure.structured(given), rest)
        gradients = tape.gradient(found, given)
        return float(found), {name: _array(one) for name, one in gradients.items() if one is not None}

    def _loss(self, outputs, rest):
        """Keras's take the targets first; what a function of Keras gives for each example is averaged, as `compile` has it."""
        rest, function = [tf.convert_to_tensor(np.array(one)) for one in rest], self.loss_function
        if self._compiled == "function":
            value = tf.reduce_mean(function(*rest[:1], outputs, *rest[1:]))
        else:
            value = function(*rest[:1], outputs, *rest[1:]) if self._compiled else function(outputs, *rest)
        if not tf.is_tensor(value) or value.shape.num_elements() != 1:
            found = tuple(value.shape) if tf.is_tensor(value) else type(value).__name__
            raise Refused(f"the loss is to return one number, not {found}")
        return tf.reshape(value, ())

    @property
    def _compiled(self):
        """Whether the loss is one of Keras's."""
        if inspect.isfunction(self.loss_function) and self.loss_function.__module__.startswith("keras."):
            return "function"
        return "object" if isinstance(self.loss_function, keras.losses.Loss) else ""

    def _differentiate(self, inputs, rest):
        """(loss, [gradient of each trained variable, as the framework has it])."""
        with tf.GradientTape() as tape:
            outputs = self._run([tf.convert_to_tensor(one) for one in inputs], self.side.get("mode") != "eval")
            value = self._loss(outputs, rest)
            # What regularisers add, `fit` adds to a loss of Keras's; a function of the user's is on its own.
            value = tf.add_n([value, *self.model.losses]) if self._compiled and self.known else value
        variables = [one.value if isinstance(one, keras.Variable) else one for one in self.trained]
        return float(value), tape.gradient(value, variables)

    def gradients(self, inputs, rest):
        value, found = self._differentiate(inputs, rest)
        held = {
            id(v): _array(tf.convert_to_tensor(g)) for v, g in zip(self.trained, found, strict=True) if g is not None
        }
        tensors = self._tensors().items()
        return value, {
            key: np.array(one.read(held[id(one.variable)])) for key, one in tensors if id(one.variable) in held
        }

    def update(self, gradients, rates):
        self._restart()
        found = []
        for given, rate in zip(gradients, rates, strict=True):
            whole = {}
            for key, one in self._tensors().items():
                if key in given:
                    before = whole.get(id(one.variable), np.zeros(tuple(one.variable.shape), given[key].dtype))
                    whole[id(one.variable)] = one.write(before, np.array(given[key]))
            given = [whole.get(id(variable)) for variable in self.trained]
            self._step([None if one is None else tf.convert_to_tensor(one) for one in given], rate)
            found.append(self.get())
        return found

    def train(self, inputs, rest, steps):
        self._restart()
        losses = []
        for _ in range(steps):
            value, found = self._differentiate(inputs, rest)
            self._step(found)
            losses.append(value)
        return losses

    def _step(self, gradients, factor=1.0):
        held, rate = (
            {id(variable) for variable in self.optimizer._trainable_variables},
            self.optimizer._get_current_learning_rate,
        )
        pairs = [(g, v) for g, v in zip(gradients, self.trained, strict=True) if g is not None and id(v) in held]
        if pairs:
            with replaced(self.optimizer, _get_current_learning_rate=lambda: rate() * factor):
                self.optimizer.apply([g for g, _ in pairs], [v for _, v in pairs])

    def _restart(self):
        for variable, value in zip(self.optimizer.variables, self.fresh, strict=True):
            variable.assign(value)


def _array(value):
    return np.array(tf.convert_to_tensor(value))
