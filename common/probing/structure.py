"""What models return, flattened into named arrays and put together again, whatever the framework's arrays are."""

from collections.abc import Callable
from typing import Any

from common.probing import Refused


def named(outputs: Any, is_array: Callable[[Any], bool], what: str = "tensors") -> dict[str, Any]:
    """{"": array} of one, {"0": ..., "h": ...} of a structure, nested ones with dots. Raises Refused for anything else; `what` is
    the framework's word for arrays."""
    if is_array(outputs):
        return {"": outputs}
    if outputs is None:
        return {}
    if not isinstance(outputs, (dict, tuple, list)):
        raise Refused(f"the model returns {type(outputs).__name__}; expected {what}, or tuples and dicts of them")
    parts = outputs.items() if isinstance(outputs, dict) else enumerate(outputs)
    return {
        f"{name}.{rest}".rstrip("."): value
        for name, part in parts
        for rest, value in named(part, is_array, what).items()
    }


def structured(outputs: dict[str, Any]) -> Any:
    """What the loss is called with, of `named` outputs: the array, or a tuple or dict of those."""
    if list(outputs) == [""]:
        return outputs[""]
    return tuple(outputs.values()) if list(outputs) == [str(k) for k in range(len(outputs))] else outputs


def title(function: Any) -> str:
    """What a function of the user's is called, or the class of one that is an object."""
    return getattr(function, "__name__", type(function).__name__)
