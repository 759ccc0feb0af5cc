"""What stands in a model file in place of Paddle's own: for float64 alone, because Paddle rounds numbers to float32 on their
way to an operator, or in float32 too, because its own means something else."""

from backends.paddle import process  # noqa: F401  # isort: skip

import paddle
from paddle import nn
from paddle.nn import functional as F

# ------------------------------------------------------------------------------------- in float64 alone


def in_float64() -> bool:
    """Whether the Program that is being built is one of float64."""
    return paddle.get_default_dtype() == "float64"


def tensor(value: float):
    """A constant in the model's dtype."""
    return paddle.full([], value, paddle.get_default_dtype())


def number(value: float):
    """A constant that is exact in the model's dtype: a Python number, in an attribute or beside a Value, is rounded to
    float32, so in float64 it is a tensor."""
    return tensor(value) if in_float64() else value


class CoupledL2(paddle.regularizer.WeightDecayRegularizer):
    """l2·θ, to be added to the gradient: Paddle's L2Decay, which rounds l2 to float32."""

    def __init__(self, l2):
        self.l2 = tensor(l2)

    def __call__(self, parameter, gradient, block):
        return self.l2 * parameter


class ExactMomentum(paddle.optimizer.Momentum):
    """paddle.optimizer.Momentum rounds μ to float32."""

    def _append_optimize_op(self, block, param_and_grad):
        parameter, gradient = param_and_grad
        velocity = self._get_accumulator_master(self._velocity_acc_str, parameter)
        moved = tensor(self._momentum) * velocity + gradient
        paddle.assign(moved, velocity)  # in place, so in every run of the Program
        paddle.assign(parameter - self._create_param_lr(param_and_grad) * moved, parameter)


class RMSProp(paddle.optimizer.RMSProp):
    """ε outside the root: paddle.optimizer.RMSProp has it inside, in float32 too. Without momentum, not centred."""

    def _create_accumulators(self, block, parameters):
        for parameter in parameters:
            self._add_accumulator(self._mean_square_acc_str, parameter)

    def _append_optimize_op(self, block, param_and_grad):
        parameter, gradient = param_and_grad
        square = self._get_accumulator_master(self._mean_square_acc_str, parameter)
        moved = number(self._rho) * square + number(1 - self._rho) * gradient * gradient
        paddle.assign(moved, square)  # in place, so in every run of the Program
        step = self._create_param_lr(param_and_grad) * gradient / (paddle.sqrt(moved) + number(self._epsilon))
        paddle.assign(parameter - step, parameter)


MOVED = {}  # {name: Value} of the running statistics that the Program which is being built moves


class BatchNorm(nn.BatchNorm):
    """nn.BatchNorm rounds its momentum and epsilon to float32. Parameters and running statistics are path.weight, .bias,
    .mean and .variance."""

    def __init__(self, features, path, momentum, epsilon):
        super().__init__(
            features,
            momentum=momentum,
            epsilon=epsilon,
            param_attr=paddle.ParamAttr(f"{path}.weight"),
            bias_attr=paddle.ParamAttr(f"{path}.bias"),
            moving_mean_name=f"{path}.mean",
            moving_variance_name=f"{path}.variance",
            dtype=paddle.get_default_dtype(),
        )

    def forward(self, x):
        if self.training:
            MOVED.update({running.name: running for running in (self._mean, self._variance)})
        if not in_float64():
            return super().forward(x)
        others, shape = [0, *range(2, len(x.shape))], [1, -1] + [1] * (len(x.shape) - 2)
        mean = paddle.mean(x, others) if self.training else self._mean
        centred = x - mean.reshape(shape)
        variance = paddle.mean(centred * centred, others) if self.training else self._variance
        if self.training:
            for running, value in ((self._mean, mean), (self._variance, variance)):
                moved = number(self._momentum) * running + number(1 - self._momentum) * value
                paddle.assign(moved, running)  # in place, so in every run of the Program
        scale = self.weight / paddle.sqrt(variance + number(self._epsilon))
        return centred * scale.reshape(shape) + self.bias.reshape(shape)


# --------------------------------------------------------------------------------------- in float32 too


def leaky_relu(x, slope):
    """F.leaky_relu has slope 1 at 0, which is what D's first convolution makes of black at the first step; F.relu has 0."""
    return number(1 - slope) * F.relu(x) + number(slope) * x
