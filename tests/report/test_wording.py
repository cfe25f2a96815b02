import math

import pytest

from wasserscore.report.wording import COLUMNS, estimate, number, tone


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (2.6283, "2.63"),
        (12345.6, "12,300"),
        (1.6e9, "1.60e+09"),
        (2e-5, "2.00e-05"),
        (-1.5, "-1.5"),
    ],
)
def test_number(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "stderr", "percent", "text"),
    [
        (2.6283, 0.0312, False, "2.63 ± 0.03"),
        (14.23, 1.2, False, "14.2 ± 1.2"),
        (0.00123, 0.0003, False, "0.0012 ± 0.0003"),
        (0.6616, 0.1571, False, "0.66 ± 0.16"),
        (3.8612, 0.0116, False, "3.861 ± 0.012"),
        (2.7331, 0.0997, False, "2.73 ± 0.10"),
        (3.8612, math.inf, False, "3.9 ± inf"),
        (1e-9, 2e-10, False, "1.0e-09 ± 2e-10"),
        (2.5, None, False, "2.5"),
        (-1e-5, 3e-4, False, "0.0000 ± 0.0003"),
        (0.9977, None, True, "99.8 %"),
        (0.0, None, True, "0 %"),
        (0.004, 0.1, True, "0.4 %"),
    ],
)
def test_estimate(value, stderr, percent, text):
    assert estimate({"value": value, "stderr": stderr}, percent=percent) == text


def test_missing_estimates_are_a_dash():
    assert estimate(None) == estimate({"value": None}) == "–"


def test_best_follows_the_direction():
    by_key = {column.key: column for column in COLUMNS}
    assert by_key["w2"].best([3.0, None, 2.0]) == 2.0
    assert by_key["coverage"].best([0.1, 0.9]) == 0.9
    assert by_key["w2"].best([None]) is None


def test_tone_reads_the_verdict():
    assert [
        tone(v)
        for v in ("memorized", "suspicious", "no sign of copying", "not judged: no hold-out")
    ] == ["bad", "warn", "good", "neutral"]
