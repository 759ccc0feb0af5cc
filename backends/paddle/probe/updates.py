"""The numbers of Paddle's optimisers in canonical terms (common.tools.diff.updates), for `diff`: of dygraph's as they are, of those inside a
Program from its operators, with where their gradients come in."""

import numpy as np
import paddle
from paddle import nn, pir

from common.probing import Refused


def optimizer(one: paddle.optimizer.Optimizer) -> dict:
    """Its numbers in canonical terms (common.tools.diff.updates), those of the first group; "except": parameters with others."""
    about = {"title": f"paddle.optimizer.{type(one).__name__}", "rate": one.get_lr(), "decay": 0.0, "decoupled": False}
    if not isinstance(one._learning_rate, float):
        about["schedule"] = type(one._learning_rate).__name__  # it stays where it is: the user's loop would step it
    if one.regularization is not None:
        kind = "decay" if isinstance(one.regularization, paddle.regularizer.L2Decay) else "l1"
        about[kind] = one.regularization._coeff
    if clip := _clip(one._grad_clip):
        about["clip"] = clip
    if others := [p.name for p in moved(one) if _differs(one, p)]:
        about["except"] = others
    match type(one).__name__:
        case "Adam" | "AdamW" as name:
            if name == "AdamW":
                about |= {"decay": one._weight_decay, "decoupled": True, "float32": ["decay"]}
            betas = {"beta1": float(one._beta1), "beta2": float(one._beta2)}
            return about | betas | {"name": "adam", "epsilon": float(one._epsilon), "place": "outside", "amsgrad": one._amsgrad}  # fmt: skip
        case "SGD":
            return about | {"name": "sgd", "momentum": 0.0, "dampening": 0.0, "nesterov": False, "rate_inside": False}
        case "Momentum":
            more = {} if one._rescale_grad == 1.0 else {"scale": one._rescale_grad}
            decay = one._regularization_coeff or about["decay"]
            return about | more | {"name": "sgd", "decay": decay, "momentum": one._momentum, "dampening": 0.0, "nesterov": one._use_nesterov, "rate_inside": False, "float32": ["momentum", "decay"]}  # fmt: skip
        case "RMSProp":
            return about | {"name": "rmsprop", "keep": one._rho, "epsilon": one._epsilon, "place": "root", "start": 0.0, "momentum": one._momentum, "rate_inside": True, "centered": one._centered, "float32": ["keep", "epsilon", "momentum"]}  # fmt: skip
        case "Adagrad":
            return about | {"name": "adagrad", "epsilon": one._epsilon, "place": "outside", "start": one.initial_accumulator_value, "float32": ["epsilon"]}  # fmt: skip
    return about | {"name": "unknown"}


def moved(one: paddle.optimizer.Optimizer) -> list[paddle.Tensor]:
    """The parameters that it was given, of all groups."""
    return [p for part in one._parameter_list for p in (part["params"] if isinstance(part, dict) else [part])]


def _differs(one, parameter):
    """Whether it has another rate, decay or clipping than the optimiser says."""
    rate = getattr(parameter, "optimize_attr", {}).get("learning_rate", 1.0)
    decays = getattr(one, "_apply_decay_param_fun", None)
    own = getattr(parameter, "regularizer", None)
    groups = one._parameter_list if isinstance(one._parameter_list[0], dict) else []
    later = any(parameter is p for group in groups[1:] for p in group["params"])
    unclipped = one._grad_clip is not None and not getattr(parameter, "need_clip", True)
    return rate != 1.0 or (decays and not decays(parameter.name)) or own not in (None, one.regularization) or later or unclipped  # fmt: skip


def _clip(clip):
    match clip:
        case None:
            return None
        case nn.ClipGradByValue():
            return {"kind": "value", "value": clip.max} | ({} if clip.min == -clip.max else {"low": clip.min})
        case nn.ClipGradByGlobalNorm():
            return {"kind": "global_norm", "value": clip.clip_norm}
        case nn.ClipGradByNorm():
            return {"kind": "norm", "value": clip.clip_norm}
    return {"kind": type(clip).__name__}


# ------------------------------------------------------------------------------------- inside a Program

# {operator: (canonical name, settings {canonical: an operand's or attribute's name}, of these in float32, settings that are so)}
UPDATES = {
    "pd_op.adam_": ("adam", {"beta1": "beta1", "beta2": "beta2", "epsilon": "epsilon", "amsgrad": "amsgrad"}, ["beta1", "beta2", "epsilon"], {"place": "outside"}),
    "pd_op.adamw_": ("adam", {"beta1": "beta1", "beta2": "beta2", "epsilon": "epsilon", "amsgrad": "amsgrad", "decay": "coeff"}, ["beta1", "beta2", "epsilon", "decay"], {"place": "outside", "decoupled": True}),
    "pd_op.sgd_": ("sgd", {}, [], {"momentum": 0.0, "dampening": 0.0, "nesterov": False, "rate_inside": False}),
    "pd_op.momentum_": ("sgd", {"momentum": "mu", "nesterov": "use_nesterov", "decay": "regularization_coeff"}, ["momentum", "decay"], {"dampening": 0.0, "rate_inside": False}),
    "pd_op.rmsprop_": ("rmsprop", {"keep": "decay", "epsilon": "epsilon", "momentum": "momentum", "centered": "centered"}, ["keep", "epsilon", "momentum"], {"place": "root", "start": 0.0, "rate_inside": True}),
    "pd_op.adagrad_": ("adagrad", {"epsilon": "epsilon"}, ["epsilon"], {"place": "outside"}),
}  # fmt: skip


