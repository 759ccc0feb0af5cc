"""Static Programs: how one is built and run, where its inputs and noise come from, what belongs to one model.

The data set lies in the Scope as uint8, and the training Programs gather and scale their batches from it.
"""

from backends.paddle import process  # isort: skip

import math
import weakref
from collections.abc import Mapping
from contextlib import contextmanager
from functools import cached_property

import numpy as np
import paddle
from paddle.nn import functional as F

from backends.paddle import exact, workers
from backends.paddle.exact import tensor
from backends.paddle.noise import drawn, fresh
from backends.paddle.optimizer import gradients
from common.specs.inputs import Images

# Where a training Program has inputs and noise from: fed; uploaded data and fed noise; uploaded data and its own draws.
SOURCES = ("fed", "replayed", "native")


class Asked(Mapping):
    """{name: Value} of what is `declared` {name: record}; each is made, `make(record)`, when it is first asked for."""

    def __init__(self, declared, make):
        self.declared, self.make, self.made = declared, make, {}

    def __getitem__(self, name):
        if name not in self.made:
            self.made[name] = self.make(self.declared[name])
        return self.made[name]

    def __contains__(self, name):
        return name in self.declared  # which Mapping would find out by making it

    def __iter__(self):
        return iter(self.declared)

    def __len__(self):
        return len(self.declared)


class Once:
    """Looks the one Program that an Executor runs up in its cache, for the first run only. For the look-up Paddle prints the
    whole Program: 0.3 ms for the VAE's, and as much again for what that drives from the processor's caches."""

    def __init__(self, look_up):
        self.look_up, self.found = look_up, None

    def __call__(self, *arguments):
        self.found = self.found or self.look_up(*arguments)
        return self.found


LOOK_UP = "get_pir_program_and_executor"  # of an Executor's `_executor_cache`: Paddle's own, and private


def look_up_once(executor: paddle.static.Executor) -> None:
    """Where this release of Paddle has LOOK_UP; where not, every run looks its Program up."""
    cache = getattr(executor, "_executor_cache", None)
    if hasattr(cache, LOOK_UP):
        setattr(cache, LOOK_UP, Once(getattr(cache, LOOK_UP)))


class Program:
    """A static Program (`main`, `startup`), its inputs, what it fetches, and an Executor of its own.

    Of its own, because an Executor keeps 8 compiled Programs and with a ninth silently compiles again on every run. It is
    complete, and keeps its feeds and fetches, from its first run on. It holds the inputs and the fed noise that are used, and
    no others. All ranks of its `world` run it together, each on its own rows.
    """

    def __init__(self, spec, job, source, place, scope):
        self.spec, self.job, self.source, self.place, self.scope = spec, job, source, place, scope
        self.world = workers.shared_world()
        self.main, self.startup = paddle.static.Program(), paddle.static.Program()
        self.executor = paddle.static.Executor(place)
        look_up_once(self.executor)
        self.fed, self.feeds, self.fetch = [], {}, {}  # Values, {name: dtype} of the same, {name: Value} of the results
        self.indices = Asked({rows: rows for rows in spec.rows}, lambda rows: self.data(f"{rows}.indices", (), "int32"))

    def data(self, name, shape, dtype=None):
        """paddle.static.data for (B, *shape), of the model's dtype unless another is given; None is the batch."""
        self.feeds[name] = dtype or paddle.get_default_dtype()
        self.fed.append(paddle.static.data(name, [None, *shape], self.feeds[name]))
        return self.fed[-1]

    def inputs(self):
        """{name: (B, *shape)} of the specification's inputs: fed, or gathered from the uploaded data."""
        make = self._fed if self.source == "fed" else self._gathered
        return Asked({one.name: one for one in self.spec.inputs}, make)

    def _fed(self, one):
        """Of `one` input or random draw."""
        return self.data(one.name, one.shape)

    def _gathered(self, one):
        """Of `one` input, the rows `self.indices[one.rows]` of the uploaded data."""
        is_images = isinstance(one, Images)
        columns = [math.prod(one.picture)] if is_images else []
        uploaded = paddle.static.data(uploaded_name(one.source), [None, *columns], "uint8")
        uploaded.persistable = True  # it lies in the Scope and is not fed
        rows = paddle.gather(uploaded, self.indices[one.rows])
        if not is_images:
            return F.one_hot(rows.astype("int64"), one.classes).astype(paddle.get_default_dtype())
        # Images.scale with tensors for its numbers: Paddle would multiply by a rounded 1/255. Without what changes nothing.
        low, high = one.pixels
        x = rows.astype(paddle.get_default_dtype()) / tensor(255)
        x = x if (low, high) == (0, 1) else x * tensor(high - low) + tensor(low)
        return x.reshape([-1, *one.shape])

    def noise(self, declared):
        """{name: (B, *shape)} of the `declared` random draws: fed, or drawn by the Program itself, in this order."""
        if self.source == "native":
            return drawn(declared, self)
        return Asked({noise.name: noise for noise in declared}, self._fed)

    @cached_property
    def batch(self):
        """The number of rows that are gathered, for which native noise asks."""
        return paddle.shape(self.indices[self.spec.rows[0]])[0]


