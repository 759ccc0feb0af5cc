"""The tests of test_compare.py for InfoGAN, in a file of their own: it takes as long as the other seven models together,
and two processes share the work file by file."""

import pytest

from tests.parity.test_compare import (  # noqa: F401
    compare,
    test_every_backend_meets_every_bar,
    test_every_pair_meets_every_bar,
    test_short_training_agrees_in_float32,
    test_the_growth_of_the_deviation,
    test_the_page_is_self_contained,
    test_the_plots_show_something,
    test_the_table,
)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    return compare(["infogan"], tmp_path_factory.mktemp("compare"))
