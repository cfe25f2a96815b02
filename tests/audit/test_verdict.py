import pytest

from wasserscore.audit import verdict
from wasserscore.audit.verdict import Evidence, judge

NOTHING = Evidence(
    copy_excess=0.0, closer=0.5, p_exact=1.0, p_copies=0.5, p_closer=0.5, p_least=0.0
)


def test_levels_add_up_to_the_stated_rate():
    levels = verdict.EXACT_LEVEL + verdict.SCAN_LEVEL + verdict.SHIFT_LEVEL
    assert levels == pytest.approx(verdict.FALSE_POSITIVE_RATE)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, "no sign of copying"),
        ({"copy_excess": 0.5}, "no sign of copying"),  # not significant
        ({"p_closer": 0.001, "closer": 0.62}, "no sign of copying"),  # smoother, not copied
        ({"p_closer": 0.003, "closer": 0.9}, "no sign of copying"),
        ({"p_closer": 0.001, "closer": 0.9}, "suspicious"),
        ({"p_copies": 0.016}, "no sign of copying"),
        ({"p_copies": 0.015}, "suspicious"),
        ({"p_exact": 0.003}, "no sign of copying"),
        ({"p_exact": 0.0025}, "suspicious"),
        ({"p_exact": 1e-9, "copy_excess": 0.099}, "suspicious"),
        ({"p_exact": 1e-9, "copy_excess": 0.1}, "memorized"),
        ({"p_least": 0.0025}, "no sign of copying"),
        ({"p_least": 0.003}, "not judged: too few rows"),
        ({"p_least": 0.003, "p_copies": 0.015}, "suspicious"),
    ],
)
def test_rule(change, word):
    assert judge(NOTHING._replace(**change))[0] == word


def test_every_reason_is_told():
    _, reason = judge(Evidence(0.9, 0.99, 0.0, 0.001, 0.001, 0.0))
    assert "exact copies" in reason
    assert "p < 1e-6" in reason
    assert "some rows lie closer" in reason
    assert "99% of pairs" in reason