def operand(op, name: str):
    return op.operand_source(op.get_input_names().index(name))


def number(value) -> float:
    """Of a constant, as it was written. Raises Refused if it is computed."""
    op = value.get_defining_op()
    if op.name() != "pd_op.full":
        raise Refused(f"a number of the program is computed, by {op.name()}; expected a constant")
    return written(op.attrs()["value"])


def written(value):
    """The shortest decimal of what PIR keeps in float32: 0.9 of 0.8999999761581421."""
    return float(str(np.float32(value))) if isinstance(value, float) and value == np.float32(value) else value


def name_of(op) -> str:
    """Of an input, or a parameter."""
    return op.attrs()["parameter_name" if op.name() == "builtin.parameter" else "name"]


def parameter(op) -> str:
    """The name of what an update moves."""
    return name_of(operand(op, "param").get_defining_op())


def roots(value) -> list:
    """The operators without operands that `value` comes from."""
    found, waiting = [], [value.get_defining_op()]
    while waiting:
        op = waiting.pop()
        sources = [one for one in op.operands_source() if one.initialized()]
        waiting += [one.get_defining_op() for one in sources]
        found += [] if sources else [op]
    return found


def _walk(op):
    """(the gradient as it comes from the way back, what is done to it before the update `op`)."""
    value, moved, found = operand(op, "grad"), operand(op, "param"), {}
    while True:
        last = value.get_defining_op()
        sources = last.operands_source()
        if last.name() == "pd_op.add_n" and (term := _decay(sources[0].get_defining_op().operands_source(), moved)):
            found |= term
            value = sources[0].get_defining_op().operand_source(0)
        elif last.name() == "pd_op.multiply" and (limit := _limit(sources[1])) is not None:
            found["clip"] = {"kind": "global_norm", "value": limit}
            value = sources[0]
        elif last.name() == "pd_op.clip_by_norm":
            found["clip"] = {"kind": "norm", "value": written(last.attrs()["max_norm"])}
            value = sources[0]
        else:
            return value, found


def _decay(parts, moved):
    """{"decay" or "l1": coefficient} of a regularisation, the second of two terms: the parameter, or its sign, scaled."""
    op = parts[-1].get_defining_op() if len(parts) == 2 else None
    if op is None or op.name() != "pd_op.scale":
        return None
    source, coefficient = op.operands_source()
    if source.is_same(moved):
        return {"decay": number(coefficient)}
    below = source.get_defining_op()
    return (
        {"l1": number(coefficient)} if below.name() == "pd_op.sign" and below.operand_source(0).is_same(moved) else None
    )


def _limit(value):
    """The norm above which a gradient is scaled by `value`, None if it is no such scale."""
    op = value.get_defining_op()
    if op.name() != "pd_op.divide" or op.operand_source(0).get_defining_op().name() != "pd_op.full":
        return None
    return number(op.operand_source(0)) if op.operand_source(1).get_defining_op().name() == "pd_op.maximum" else None


def slope(op) -> pir.Value:
    return _walk(op)[0]


def settings(ops: list, rate: float, starts: dict[str, float]) -> dict:
    """Those of the first parameter; "except": parameters with others. `starts`: the first accumulator of each."""
    every = {parameter(op): _settings(op) | {"start": starts[parameter(op)]} if parameter(op) in starts else _settings(op) for op in ops}  # fmt: skip
    first = next(iter(every.values()))
    others = [name for name, own in every.items() if own != first]
    return {"rate": rate} | first | ({"except": others} if others else {})


def _settings(op):
    kind, numbers, rounded, more = UPDATES[op.name()]
    attributes, inputs = op.attrs(), op.get_input_names()
    read = {
        key: number(operand(op, own)) if own in inputs else written(attributes[own]) for key, own in numbers.items()
    }
    title = {"sgd_": "SGD", "rmsprop_": "RMSProp", "adamw_": "AdamW"}.get(op.name()[6:], op.name()[6:-1].capitalize())
    about = {"title": f"paddle.optimizer.{title}", "name": kind, "decay": 0.0, "decoupled": False} | read | more
    if kind == "adam":
        about["first_power"] = "exact"  # of β: βᵗ is kept as β · float32(β)ᵗ⁻¹
    own = operand(op, "learning_rate").get_defining_op()
    if own.operands_source():
        about["own_rate"] = True  # a multiple of the optimiser's
    found = _walk(op)[1]
    rounded = [
        *rounded,
        *(key for key in ("decay", "l1") if key in found),
    ]  # which Paddle writes as constants of float32
    return about | found | ({"float32": rounded} if rounded else {})
