"""Native noise: the random draws of a step, made by the Program itself with Paddle's own generator."""

from backends.paddle import process  # noqa: F401  # isort: skip

import numpy as np
import paddle

from common.specs.draws import Bernoulli, Noise, Normal, OneHot, Uniform


def draw(distribution, shape):
    """A Value of `shape`, drawn in every run of the Program."""
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


def fresh(spec) -> dict[str, list[Noise]]:
    """{update: the draws that no update before it names}, of the updates that have any."""
    found = {}
    for noise in spec.noise:
        found.setdefault(spec.users(noise)[0], []).append(noise)
    return found


def seeds(updates, seed: int, step: int) -> dict[str, int]:
    """{update: what Paddle is seeded with}: per step, so that a resumed run draws what an uninterrupted one would, and per
    update, which is a Program."""
    drawn = np.random.SeedSequence((seed, step)).generate_state(len(updates), np.uint64)
    return {update.name: int(one) for update, one in zip(updates, drawn, strict=True)}
