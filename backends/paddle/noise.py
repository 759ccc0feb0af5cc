"""Native noise: the random draws of a step, made by the Program itself with Paddle's own generator."""

from backends.paddle import process  # noqa: F401  # isort: skip

import numpy as np
import paddle

from common.specs.draws import Bernoulli, Noise, Normal, OneHot, Uniform


def drawn(declared, program) -> dict:
    """{name: Value (B, *shape)} of the `declared` draws in a `program` (backends.paddle.steps), in this order.

    What several updates name is drawn by the first of them, which leaves it in the Scope for the others.
    """
    return {noise.name: _drawn(noise, program) for noise in declared}


def _drawn(noise, program):
    first, *others = program.spec.users(noise)
    if program.job in others:
        return _left(noise, program)
    value = _rows(noise, program)
    if others and program.job == first:
        paddle.assign(value, _left(noise, program))
    return value


def _rows(noise, program):
    """This rank's rows of what is drawn for the global batch, as one process draws it."""

    def draw(batch):
        return _draw(noise.distribution, [batch, *noise.shape])

    world, batch = program.world, program.batch
    if world.count == 1:
        return draw(batch)
    return paddle.slice(draw(batch * world.count), [0], [batch * world.rank], [batch * (world.rank + 1)])


def _left(noise, program):
    name, dtype = f"drawn.{noise.name}", paddle.get_default_dtype()
    # An executor must find a tensor there, of whatever batch.
    program.scope.var(name).get_tensor().set(np.zeros((1, *noise.shape), dtype), program.place)
    left = paddle.static.data(name, [None, *noise.shape], dtype)
    left.persistable = True
    return left


def _draw(distribution, shape):
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


def jobs(spec) -> list[str]:
    """The Programs of a step: one an update, called as it; "train" alone, where all share one pass."""
    return ["train"] if spec.simultaneous else [update.name for update in spec.updates]


def fresh(spec) -> dict[str, list[Noise]]:
    """{job: the draws that no job before it names}, of the Programs that have any."""
    found = {}
    for noise in spec.noise:
        found.setdefault("train" if spec.simultaneous else spec.users(noise)[0], []).append(noise)
    return found


def seeds(spec, seed: int, step: int) -> dict[str, int]:
    """{job: what Paddle is seeded with}: per step, so that a resumed run draws what an uninterrupted one would, and per
    Program."""
    drawn = np.random.SeedSequence((seed, step)).generate_state(len(jobs(spec)), np.uint64)
    return {job: int(one) for job, one in zip(jobs(spec), drawn, strict=True)}
