"""docs/upstream, the reports for PyTorch."""

import pytest

from tests.differences.upstream import check, reports


@pytest.mark.parametrize("report", reports("pytorch"), ids=lambda report: report.stem)
def test_a_report_says_what_is_found(report, tmp_path):
    check(report, tmp_path)
