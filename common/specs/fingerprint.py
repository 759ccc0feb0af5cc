"""A digest of what decides what a checkpoint means: records by their values, functions by their text.

A function's text is that of its own tokens, without comments and docstrings, and of all that it calls within `common`;
the numbers that it reads from its module are part of it.
"""

import functools
import hashlib
import inspect
import io
import json
import tokenize
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from types import FunctionType, ModuleType

BLANK = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER}
BLOCKS = {tokenize.INDENT: "{", tokenize.DEDENT: "}"}


def plain(
    value: object, function: Callable = lambda value: value.__qualname__, without: tuple[str, ...] = ()
) -> dict | list | str | float | None:
    """Records, tuples and mappings as JSON values: functions as `function` has them, the fields `without` left out."""
    if is_dataclass(value):
        kept = [field.name for field in fields(value) if field.name not in without]
        return {"kind": type(value).__name__} | {key: plain(getattr(value, key), function) for key in kept}
    if isinstance(value, Mapping):
        return {key: plain(item, function) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item, function) for item in value]
    return function(value) if callable(value) else value


def fingerprint(record: object, without: tuple[str, ...] = ()) -> str:
    """16 hexadecimal digits, of the record's fields but for those named in `without`."""
    text = json.dumps(plain(record, mathematics, without), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def mathematics(function: FunctionType) -> dict[str, list]:
    """{name: [text, {name: value that it reads from its module}]} of the function and of all of ours that it leads to."""
    found, left = {}, [function]
    while left:
        one = left.pop()
        name = f"{one.__module__}.{one.__qualname__}"
        if name not in found:
            found[name] = [_text(one), values := {}]
            for read in _names(one.__code__):
                value = one.__globals__.get(read)
                if isinstance(value, FunctionType) and value.__module__.startswith("common."):
                    left.append(value)
                elif not callable(value) and not isinstance(value, ModuleType | None):
                    values[read] = plain(value)
    return found


def _names(code):
    """Every name that the code reads from its module, its inner functions included."""
    inner = [constant for constant in code.co_consts if inspect.iscode(constant)]
    return {*code.co_names, *(name for one in inner for name in _names(one))}


@functools.cache  # read once: while a process runs, its files may be edited, and lines of others found in their place
def _text(function):
    """The tokens in a row: whatever layout or comments change, they stay."""
    lines = inspect.cleandoc("\n" + inspect.getsource(function)) + "\n"
    parts, start = [], True
    for token in tokenize.generate_tokens(io.StringIO(lines).readline):
        docstring = start and token.type == tokenize.STRING
        if token.type in BLOCKS:
            parts.append(BLOCKS[token.type])
        elif token.type not in BLANK and not docstring:
            parts.append(token.string)
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            start = token.type in (tokenize.NEWLINE, tokenize.INDENT)
    return "".join(parts)
