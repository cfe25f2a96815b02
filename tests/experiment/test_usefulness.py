"""Train on synthetic, test on real: copies are as good as real rows, lost links are not."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, r2_score

from wasserscore.core.errors import InputError
from wasserscore.data import Codec
from wasserscore.experiment.usefulness import (
    accuracy,
    balanced_accuracy,
    default_target,
    r2,
    usefulness,
)


def table(rows, seed):
    """A level that follows two numbers, one of which is sometimes missing."""
    rng = np.random.default_rng(seed)
    x, noise = rng.standard_normal((2, rows))
    gap = np.where(rng.random(rows) < 0.2, np.nan, x + 0.3 * rng.standard_normal(rows))
    city = np.array(["Bonn", "Ulm", "Wien"])[np.digitize(x + 0.2 * noise, [-0.3, 0.9])]
    return pd.DataFrame({"x": x, "city": city, "gap": gap})


TRAIN, HOLDOUT = table(300, 0), table(200, 1)
CODEC = Codec.infer(pd.concat([TRAIN, HOLDOUT, table(300, 2)], ignore_index=True))


def points(frame):
    return CODEC.encode(frame, exact=False)


def found(synthetic, holdout=HOLDOUT, **given):
    given = {"seed": 0, **given}
    return usefulness(CODEC, points(synthetic), points(TRAIN), points(holdout), **given)


def test_the_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    y, guess = rng.choice(4, (2, 200), p=[0.7, 0.1, 0.1, 0.1])
    assert accuracy(y, guess) == (y == guess).mean()
    assert balanced_accuracy(y, guess) == pytest.approx(balanced_accuracy_score(y, guess))
    truth, told = rng.standard_normal((2, 50))
    assert r2(truth, told) == pytest.approx(r2_score(truth, told))


@pytest.mark.parametrize(("target", "score"), [("city", "accuracy"), ("gap", "R^2")])
def test_a_copy_is_as_good_as_real_rows_and_unlinked_columns_are_good_for_nothing(target, score):
    copied = found(TRAIN, target=target)
    assert copied.score == score
    assert copied.synthetic == copied.real
    assert copied.real.value > copied.trivial.value + 10 * copied.trivial.stderr
    fresh = found(table(300, 2), target=target)
    assert abs(fresh.synthetic.value - fresh.real.value) < 3 * fresh.real.stderr
    rng = np.random.default_rng(3)
    loose = found(TRAIN.apply(lambda c: rng.permutation(c)), target=target)
    assert loose.synthetic.value < loose.trivial.value + 3 * loose.trivial.stderr
    assert loose.real == copied.real


def test_the_trivial_guess_and_its_error_are_those_of_counting():
    result = found(TRAIN)
    usual = TRAIN["city"].mode()[0]
    share = (HOLDOUT["city"] == usual).mean()
    assert result.target == "city"
    assert result.trivial.value == pytest.approx(share)
    assert result.trivial.stderr == pytest.approx((share * (1 - share) / 200) ** 0.5, rel=0.2)
    assert result.sentence.startswith("Predicting city in 200 held-out rows (accuracy): trained")
    assert result.sentence.endswith(f"always the most frequent level {share:.2f} ± 0.03.")
    missing = found(TRAIN, target="gap")
    assert missing.trivial.n == HOLDOUT["gap"].notna().sum()
    assert missing.trivial.value == pytest.approx(0, abs=0.05)


def test_the_same_seed_gives_the_same_numbers_and_as_many_rows_train_both():
    few = table(120, 4)
    one = found(few)
    assert one.n_train == 120
    assert found(few).to_dict() == one.to_dict()
    other = found(few, seed=1)
    assert other.synthetic.value == one.synthetic.value  # all 120 rows, in another order
    assert other.synthetic.stderr != one.synthetic.stderr
    assert other.real.value != one.real.value  # another 120 of 300


def test_rows_are_drawn_from_all_over_a_file_that_is_in_an_order():
    result = usefulness(CODEC, points(table(100, 4)), points(TRAIN.sort_values("x")),
                        points(HOLDOUT), seed=0)  # fmt: skip
    assert result.real.value > 0.75


def test_absent_and_strange_levels_are_wrong_answers():
    without = found(TRAIN[TRAIN["city"] != "Wien"])
    assert without.synthetic.value <= (HOLDOUT["city"] != "Wien").mean()
    assert without.synthetic.value > without.trivial.value
    alone = found(TRAIN.assign(city="Wien"))
    assert alone.synthetic.value == pytest.approx((HOLDOUT["city"] == "Wien").mean())
    assert alone.trivial == without.trivial  # the usual level of real rows
    strange = found(TRAIN, HOLDOUT.assign(city="Rom"))
    assert strange.real.value == strange.trivial.value == 0


def test_levels_weigh_alike_where_one_has_most_rows():
    def skewed(seed):
        frame = table(1000, seed)
        return frame.assign(city=np.where(frame["x"] > 1.3, "Wien", "Bonn"))

    result = usefulness(CODEC, points(skewed(0)), points(skewed(0)), points(skewed(1)), seed=0)
    assert result.score == "balanced accuracy"
    assert result.trivial.value == 0.5
    assert result.real.value > 0.95


def test_what_cannot_be_measured_says_why():
    short = found(TRAIN, HOLDOUT[:19])
    assert short.synthetic is None
    assert short.sentence == (
        "Not measured: 19 held-out rows with a value of city, 20 are needed."
    )
    gone = found(TRAIN.assign(gap=np.nan), target="gap")
    assert gone.sentence.startswith("Not measured: 0 generated rows with a value of gap")
    single = Codec.infer(TRAIN[["city"]])
    rows = single.encode(TRAIN[["city"]])
    assert "no other column" in usefulness(single, rows, rows, rows, seed=0).sentence
    with pytest.raises(InputError, match="got 'town'; choose one of x, city, gap"):
        found(TRAIN, target="town")


def test_the_target_is_the_last_column_of_few_levels_else_of_numbers():
    rng = np.random.default_rng(0)
    day = pd.to_datetime("2024-01-01") + pd.to_timedelta(rng.integers(0, 90, 60), "D")
    frame = pd.DataFrame({
        "sex": rng.choice(["F", "M"], 60), "ok": rng.random(60) < 0.5, "n": rng.random(60),
        "word": [f"w{i % 25}" for i in range(60)], "day": day,
    })  # fmt: skip
    codec = Codec.infer(frame)
    assert default_target(codec) == "ok"
    assert default_target(Codec.infer(frame[["n", "word", "day"]])) == "n"
    assert default_target(Codec.infer(frame[["word", "day"]])) is None


def test_a_level_of_one_row_does_not_spoil_the_others():
    """Boosting without a ridge gets a quarter of these rows wrong."""
    x = np.random.default_rng(0).standard_normal((8000, 4))
    kind = np.array(list("abcd"))[np.digitize(x[:, 0], [-0.8, 0.2, 1.2])]
    kind[0], x[0] = "rare", 2.0
    frame = pd.DataFrame(x, columns=list("uvxy")).assign(kind=kind)
    codec = Codec.infer(frame)
    train, rest = codec.encode(frame[:4000]), codec.encode(frame[4000:].reset_index(drop=True))
    told = usefulness(codec, train, train, rest, target="kind", seed=0)
    assert told.real.value > 0.99


def test_what_stands_for_none_is_no_answer():
    """-999 for a gap: the scores are those of the table with the gap, on the same rows."""
    one, few = TRAIN.index % 2 == 0, HOLDOUT.index % 3 == 0
    empty = [TRAIN[["x"]].assign(y=TRAIN["x"].round(2).where(one)),
             HOLDOUT[["x"]].assign(y=HOLDOUT["x"].round(2).where(few))]  # fmt: skip
    scores = []
    for train, holdout in (empty, [frame.fillna(-999) for frame in empty]):
        codec = Codec.infer(pd.concat([train, holdout], ignore_index=True))
        x, y = codec.encode(train), codec.encode(holdout)
        scores.append(usefulness(codec, x, x, y, target="y", seed=0))
    gaps, marks = scores
    assert (marks.n_train, marks.real.n) == (one.sum(), few.sum())
    assert marks == gaps
