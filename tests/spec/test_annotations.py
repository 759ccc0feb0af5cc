"""Every public function and method of `common` and `benchmarks` has the types of what it takes and gives.

Read from the text: ruff's ANN001 asks for those of private functions too, which need none here.
"""

import ast
from collections.abc import Iterator

import pytest

from common.environment import ROOT
from common.specs import SPECS, VARIANTS
from common.specs.fingerprint import mathematics, plain

Function = ast.FunctionDef | ast.AsyncFunctionDef


def public(node: ast.AST, path: str = "") -> Iterator[tuple[str, Function]]:
    """("Class.method", its node) of all below `node` in whose path no name is private but `__init__`; functions that stand inside
    of a function are among them."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Function | ast.ClassDef):
            yield from public(child, path)
        elif not child.name.startswith("_") or child.name == "__init__":
            if isinstance(child, Function):
                yield f"{path}{child.name}", child
            yield from public(child, f"{path}{child.name}.")


def untyped(function: Function) -> list[str]:
    """The arguments without a type, but self and cls; "return" where none is given of what comes back."""
    taken = function.args
    arguments = [*taken.posonlyargs, *taken.args, *taken.kwonlyargs, *filter(None, (taken.vararg, taken.kwarg))]
    found = [one.arg for one in arguments if one.annotation is None and one.arg not in ("self", "cls")]
    return found + ["return"] * (function.returns is None and function.name != "__init__")


def held() -> set[str]:
    """The functions whose tokens a fingerprint is made of: a type among them would part every checkpoint from its model."""
    found = set()
    for spec in (SPECS | VARIANTS).values():
        plain(spec, lambda function: found.update(mathematics(function)))
    return found


def test_public_functions_have_types():
    seen, missing, exempt = set(), {}, held()
    for package in ("common", "benchmarks"):
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            for name, function in public(ast.parse(path.read_text(encoding="utf-8"))):
                seen.add(f"{module}.{name}")
                if f"{module}.{name}" not in exempt and (found := untyped(function)):
                    missing[f"{path.relative_to(ROOT)}:{function.lineno} {name}"] = found
    assert not missing
    assert len(seen) > 700 and {"common.specs.vae.losses", "common.reference.terms.sigmoid"} <= exempt <= seen


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("def f(x) -> int: ...", ["x"]),
        ("def f(x: int): ...", ["return"]),
        ("def f(x: int, *rest, key, **more) -> int: ...", ["key", "rest", "more"]),
        ("async def f(x, /): ...", ["x", "return"]),
        ("class A:\n    def __init__(self, x): ...", ["x"]),
        ("class A:\n    @property\n    def f(self): ...", ["return"]),
        ("class A:\n    class B:\n        @classmethod\n        def f(cls, x) -> int: ...", ["x"]),
        ("def f() -> int:\n    if True:\n        def g(): ...", ["return"]),
        ("def _f(x):\n    def g(x): ...\nclass _A:\n    def f(x): ...\nclass A:\n    def __enter__(self): ...", []),
        ("def f(x: int = 1, *, y: 'str') -> None: ...", []),
    ],
)
def test_what_is_missing_is_seen(text, missing):
    assert [one for _, function in public(ast.parse(text)) for one in untyped(function)] == missing
