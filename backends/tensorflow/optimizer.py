"""The optimisers of the specification in TensorFlow operations, and how their state is found."""

from backends.tensorflow import process  # noqa: F401  # isort: skip

import tensorflow as tf

from common.specs import records

OPTIMIZERS = (records.Adam, records.AdamEpsilonHat, records.Momentum, records.RMSProp)  # that are written here


class Adam(tf.Module):
    """Algorithm 1 with coupled L2, restricted to the update's networks; or with ε̂, as the specification says.

    keras.optimizers.Adam always adds its ε before the bias correction, and passes its numbers through float32.
    """

    def __init__(self, update, model):
        super().__init__()
        self.settings = update.optimizer
        self.parameters, self.reduction = _parameters(update, model), None
        self.first, self.second = _zeros(self.parameters), _zeros(self.parameters)
        self.step = tf.Variable(0, dtype=tf.int64)

    def apply(self, gradients):
        adam = self.settings
        self.step.assign_add(1)
        # In float64 whatever the model's dtype is: with β2 = 0.999 in float32, 1 - β2 is off by 1e-5. Both corrections are
        # numbers: α·m̂ / (√v̂ + ε) = rate·m / (√v + epsilon), so that no moment is divided by one.
        step = tf.cast(self.step, tf.float64)
        root = tf.sqrt(1 - adam.beta2**step)
        rate = adam.learning_rate * root / (1 - adam.beta1**step)
        epsilon = adam.epsilon * (tf.ones_like(root) if adam.epsilon_hat else root)
        for parameter, gradient, first, second in zip(self.parameters, gradients, self.first, self.second, strict=True):
            if adam.l2:
                gradient += adam.l2 * parameter
            first.assign(adam.beta1 * first + (1 - adam.beta1) * gradient)
            second.assign(adam.beta2 * second + (1 - adam.beta2) * gradient**2)
            dtype = parameter.dtype
            parameter.assign_sub(tf.cast(rate, dtype) * first / (tf.sqrt(second) + tf.cast(epsilon, dtype)))


class Momentum(tf.Module):
    """Gradient descent with momentum, restricted to the update's networks.

    keras.optimizers.SGD has the rate inside what it keeps, so that it would still have the old one after a step of it.
    """

    def __init__(self, update, model):
        super().__init__()
        self.settings = update.optimizer
        self.parameters, self.reduction = _parameters(update, model), None
        self.velocity = _zeros(self.parameters)
        self.step = tf.Variable(0, dtype=tf.int64)

    def apply(self, gradients):
        rate = tf.constant(self.settings.learning_rate, tf.float64)
        for at, factor in zip(self.settings.steps.at, self.settings.steps.factors, strict=True):
            rate = tf.where(self.step >= at, factor * rate, rate)
        self.step.assign_add(1)
        for parameter, gradient, velocity in zip(self.parameters, gradients, self.velocity, strict=True):
            velocity.assign(self.settings.momentum * velocity + gradient)
            parameter.assign_sub(tf.cast(rate, parameter.dtype) * velocity)


class RMSProp(tf.Module):
    """RMSProp with ε outside the root, restricted to the update's networks. keras.optimizers.RMSprop has it inside."""

    def __init__(self, update, model):
        super().__init__()
        self.settings = update.optimizer
        self.parameters, self.reduction = _parameters(update, model), None
        self.square = _zeros(self.parameters)
        self.step = tf.Variable(0, dtype=tf.int64)

    def apply(self, gradients):
        rmsprop = self.settings
        self.step.assign_add(1)
        for parameter, gradient, square in zip(self.parameters, gradients, self.square, strict=True):
            square.assign(rmsprop.decay * square + (1 - rmsprop.decay) * gradient**2)
            parameter.assign_sub(rmsprop.learning_rate * gradient / (tf.sqrt(square) + rmsprop.epsilon))


def create(update, model):
    """The update's optimiser, as the specification has it."""
    return {records.Momentum: Momentum, records.RMSProp: RMSProp}.get(type(update.optimizer), Adam)(update, model)


def _parameters(update, model):
    return [v for name in update.networks for v in getattr(model, name).trainable_variables]


def _zeros(parameters):
    return [tf.Variable(tf.zeros(v.shape, v.dtype)) for v in parameters]


def update(optimizer, loss, tape):
    """One step of `optimizer` on `loss`, which `tape` has seen, by its parameters alone."""
    optimizer.apply(gradients(optimizer, loss, tape))


def update_all(optimizers, objectives, tape):
    """One step of every optimiser on its objective, by its parameters alone; all gradients are taken, from one persistent
    `tape`, before any of them moves."""
    taken = {name: gradients(one, objectives[name], tape) for name, one in optimizers.items()}
    for name, one in optimizers.items():
        one.apply(taken[name])


def gradients(optimizer, objective, tape):
    """Of the optimiser's parameters, on the rows of all ranks."""
    return of_all_ranks(optimizer, tape.gradient(objective, optimizer.parameters))


def of_all_ranks(optimizer, found):
    """The gradients `found`, summed or averaged over all ranks where there are several (workers.share)."""
    if optimizer.reduction is None:
        return found
    return tf.distribute.get_replica_context().all_reduce(optimizer.reduction, found)


def begin(optimizer: Adam | Momentum | RMSProp, count: int) -> None:
    """`count` steps are done."""
    optimizer.step.assign(count)


def moments(
    parameters, optimizers: dict[str, Adam | Momentum | RMSProp]
) -> dict[str, tuple[tf.Variable, tuple[int, ...]]]:
    """{"train.first.encoder.fc0.weight": (variable, axes)} of every optimiser, by its update's name, as `parameters` {name:
    (variable, axes)} has them."""
    names = {id(variable): (name, axes) for name, (variable, axes) in parameters.items()}
    return {
        f"{update}.{moment}.{name}": (variable, axes)
        for update, optimizer in optimizers.items()
        for moment in optimizer.settings.moments
        for parameter, variable in zip(optimizer.parameters, getattr(optimizer, moment), strict=True)
        for name, axes in [names[id(parameter)]]
    }
