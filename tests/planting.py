"""Mistakes, planted in a backend or in the oracle, and where the two then part.

What the oracle says without a mistake takes it seconds, and its bars more: both are found once, the bars for the sessions of
all backends.
"""

import dataclasses
import functools
import hashlib
import shutil
import types
from pathlib import Path

import backends
from common import parity
from common.environment import ROOT
from common.truths import truth_with_kept_bars


@functools.cache
def kept():
    """The folder of the bars, which the sessions of the four backends share as long as the oracle has not changed."""
    sources = sorted((ROOT / "common").rglob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    folder = ROOT / ".pytest_cache" / "bars"
    (folder / digest).mkdir(parents=True, exist_ok=True)
    for other in folder.iterdir():
        if other.name != digest:
            shutil.rmtree(other, ignore_errors=True)
    return folder / digest


def planted(module, old, new):
    """A copy of the module with one replacement in its text."""
    text = Path(module.__file__).read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{module.__file__} must contain {old!r} once"
    copy = types.ModuleType("planted")
    exec(compile(text.replace(old, new), "planted", "exec"), copy.__dict__)
    return copy


def with_text(backend, spec, old, new):
    """The backend's model file with one replacement in its text."""
    engine, module = backends.load(backend, spec)
    copy = planted(module, old, new)
    return lambda spec, parameters: engine.Column(spec, copy, parameters, dtype="float64", device="cpu", seed=0)


def with_adam(backend, spec, **changes):
    """The backend built with other hyperparameters than the specification's."""
    (update,) = spec.updates
    other = dataclasses.replace(
        spec, updates=(dataclasses.replace(update, optimizer=dataclasses.replace(update.optimizer, **changes)),)
    )
    return lambda _, parameters: backends.create(backend, other, parameters, dtype="float64")


def failure(spec, train, make):
    """The stage at which the column made by `make` parts from the oracle."""
    case = parity.Case(spec.calmed(), train, batch=8, steps=0)
    return parity.parting(make(case.spec, case.parameters()), truth(case), case, "float64")


TRUTHS, HONEST = {}, {}


def truth(case):
    """What the oracle says of a model, which takes it seconds and is the same in every test; its bars in every backend."""
    key = case.spec.fingerprint()
    if key not in TRUTHS:
        TRUTHS[key] = truth_with_kept_bars(case, "float64", kept())
    return TRUTHS[key]


def keep(spec, train):
    """Ask the oracle for the truth before a mistake is planted in it."""
    truth(parity.Case(spec.calmed(), train, batch=8, steps=0))


def against_a_planted_oracle(backend, spec, train):
    """The stage at which the backend, whose results are the same in every test, parts from the oracle with a mistake planted in
    it; judged by the bars of what the oracle says without."""
    case = parity.Case(spec.calmed(), train, batch=8, steps=0)
    key = (backend, case.spec.fingerprint())
    if key not in HONEST:
        column = backends.create(backend, case.spec, case.parameters(), dtype="float64")
        HONEST[key] = parity.collect(column, case, "float64")
    mistaken = dataclasses.replace(truth(case), results=parity.expected(case, "float64"))
    return parity.first_failure(parity.compare(mistaken, HONEST[key], "float64"))
