"""Values that lie elsewhere are told, and values of the same law never are."""

import numpy as np
import pytest
import torch

from wasserscore.audit import audit
from wasserscore.audit.apart import columns_apart, columns_between

RNG = np.random.default_rng(0)


def draw(n=200, scale=1.0, shift=0.0):
    return torch.from_numpy(RNG.normal(size=(n, 3)) * scale + shift)


def test_columns_in_other_units_are_apart():
    train, new = draw(shift=9.0), draw(shift=9.0)
    assert columns_apart(train, new) == {}
    new[:, 1] /= 100
    new[:, 2] *= 100
    assert columns_apart(train, new) == {1: "below", 2: "above"}
    assert len(columns_apart(train, new[:20])) == 2
    assert columns_apart(train, new[:19]) == {}  # too few to tell
    train[:150, 1:] = 9.0  # mostly one value: says nothing
    assert columns_apart(train, new) == {}


@pytest.mark.parametrize(("scale", "told"), [(15, {}), (25, {1: "above", 2: "below"})])
def test_columns_around_zero_are_told_by_their_spread(scale, told):
    """In other units their middle halves overlap all the same."""
    times = torch.tensor([1, scale, 1 / scale])
    assert columns_apart(draw(2000), draw(2000) * times) == told
    found = audit(train=draw(), generated=draw() * 300, holdout=draw())
    assert found.verdict == "not judged: values lie apart"


@pytest.mark.parametrize("share", [0.17, 0.23])
def test_a_quarter_that_ends_in_a_gap_says_nothing_of_units(share):
    """Of less than a quarter of rows elsewhere beside more, the middle half is .01 or 10."""
    one = lambda far: np.where(RNG.random(2000) < far, 10, 0) + RNG.normal(size=2000) / 100
    train, new = (torch.from_numpy(one(far)[:, None]) for far in (share, 0.27))
    middle = [np.subtract(*np.quantile(x, (0.75, 0.25))) for x in (train, new)]
    assert middle[1] > 100 * middle[0]
    assert columns_apart(train, new) == columns_apart(new, train) == {}


def test_pixels_of_images_are_taken_together():
    train = torch.from_numpy(RNG.integers(0, 256, (50, 4, 4)).astype(float))
    train[:, :3] = 0.0  # most pixels are black
    assert columns_apart(train, train / 127.5 - 1) == {0: "below"}
    assert columns_apart(train, train.flip(0)) == {}


@pytest.mark.parametrize("scale", [255, 127.5])
@pytest.mark.parametrize("black", [2, 3], ids=["clothes", "digits"])
def test_a_range_in_other_units_is_told_where_most_is_background(black, scale):
    """Black is 0 in grey levels and in shares of 1 alike, so that middle halves overlap."""
    train = torch.from_numpy(RNG.integers(0, 256, (50, 4, 4)).astype(float))
    train[:, :black] = 0.0
    assert columns_apart(train, train / scale) == {0: "below"}
    assert columns_apart(train / scale, train) == {0: "above"}
    noise = torch.from_numpy(RNG.normal(size=train.shape))
    wild = train.clone()
    wild[7, 3, 3] = 1e5  # one pixel says nothing of units
    for new in (train.flip(0), (train + 20 * noise).clamp(0, 255), train / 10, wild):
        assert columns_apart(train, new) == {}


@pytest.mark.parametrize(("scale", "told"), [(15, {}), (25, {0: "below"})])
def test_a_range_twenty_times_as_narrow_is_told(scale, told):
    train = torch.from_numpy(RNG.integers(0, 256, (50, 4, 4)).astype(float))
    train[:, :3] = 0.0
    assert columns_apart(train, train / scale) == told


def test_values_between_the_steps_of_training_values_are_told():
    train, new = (
        torch.from_numpy(RNG.poisson(4, (200, 3)) * np.array([1, 0.1, 5.0])) for _ in "ab"
    )
    assert columns_between(train, new) == {}
    moved = new + torch.tensor([0.3, 1e-4, 5.0])  # a third, rounding, a whole step
    assert columns_between(train, moved) == pytest.approx({0: 1.0})
    off = torch.full((200, 3), 0.013)  # more than rounding of the first two, of the last less
    assert columns_between(train, new + off) == pytest.approx({0: 1.0, 1: 0.1})
    moved[:101, 0] = new[:101, 0]  # most are where they belong
    assert columns_between(train, moved) == {}
    pixels = train.reshape(-1, 4, 5)[:20] * 0 + torch.arange(5)
    assert columns_between(pixels, pixels + 0.5) == {0: 1.0}
    assert columns_between(draw(), draw()) == {}