def uploaded_name(source: str) -> str:
    """The Scope's variable for "images" or "labels"."""
    return f"uploaded.{source}"


class State:
    """The Programs of one model, by (job, source), and the Scope that holds parameters, moments and data. `network()` is a
    model of new layers."""

    def __init__(self, spec, network, dtype, device):
        self.spec, self.network, self.dtype = spec, network, dtype
        self.parameters = spec.parameter_count()
        self.place = process.place(device)
        self.scope = paddle.static.Scope()
        # Paddle itself keeps every Scope, with all that lies in it, to the end of the process.
        weakref.finalize(self, self.scope._remove_from_pool)
        self.programs = {}
        self.noise_seeds = {}  # of the step's native noise, by job

    @contextmanager
    def program(self, job, source="fed"):
        """A new Program under static.program_guard, for the `with` block to fill. A step's are called as `noise.jobs` has
        them.

        Equal names are one variable, so the job prefixes what an optimiser creates: train.encoder.fc0.weight_moment1_0,
        train.learning_rate_0. Without, the last of two updates to be built would set the learning_rate_0 of both.
        """
        program = Program(self.spec, job, source, self.place, self.scope)
        outside = paddle.get_default_dtype()
        paddle.set_default_dtype(self.dtype)
        try:
            with (
                paddle.static.program_guard(program.main, program.startup),
                paddle.utils.unique_name.guard(f"{job}."),
                process.quiet(),
            ):
                exact.MOVED.clear()
                yield program
                workers.average(exact.MOVED.values())
        finally:
            paddle.set_default_dtype(outside)
        paddle.static.Executor(self.place).run(program.startup, scope=self.scope)
        self.programs[job, source] = program

    def complete(self, module, world):
        """The Programs that change nothing and are the same for every model: of the functions that `module` has, and of each
        update's gradients and native noise. `world` takes gradients together; all else each rank can run by itself."""
        spec = self.spec
        for job in ("forward", "losses"):
            with self.program(job) as program:
                program.fetch = getattr(module, job)(self.network(), program.inputs(), program.noise(spec.noise))
        for update in spec.updates:
            with workers.sharing(world, spec.reduction), self.program(f"{update.name}.gradients") as program:
                model = self.network()
                values = module.losses(model, program.inputs(), program.noise(spec.noise))
                program.fetch = gradients(model, update, values)
        for name, own in fresh(spec).items():
            with self.program(f"{name}.noise", "native") as program:
                program.fetch = program.noise(own)
        for job in ("encode", "reconstruct", "sample"):
            if hasattr(module, job):
                with self.program(job) as program:
                    model = self.network()
                    model.eval()
                    noise = program.noise(spec.sampling_noise if job == "sample" else spec.noise)
                    given = {"encode": [program.inputs()], "reconstruct": [program.inputs(), noise], "sample": [noise]}
                    program.fetch = {job: getattr(module, job)(model, *given[job])}

    def run(self, job, inputs=None, noise=None):
        """Run one Program; {name: array} of what it fetches.

        Inputs that are called "all.indices" are rows of uploaded data; without noise the Program then draws its own.
        """
        replayed = any(name.endswith(".indices") for name in inputs or {})
        source = "fed" if not replayed else "native" if noise is None else "replayed"
        program = self.programs[job, source]
        if source == "native":
            paddle.seed(self.noise_seeds[job])
        given = {**(inputs or {}), **(noise or {})}
        feed = {name: np.asarray(given[name], dtype) for name, dtype in program.feeds.items()}
        process.use_threads(self.parameters * len(next(iter(given.values()))))
        fetches = list(program.fetch.values())
        values = program.executor.run(program.main, feed=feed, fetch_list=fetches, scope=self.scope)
        return dict(zip(program.fetch, values, strict=True))
