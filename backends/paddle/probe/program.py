"""A foreign static Program, for `diff`: it has no layers of its own, so it is compared as a whole. Its parameters lie in a Scope.

dict(program=, startup=, feed={input: name in the Program}, fetch=[Values], loss=Value, call=...). It is called on all that `feed`
names, in that order. An optimiser is inside the Program, where minimize put it, or there is none. Nothing of the user's Program is
changed: what is run are clones, cut down to what is asked for, with the masks of dropout fed.
"""

import numpy as np
import paddle
from paddle import pir, static

from backends.paddle.probe import updates
from backends.paddle.probe.clones import RANDOM, cut, dtype_of, is_dropout, is_fed, lasts, ops_of, replayed
from backends.paddle.probe.updates import UPDATES, name_of, parameter, slope
from common.probing import Description, Layer, Refused, Tensor, mask


class ProgramProbe:
    """`side` is what the user's function returned."""

    def __init__(self, side: dict, dtype: str):
        paddle.enable_static()
        self.side, self.program, self.made = side, side["program"], {}
        if not isinstance(self.program, pir.Program):
            raise Refused(
                f"the program is a {type(self.program).__name__}; expected one of PIR, Paddle's default since 3.0"
            )
        if not side.get("feed") or not side.get("fetch"):
            raise Refused(
                "a program needs feed={input: its name in the Program} and fetch=[Values]; to be trained, loss=Value too"
            )
        ops = ops_of(self.program)
        self.fed = {name_of(op): op.result(0) for op in ops if is_fed(op)}
        if unknown := [name for name in side["feed"].values() if name not in self.fed]:
            raise Refused(f"the program is fed no {unknown[0]!r}; it is fed {', '.join(self.fed)}")
        fetched = side["fetch"]
        self.fetch = [self._value(one) for one in (fetched if isinstance(fetched, (list, tuple)) else [fetched])]
        self.the_loss = self._value(side["loss"]) if side.get("loss") is not None else None
        self.updates = [op for op in ops if op.name() in UPDATES]
        roots = [root for op in self.updates for root in updates.roots(updates.operand(op, "learning_rate"))]
        self.rates = [name for name in dict.fromkeys(name_of(root) for root in roots if lasts(root))]
        lasting = {name_of(op): op.result(0) for op in ops if lasts(op)}
        self.parameters = {p.name: p for p in self.program.global_block().all_parameters() if p.name not in self.rates}
        kinds = {dtype_of(value) for value in self.parameters.values()} & {"float32", "float64"}
        self.dtype = dtype if kinds <= {dtype} else "float32"
        self.dtype_why = (
            "" if kinds <= {dtype} else f"the Program was built with parameters of {' and '.join(sorted(kinds))}"
        )
        self.executor, self.scope = static.Executor(paddle.CPUPlace()), static.global_scope()
        if side.get("startup") is not None:
            self.scope = static.Scope()
            self.executor.run(side["startup"], scope=self.scope)
        # Moments, rates and whatever else stays between two runs and is no parameter.
        self.fresh = {name: self._read(name) for name in lasting if name not in self.parameters}

    def _value(self, one):
        if isinstance(one, str):
            named = self.fed | {p.name: p for p in self.program.global_block().all_parameters()}
            if one not in named:
                raise Refused(
                    f"the program has no variable {one!r}: a Program of PIR names few; hand over the Value itself"
                )
            return named[one]
        if not isinstance(one, pir.Value):
            raise Refused(f"fetch and loss are to be Values of the program, not {type(one).__name__}")
        return one

    def _read(self, name):
        held = self.scope.find_var(name)
        if held is None or not held.get_tensor()._is_initialized():
            raise Refused(f"{name} has no value in the Scope; give startup= too, or run it first")
        return np.array(held.get_tensor())

    def _write(self, name, array):
        held = self.scope.find_var(name).get_tensor()
        held.set(np.ascontiguousarray(array, np.array(held).dtype), paddle.CPUPlace())

    # -------------------------------------------------------------------------------------- what there is

    def describe(self) -> Description:
        moved, layers = {parameter(op) for op in self.updates}, []
        for name, value in self.parameters.items():
            is_moved = not value.stop_gradient and (not self.updates or name in moved)
            layers.append(Layer(name, "unknown", "", {}, {"": Tensor(name, tuple(value.shape), is_moved)}))
        optimizer = None
        if self.updates:
            accumulators = {parameter(op): name_of(updates.operand(op, "moment").get_defining_op()) for op in self.updates if op.name() == "pd_op.adagrad_"}  # fmt: skip
            starts = {name: float(self.fresh[own].flat[0]) for name, own in accumulators.items()}
            optimizer = updates.settings(self.updates, float(self.fresh[self.rates[0]]), starts)
            if schedule := getattr(self.program, "lr_scheduler", None):
                optimizer["schedule"] = type(schedule).__name__  # it stays where it is: the user's loop would step it
        loss = {"title": "inside the Program"} if self.the_loss is not None else None
        return Description(
            "Paddle", {"paddlepaddle": paddle.__version__}, layers, self.dtype, self.dtype_why, loss, optimizer
        )

    def put(self, tensors):
        for name in self.parameters:
            if f"{name}/" in tensors:
                self._write(name, tensors[f"{name}/"])

    def get(self):
        return {f"{name}/": self._read(name) for name in self.parameters}

    # ------------------------------------------------------------------------------------- clones and runs

    def _clone(self, training):
        """(clone, its Value of a Value of the user's, [(name, Value that is dropped from, rate, scale)]): in evaluation mode, or
        with fed masks where dropout is."""
        clone, own = self._copied()
        drops = []
        if not training:
            clone.set_is_test_attr()
        for op in ops_of(clone):
            if op.name() in RANDOM:
                raise Refused(
                    f"the program draws at random, with {op.name()}, which cannot be replayed; feed the draw instead"
                )
            if is_dropout(op):
                drops.append(replayed(clone, op, f"kept by dropout {len(drops)}"))
        return clone, own, drops

    def _copied(self):
        mapping = pir.IrMapping()
        clone = self.program.clone(mapping)
        if hasattr(clone, "lr_scheduler"):
            del clone.lr_scheduler  # whose rate an Executor would write into the global Scope
        return clone, mapping.look_up

    def _run(self, clone, values, feed):
        wanted = {name_of(op): dtype_of(op.result(0)) for op in ops_of(clone) if is_fed(op)}
        feed = {name: np.ascontiguousarray(feed[name], dtype) for name, dtype in wanted.items()}
        return self.executor.run(clone, feed=feed, fetch_list=list(values), scope=self.scope)

    def _asked(self, what, inputs, make):
        """{key: array} of the clone that `make` makes once: (clone, {key: Value}, drops)."""
        if what not in self.made:
            self.made[what] = make()
        clone, values, drops = self.made[what]
        names = [self.side["feed"].get(name) for name in self.side.get("call", self.side["feed"])]
        feed = dict(zip(names, inputs, strict=True))
        return dict(zip(values, self._run(clone, values.values(), feed | self._masks(drops, feed)), strict=True))

    def _masks(self, drops, feed):
        """What each dropout is fed; of what shape is found by a run without dropout."""
        if not drops:
            return {}
        if "shapes" not in self.made:
            clone, _ = self._copied()
            given = [op.operand_source(0) for op in ops_of(clone) if is_dropout(op)]
            clone.set_is_test_attr()
            cut(clone, given)
            self.made["shapes"] = clone, given
        shapes = [value.shape for value in self._run(*self.made["shapes"], feed)]
        about = zip(drops, shapes, strict=True)
        return {name: mask(k, shape, rate) * scale for k, ((name, rate, scale), shape) in enumerate(about)}

    def forward(self, inputs, training):
        def make():
            clone, own, drops = self._clone(training)
            names = [""] if len(self.fetch) == 1 else map(str, range(len(self.fetch)))
            values = {name: own(value) for name, value in zip(names, self.fetch, strict=True)}
            cut(clone, values.values(), training)
            return clone, values, drops

        return self._asked(("forward", training), inputs, make), []

    def alone(self, path, arrays, training):
        raise Refused("a static Program has no layers that could be run alone")

    # ------------------------------------------------------------------------- loss, gradients and updates

    def loss(self, outputs, rest):
        raise Refused(
            "a static Program's loss is inside it and cannot be asked of given outputs; its gradients give its value"
        )

    def gradients(self, inputs, rest):
        def make():
            clone, own, drops = self._clone(self.side.get("mode") != "eval")
            values = {"": own(self._trained())}
            ways = {f"{parameter(op)}/": slope(op) for op in ops_of(clone) if op.name() in UPDATES}
            cut(clone, [*values.values(), *ways.values()], True)
            if not ways:
                left = [
                    p
                    for p in clone.global_block().all_parameters()
                    if p.name in self.parameters and not p.stop_gradient
                ]
                with static.program_guard(clone):
                    ways = {
                        f"{p.name}/": way for p, way in zip(left, static.gradients([values[""]], left), strict=True)
                    }
            return clone, values | {key: value for key, value in ways.items() if value is not None}, drops

        found = self._asked("gradients", inputs, make)
        return float(found.pop("")), found

    def _trained(self):
        if self.the_loss is None:
            raise Refused("the program was given without loss=; name its Value")
        return self.the_loss

    def update(self, gradients, rates):
        if "update" not in self.made:
            clone, _ = self._copied()
            ops = [op for op in ops_of(clone) if op.name() in UPDATES]
            for op in ops:
                value = slope(op)
                with static.program_guard(clone):
                    pir.reset_insertion_point_to_start()
                    value.replace_all_uses_with(static.data(f"{parameter(op)}/", value.shape, dtype_of(value)))
            cut(clone, [op.result(0) for op in ops])
            self.made["update"] = clone, {parameter(op): op.result(0) for op in ops}
        clone, moved = self.made["update"]
        self._restart()
        found = []
        for one, rate in zip(gradients, rates, strict=True):
            for name in self.rates:
                self._write(name, self.fresh[name] * rate)
            zeros = {f"{name}/": np.zeros(self.parameters[name].shape) for name in moved}
            self._run(clone, [], zeros | one)
            found.append(self.get())
        return found

    def train(self, inputs, rest, steps):
        if not self.updates:
            raise Refused("the program has no optimiser inside; call minimize(loss) while it is built")

        def make():
            clone, own, drops = self._clone(True)
            loss = own(self._trained())
            cut(clone, [loss, *(op.result(0) for op in ops_of(clone) if op.name() in UPDATES)], True)
            return clone, {"": loss}, drops

        self._restart()
        return [float(self._asked("train", inputs, make)[""]) for _ in range(steps)]

    def _restart(self):
        for name, value in self.fresh.items():
            self._write(name, value)
