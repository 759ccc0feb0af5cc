"""An optax transformation in canonical terms, for `diff`: its numbers lie in the closures of its update functions."""

import jax
import optax

MOMENTS = {  # {function: (name, {canonical: its own})}
    "scale_by_adam": ("adam", {"beta1": "b1", "beta2": "b2", "epsilon": "eps", "epsilon_root": "eps_root", "nesterov": "nesterov"}),
    "scale_by_amsgrad": ("adam", {"beta1": "b1", "beta2": "b2", "epsilon": "eps", "epsilon_root": "eps_root"}),
    "scale_by_rms": ("rmsprop", {"keep": "decay", "epsilon": "eps", "start": "initial_scale", "corrected": "bias_correction"}),
    "scale_by_stddev": ("rmsprop", {"keep": "decay", "epsilon": "eps", "start": "initial_scale", "corrected": "bias_correction"}),
    "scale_by_rss": ("adagrad", {"epsilon": "eps", "start": "initial_accumulator_value"}),
}  # fmt: skip
CLIPS = {"clip_by_global_norm": ("global_norm", "max_norm"), "clip": ("value", "max_delta")}


def steps(init, update, masked=False) -> list[tuple[str, dict, bool]]:
    """[(name of the function that made it, {name: value in its closures}, whether it is for some parameters only)], in order."""
    name, cells = update.__qualname__.split(".")[0], closure(init) | closure(update)
    match name:
        case "chain":
            inner = zip(cells["init_fns"], cells["update_fns"], strict=True)
        case "named_chain":
            inner = [(one.init, one.update) for _, one in cells["transforms"]]
        case "with_extra_args_support":
            inner = [cells["tx"]]
        case "masked":
            inner, masked = [cells["inner"]], True
        case "inject_hyperparams":
            scheduled = {key: one.schedule_fn for key, one in cells["sched_hps"].items() if hasattr(one, "schedule_fn")}
            inner = [cells["inner_factory"](**cells["other_hps"], **cells["numeric_hps"], **scheduled)]
        case "identity":
            inner = []
        case _:
            return [(name, cells, masked)]
    return [found for one in inner for found in steps(*one, masked)]


def closure(update) -> dict:
    if not hasattr(update, "__code__"):
        return {}
    return {
        name: cell.cell_contents
        for name, cell in zip(update.__code__.co_freevars, update.__closure__ or (), strict=True)
    }


def _number(value):
    return value if isinstance(value, (bool, str)) or value is None else float(value)


def optimizer(one: optax.GradientTransformation) -> dict:
    """Its numbers, as the PyTorch probe has them; what cannot be told is left out. A chain that is none of those known, a rate
    that a schedule changes, and one for some parameters only, are "unknown"."""
    found = steps(one.init, one.update) if hasattr(one.update, "__code__") else [(type(one).__name__, {}, False)]
    names = [name for name, _, _ in found]
    title = f"optax.chain({', '.join(names)})" if len(names) > 1 else f"optax.{names[0] if names else 'identity'}"
    about, done, is_known = {"decay": 0.0}, [], True
    for name, cells, masked in found:
        is_known &= not masked
        try:
            is_known &= _read(name, cells, about, done)
        except KeyError:  # another version's names
            is_known = False
        done.append("moments" if name in MOMENTS else name)
    kind = about.pop("name", "sgd")
    if kind == "sgd":
        about = {"momentum": 0.0, "nesterov": False, "dampening": 0.0, "rate_inside": False} | about
    return {"name": kind if is_known else "unknown", "title": title} | about


def _read(name, cells, about, done) -> bool:
    """Puts into `about` what the step `name` of a chain says, after the steps `done`; whether it fits to these."""
    match name:
        case "scale":
            about["rate"] = -float(cells["step_size"])
            return not {"scale", "scale_by_schedule"} & {*done}
        case "scale_by_schedule":
            sizes = [float(cells["step_size_fn"](count)) for count in range(10)]
            about["rate"] = -sizes[0]
            return not {"scale", "scale_by_schedule"} & {*done} and len(set(sizes)) == 1
        case "trace":
            about |= {"momentum": _number(cells["decay"]), "nesterov": bool(cells["nesterov"])}
            about["rate_inside"] = "rate" in about
            return about.get("name") in (None, "rmsprop") and "trace" not in done
        case "add_decayed_weights":
            about |= {"decay": _number(cells["weight_decay"]), "decoupled": bool({"moments", "trace"} & {*done})}
            return "rate" not in about and name not in done
        case _ if name in CLIPS:
            kind, size = CLIPS[name]
            about |= {
                "clip": {"kind": kind, "value": _number(cells[size])},
                "decay_first": "add_decayed_weights" in done,
            }
            return not {*done} - {"add_decayed_weights"}
        case _ if name in MOMENTS and not {"moments", "trace", "scale", "scale_by_schedule"} & {*done}:
            about["name"], numbers = MOMENTS[name]
            about |= {ours: _number(cells[own]) for ours, own in numbers.items()}
            if about["name"] == "adam":
                # Of the corrected second moments, where PyTorch takes the largest before it corrects.
                largest = "corrected" if cells.get("bias_correction_nu") else True
                about |= {"place": "outside", "amsgrad": largest if name == "scale_by_amsgrad" else False}
                return name == "scale_by_adam" or cells["bias_correction_mu"] == cells["bias_correction_nu"] == True  # noqa: E712
            about["place"] = "root" if about["name"] == "adagrad" or cells["eps_in_sqrt"] else "outside"
            about |= {"centered": name == "scale_by_stddev", "momentum": 0.0} if about["name"] == "rmsprop" else {}
            return True
    return False


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
