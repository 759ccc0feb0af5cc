"""PyTorch's optimisers in canonical terms, for `diff`."""

import torch

UNKNOWN = {"name": "unknown"}


def optimizer(one: torch.optim.Optimizer) -> dict:
    """Its numbers in canonical terms (common.tools.diff.conventions.updates). One of the user's, which groups of several numbers or
    none of those below has, is unknown, and compared as a whole."""
    first, *others = one.param_groups
    numbers = {name: value for name, value in first.items() if name != "params"}
    own = type(one).__module__.startswith("torch.optim.")
    title = f"torch.optim.{type(one).__name__}" if own else type(one).__name__
    about = {"title": title, "rate": float(first["lr"]), "decay": float(first.get("weight_decay", 0.0))}
    alike = all(group[name] == value for group in others for name, value in numbers.items())
    if not own or not alike or first.get("maximize"):
        return about | UNKNOWN
    return about | _rule(type(one).__name__, first)


def _rule(name, group):
    match name:
        case "Adam" | "AdamW":
            return {
                "name": "adam", "beta1": group["betas"][0], "beta2": group["betas"][1], "epsilon": group["eps"], "place": "outside",
                "decoupled": name == "AdamW" or group.get("decoupled_weight_decay", False), "amsgrad": group["amsgrad"],
            }  # fmt: skip
        case "SGD":
            return {
                "name": "sgd", "momentum": group["momentum"], "dampening": group["dampening"], "nesterov": group["nesterov"],
                "rate_inside": False,
            }  # fmt: skip
        case "RMSprop":
            return {
                "name": "rmsprop", "keep": group["alpha"], "epsilon": group["eps"], "place": "outside", "start": 0.0,
                "momentum": group["momentum"], "centered": group["centered"],
            }  # fmt: skip
        case "Adagrad":
            falling = {"rate_decay": group["lr_decay"]} if group["lr_decay"] else {}
            start = group["initial_accumulator_value"]
            return {"name": "adagrad", "epsilon": group["eps"], "place": "outside", "start": start} | falling
    return UNKNOWN
