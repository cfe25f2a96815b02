import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wasserscore.core.errors import InputError
from wasserscore.experiment.rules import parse_rule

NAMES = {"copies": (0.0, 1.0), "w2": (-math.inf, math.inf)}


@pytest.mark.parametrize(
    ("text", "limit"),
    [("copies>0.1%", 0.001), ("copies > 0.1 %", 0.001), ("w2>=2", 2.0), ("w2<.5", 0.5),
     ("w2<=1e-3", 0.001), (" copies>-1 ", -1.0), ("copies>0", 0.0)],
)  # fmt: skip
def test_limits(text, limit):
    assert parse_rule(text, NAMES).limit == pytest.approx(limit)


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_signs_mean_what_they_say(value, limit):
    outcomes = {
        sign: parse_rule(f"w2{sign}{limit!r}", NAMES).broken_by({"w2": value})
        for sign in (">", ">=", "<", "<=")
    }
    assert outcomes == {">": value > limit, ">=": value >= limit, "<": value < limit,
                        "<=": value <= limit}  # fmt: skip


def test_a_number_that_is_missing_fails():
    assert parse_rule("w2>5", NAMES).broken_by({"w2": None})
    assert parse_rule("w2<5", NAMES).broken_by({"w2": None})


@pytest.mark.parametrize(
    "text", ["", "copies", "copies>", ">1", "copies=1", "copies>>1", "copies>1%%", "copies>nan",
             "copies>1;import os", "copies>__import__('os')"],
)  # fmt: skip
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(InputError, match="a rule must read"):
        parse_rule(text, NAMES)


@pytest.mark.parametrize("text", ["copies>2", "copies>1", "copies>=100.1%", "copies<0"])
def test_what_can_never_hold_is_refused(text):
    with pytest.raises(InputError, match=f"copies lies between 0 and 1, got '{text}'; write two"):
        parse_rule(text, NAMES)


@pytest.mark.parametrize("text", ["copies>=1", "copies>99.9%", "copies<=0", "copies<0.1"])
def test_what_holds_at_an_end_is_a_rule(text):
    assert parse_rule(text, NAMES).text == text


def test_unknown_quantities_are_refused_with_the_known_ones():
    with pytest.raises(InputError, match="unknown quantity, got 'fid'; use one of copies, w2"):
        parse_rule("fid>1", NAMES)
