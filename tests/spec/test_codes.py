"""What the pages on made data keep of a run: tests/spec/test_factors.py has the measures themselves."""

import types

import numpy as np
import pytest

from common.specs import get
from common.tools.evaluation import dci
from common.tools.reproduction import codes

FACTORS = ("azimuth", "width")


@pytest.fixture
def fits(monkeypatch):
    """Few trees, and how often they were asked for."""
    count = []
    monkeypatch.setitem(dci.TREES, "n_estimators", 2)
    importances = codes.factors_module.importances
    monkeypatch.setattr(codes.factors_module, "importances", lambda *given: count.append(1) or importances(*given))
    return count


def run(folder, shift=0.0):
    rng = np.random.default_rng(0)
    known, test = ({name: rng.random(200) for name in FACTORS} for _ in range(2))
    probe = {
        name: np.column_stack([*part.values(), *rng.random((3, 200))]) + shift
        for name, part in (("known", known), ("codes", test))
    }
    data = types.SimpleNamespace(train_factors=known, test_factors=test)
    return types.SimpleNamespace(spec=get("vae_heads"), folder=folder, probe=probe), data


def test_what_codes_carry_is_measured_once_a_run(tmp_path, fits):
    first = codes.told(*run(tmp_path), FACTORS, {})
    again = codes.told(*run(tmp_path), FACTORS, {})
    assert len(fits) == 1 and again.plain() == first.plain()
    assert {name: type(value) for name, value in vars(again).items()} == {
        name: type(value) for name, value in vars(first).items()
    }


@pytest.mark.parametrize(("changed", "periods"), [({"shift": 1e-9}, {}), ({}, {"azimuth": 1.0})])
def test_it_is_measured_anew_where_something_changed(tmp_path, fits, changed, periods):
    codes.told(*run(tmp_path), FACTORS, {})
    codes.told(*run(tmp_path, **changed), FACTORS, periods)
    assert len(fits) == 2


def test_it_is_measured_anew_by_another_measure(tmp_path, fits, monkeypatch):
    codes.told(*run(tmp_path), FACTORS, {})
    other = tmp_path / "dci.py"
    other.write_text("another definition", encoding="utf-8")
    monkeypatch.setattr(codes, "dci", types.SimpleNamespace(__file__=other))
    codes.told(*run(tmp_path), FACTORS, {})
    assert len(fits) == 2
