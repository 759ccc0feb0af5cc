"""Sides that a file's tests share."""

import pytest

from tests.diff import kept


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """Inside, sides outlive a verdict: a hundred verdicts import each framework once."""
    with kept.keeping(tmp_path_factory.mktemp("sides") / "log"):
        yield