def test_the_verdict_on_counts_says_that_rows_are_none():
    """Between whole numbers more of them lie within one of a training row than fresh ones do."""
    train, new, holdout = (torch.from_numpy(RNG.poisson(3, (400, 4)).astype(float)) for _ in "abc")
    smeared = new + torch.from_numpy(RNG.uniform(-0.5, 0.5, new.shape))
    found = audit(train=train, generated=smeared, holdout=holdout)
    assert found.verdict == "no sign of copying"
    assert found.copy_rate.value > found.copy_rate_holdout.value + 0.05
    assert "no test finds copies among them" in found.sentence
    assert "in 4 of 4 columns lie between the steps of training values (of 1)" in found.sentence
    assert "steps" not in audit(train=train, generated=new, holdout=holdout).sentence


def test_steps_far_below_the_distance_of_a_copy_are_not_told():
    train, new, holdout = (torch.from_numpy(RNG.normal(size=(400, 4))) for _ in "abc")
    told = [
        "lie between the steps" in audit(
            train=(train / step).round() * step, generated=new,
            holdout=(holdout / step).round() * step).sentence for step in (0.01, 0.05, 0.5, 1.0)
    ]  # fmt: skip
    assert told == [False, False, True, True]


def test_the_verdict_speaks_of_pixels_of_images():
    draws = (RNG.integers(0, 256, (50, 4, 4)) for _ in "ab")
    train, holdout = (torch.from_numpy(draw.astype(float)) for draw in draws)
    assert columns_apart(train, torch.full_like(train, 128)) == {}  # one grey is of any units
    found = audit(train=train, generated=train / 255, holdout=holdout)
    assert found.verdict == "not judged: values lie apart"
    assert "(the pixels of generated images lie apart from those of training" in found.sentence
    assert not found.judged


def test_the_verdict_says_that_copies_go_unseen():
    train, holdout = draw(shift=9.0), draw(shift=9.0)
    found = audit(train=train, generated=train * torch.tensor([1, 1, 0.01]), holdout=holdout)
    assert found.verdict == "no sign of copying"
    assert (
        "most generated values in 1 of 3 columns lie apart from those of train" in found.sentence
    )
    two = audit(train=train, generated=train * torch.tensor([1, 0.01, 0.01]), holdout=holdout)
    assert two.verdict == "not judged: values lie apart"
    assert "lie apart" in audit(train=train, generated=train / 100).sentence
    assert "lie apart" not in audit(train=train, generated=draw(shift=9.0)).sentence


def test_the_verdict_says_that_a_hold_out_of_other_units_makes_rows_look_like_copies():
    train, new = draw(shift=9.0), draw(shift=9.0)
    found = audit(train=train, generated=new, holdout=draw(shift=9.0) / 100)
    assert found.verdict == "not judged: values lie apart"
    assert found.p_exact is not None
    one = draw(shift=9.0) * torch.tensor([1, 1, 0.01])
    assert audit(train=train, generated=new, holdout=one).flagged
    assert "most held-out values in 3 of 3 columns lie apart from those of train" in found.sentence
    assert "lie apart" not in audit(train=train, generated=new, holdout=draw(shift=9.0)).sentence


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_hold_out_of_training_rows_judges_nothing(dtype):
    train = draw().to(dtype)
    found = audit(train=train, generated=train[:50], holdout=train)
    assert found.verdict == "not judged: the hold-out is training rows"
    assert not found.flagged
    assert not found.judged
    assert "100% of the held-out rows are training rows, so nothing can be conc" in found.sentence
    few = audit(train=train, generated=draw(50), holdout=torch.cat([train[:90], draw(110)]))
    assert few.judged


def test_rows_that_repeat_themselves_anyway_are_judged():
    """Of five different rows every fresh one is a training row."""
    rows = torch.from_numpy(RNG.integers(0, 5, (3, 200)).astype(float))[:, :, None]
    found = audit(train=rows[0], generated=rows[1], holdout=rows[2])
    assert found.verdict == "no sign of copying"
