"""docs/upstream, the reports for JAX and Optax."""

import pytest

from tests.differences.upstream import check, reports


@pytest.mark.parametrize("report", reports("jax", "optax"), ids=lambda report: report.stem)
def test_a_report_says_what_is_found(report, tmp_path):
    check(report, tmp_path)
