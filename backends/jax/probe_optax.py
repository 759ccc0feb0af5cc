"""An optax transformation in canonical terms, for `diff`: its numbers lie in the closures of its update functions."""

import math

import jax
import optax

# Of what a chain is made, in canonical terms: {function: (name, {ours: its own})}.
KINDS = {
    "scale_by_adam": ("adam", {"beta1": "b1", "beta2": "b2", "epsilon": "eps", "root": "eps_root", "nesterov": "nesterov"}),
    "scale_by_amsgrad": ("adam", {"beta1": "b1", "beta2": "b2", "epsilon": "eps", "root": "eps_root", "corrected_maximum": "bias_correction_nu"}),
    "scale_by_rms": ("rmsprop", {"keep": "decay", "epsilon": "eps", "start": "initial_scale", "corrected": "bias_correction"}),
    "scale_by_stddev": ("rmsprop", {"keep": "decay", "epsilon": "eps", "start": "initial_scale", "corrected": "bias_correction"}),
    "scale_by_rss": ("adagrad", {"epsilon": "eps", "start": "initial_accumulator_value"}),
}  # fmt: skip
USUAL = {"root": 0.0, "nesterov": False, "corrected": False}  # what is only said where it is otherwise
CLIPS = {"clip_by_global_norm": ("global_norm", "max_norm"), "clip": ("value", "max_delta")}


def steps(update, masked=False) -> list[tuple[str, dict, bool]]:
    """[(name of the function that made it, {name: value in its closures}, whether it is for some parameters only)], in order."""
    name, cells = update.__qualname__.split(".")[0], closure(update)
    match name:
        case "chain":
            return [one for inner in cells["update_fns"] for one in steps(inner, masked)]
        case "named_chain":
            return [one for _, inner in cells["transforms"] for one in steps(inner.update, masked)]
        case "with_extra_args_support":
            return steps(cells["tx"].update, masked)
        case "masked":
            return steps(cells["inner"].update, masked=True)
        case "inject_hyperparams":
            scheduled = {key: value.schedule_fn for key, value in cells["sched_hps"].items()}
            return steps(
                cells["inner_factory"](**cells["other_hps"], **cells["numeric_hps"], **scheduled).update, masked
            )
        case "identity":
            return []
    return [(name, cells, masked)]


def closure(update) -> dict:
    if not hasattr(update, "__closure__"):
        return {}
    cells = dict(zip(update.__code__.co_freevars, update.__closure__ or (), strict=True))
    return {name: cell.cell_contents for name, cell in cells.items()}


def _number(value):
    return value if isinstance(value, (bool, str)) or value is None else float(value)


def optimizer(one: optax.GradientTransformation, parameters) -> dict:
    """Its numbers, as the PyTorch probe has them; what cannot be told is left out. Another chain than those known is "unknown"."""
    found = steps(one.update) if hasattr(one.update, "__code__") else [(type(one).__name__, {}, False)]
    names = [name for name, _, _ in found]
    about = {
        "title": f"optax.chain({', '.join(names)})" if len(names) > 1 else f"optax.{names[0] if names else 'identity'}"
    }
    about |= {"name": "sgd", "decay": 0.0}
    sizes, order = [], []
    for name, cells, masked in found:
        if masked and name != "add_decayed_weights":
            about["masked"] = True
        match name:
            case "scale" | "scale_by_schedule":
                size = cells.get("step_size")
                if name == "scale_by_schedule":
                    about["schedule"], size = True, cells["step_size_fn"](0)
                sizes.append(float(size))
            case "trace":
                about |= {"momentum": _number(cells["decay"]), "nesterov": cells.get("nesterov", False)}
                about["rate_inside"] = bool(sizes)
            case "add_decayed_weights":
                about["decay"] = _number(cells["weight_decay"]) if not callable(cells["weight_decay"]) else float(cells["weight_decay"](0))  # fmt: skip
                about |= {"decoupled": "moments" in order} | ({"decay_masked": True} if masked else {})
                if sizes:
                    about["decay_by_rate"] = False
            case _ if name in CLIPS and not order:
                about.setdefault("clip", {})[CLIPS[name][0]] = _number(cells[CLIPS[name][1]])
                continue
            case _ if name in KINDS and "moments" not in order:
                kind, numbers = KINDS[name]
                about |= {
                    "name": kind,
                    "place": "inside" if kind == "adagrad" or cells.get("eps_in_sqrt") else "outside",
                }
                values = {ours: _number(cells[own]) for ours, own in numbers.items() if own in cells}
                about |= {ours: value for ours, value in values.items() if USUAL.get(ours) != value}
                about |= {"amsgrad": name == "scale_by_amsgrad"} if kind == "adam" else {}
                about |= {"centered": name == "scale_by_stddev", "momentum": 0.0} if kind == "rmsprop" else {}
            case _:
                about["name"] = "unknown"
        order.append("moments" if name in KINDS or name == "trace" else name)
    if sizes:
        about["rate"] = -math.prod(sizes)
    if about["name"] == "sgd":
        about = {"momentum": 0.0, "nesterov": False, "rate_inside": False} | about | {"dampening": 0.0}
    return about


class Rates:
    """Updates with the rate times a factor.

    optax holds a rate in the closure of `scale` or `scale_by_schedule`, or, under inject_hyperparams, in the state; there it is
    changed for the update, so that what comes after it (momentum behind the rate, in optax.rmsprop) sees what it would see of a
    schedule. Where it is not found the update itself is scaled, which is not the same if something comes after the rate.
    """

    def __init__(self, one: optax.GradientTransformation):
        self.one, self.cell = one, self._cell(one.update)

    def _cell(self, update):
        if not hasattr(update, "__code__"):
            return None
        name, cells = update.__qualname__.split(".")[0], closure(update)
        match name:
            case "chain":
                inner = list(cells["update_fns"])
            case "named_chain":
                inner = [tx.update for _, tx in cells["transforms"]]
            case "with_extra_args_support":
                inner = [cells["tx"].update]
            case "scale" | "scale_by_schedule":
                return update.__closure__[update.__code__.co_freevars.index("step_size" if name == "scale" else "step_size_fn")]  # fmt: skip
            case _:
                inner = []
        found = [cell for one in inner if (cell := self._cell(one)) is not None]
        return found[-1] if found else None

    def update(self, gradients, state, parameters, factor):
        """(steps, state)."""
        if factor == 1.0:
            return self.one.update(gradients, state, parameters)
        if self.cell is not None:
            before = self.cell.cell_contents
            self.cell.cell_contents = (lambda count: factor * before(count)) if callable(before) else factor * before
            try:
                return self.one.update(gradients, state, parameters)
            finally:
                self.cell.cell_contents = before
        if (rate := self._injected(state)) is not None:
            state = optax.tree.set(state, learning_rate=factor * rate)
            found, state = self.one.update(gradients, state, parameters)
            return found, optax.tree.set(state, learning_rate=rate)
        found, state = self.one.update(gradients, state, parameters)
        return jax.tree.map(lambda step: factor * step, found), state

    @staticmethod
    def _injected(state):
        """The rate in a state, unless a schedule writes it anew at each update."""
        try:
            rate = optax.tree.get(state, "learning_rate")
            states = optax.tree.get(state, "hyperparams_states")
        except KeyError:
            return None
        return None if rate is None or "learning_rate" in (states or {}) else rate
