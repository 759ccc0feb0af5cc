"""docs/upstream, the reports for TensorFlow and Keras."""

import pytest

from tests.differences.upstream import check, reports


@pytest.mark.parametrize("report", reports("tensorflow", "keras"), ids=lambda report: report.stem)
def test_a_report_says_what_is_found(report, tmp_path):
    check(report, tmp_path)
