"""Column by column: numbers that can be checked by hand, and a test that knows what it sees."""

import numpy as np
import pandas as pd
import pytest

from wasserscore.data import Codec
from wasserscore.experiment import column_scales
from wasserscore.experiment.column_scales import ColumnScales
from wasserscore.experiment.marginals import associations, marginal, two_sample_accuracy

ROOT = 2**0.5


def table(rows, seed, linked=True):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(rows)
    other = x if linked else rng.standard_normal(rows)
    return pd.DataFrame({
        "x": x,
        "sex": np.where(other > 0, "M", "F"),
        "gap": np.where(rng.random(rows) < 0.3, np.nan, rng.standard_normal(rows)),
    })  # fmt: skip


def test_marginals_are_what_a_hand_computes():
    frame = pd.DataFrame({"n": [0.0, 1.0, 2.0, 3.0, np.nan], "c": ["a", "b", "c", "a", "a"]})
    codec = Codec.infer(frame)
    number, level = codec.columns
    assert 2.0**number.exponent == 1.0
    one = codec.encode(frame).numpy()
    moved = codec.encode(frame.assign(n=frame["n"] + 0.5), exact=False).numpy()
    assert marginal(number, one[:, :2], one[:, :2]) == 0
    assert marginal(number, one[:, :2], moved[:, :2]) == pytest.approx(0.5)
    full = frame.assign(n=[0.0, 1.0, 2.0, 3.0, 1.5])
    assert marginal(number, codec.encode(full, exact=False).numpy()[:, :2], one[:, :2]) == (
        pytest.approx(ROOT * 0.2 + 0.2)  # the share of gaps, and W1 of 4 and 5 values
    )
    others = codec.encode(frame.assign(c=["b", "b", "c", "a", "a"])).numpy()
    assert marginal(level, one[:, 2:], others[:, 2:]) == pytest.approx(ROOT * 0.2)


def test_the_value_that_is_far_too_frequent_counts_by_its_share_alone():
    rng = np.random.default_rng(0)
    cells = np.where(rng.random(400) < 0.5, 0.0, np.round(rng.lognormal(3, 0.3, 400), 2))
    frame = pd.DataFrame({"n": cells, "y": np.arange(400) % 3 / 7})
    codec = Codec.infer(frame)
    column = codec.columns[0]
    assert column.atoms == (0,)
    one = codec.encode(frame).numpy()[:, codec.places("n")]
    zeros = np.flatnonzero(cells == 0)
    fewer = np.delete(one, zeros[:100], 0)
    shares = (len(zeros) / 400, (len(zeros) - 100) / 300)
    assert marginal(column, one, fewer) == pytest.approx(ROOT * abs(shares[0] - shares[1]))
    only = one[zeros]
    assert marginal(column, one, only) == pytest.approx(ROOT * (1 - shares[0]))


def test_the_floors_are_measured_once_for_all_models(monkeypatch):
    train, fresh = table(60, 0), table(60, 1)
    codec = Codec.infer(pd.concat([train, fresh], ignore_index=True))
    points = [codec.encode(frame, exact=False) for frame in (train, fresh)]
    asked = []
    monkeypatch.setattr(
        column_scales, "two_sample_accuracy",
        lambda x, y, *, seed: asked.append(x) or two_sample_accuracy(x, y, seed=seed),
    )  # fmt: skip
    scales = ColumnScales(codec, *points, seed=0)
    one, two = scales.section(points[1]), scales.section(points[0])
    assert len(asked) == 3
    assert one["columns"][0]["floor"] == two["columns"][0]["floor"]
    assert two["columns"][0]["distance"] == two["columns"][0]["floor"]


def test_associations_are_root_mean_squares_over_pairs_of_coordinates():
    """Of blocks one, one, two and four coordinates wide, and of an identifier, which has none."""
    rng = np.random.default_rng(0)
    cells = {"x": rng.normal(size=90), "flag": rng.choice(["a", "b"], 90),
             "id": [f"row {i}" for i in range(90)], "gap": rng.normal(size=90),
             "town": rng.choice(list("pqrs"), 90)}  # fmt: skip
    frame = pd.DataFrame(cells)
    frame.loc[:9, "gap"] = np.nan
    codec = Codec.infer(frame)
    points = codec.encode(frame).numpy()
    square = np.corrcoef(points.T) ** 2
    blocks = [[0], [1], [2, 3], [4, 5, 6, 7]]
    wanted = [[square[np.ix_(a, b)].mean() ** 0.5 for b in blocks] for a in blocks]
    np.testing.assert_allclose(associations(codec, points), wanted, rtol=1e-12)


def test_associations_and_the_two_sample_test_see_a_lost_link():
    train, fresh, same = (table(400, seed) for seed in range(3))
    codec = Codec.infer(pd.concat([train, fresh, same], ignore_index=True))
    encode = lambda frame: codec.encode(frame, exact=False)
    link = associations(codec, encode(train).numpy())
    x = train["x"].to_numpy()
    expected = abs(np.corrcoef(x, train["sex"] == "M")[0, 1])
    assert link[0, 1] == pytest.approx(expected, rel=1e-9)
    lost = encode(table(400, 3, linked=False))
    scales = ColumnScales(codec, encode(train), encode(fresh), seed=0)
    good, bad = scales.section(encode(same)), scales.section(lost)
    assert [c["name"] for c in good["columns"]] == ["x", "sex", "gap"]
    assert bad["association"]["value"] > 3 * good["association"]["value"]
    assert abs(good["two_sample"]["value"]["value"] - 0.5) < 0.08
    assert bad["two_sample"]["value"]["value"] > 0.65
    assert good["two_sample"]["floor"] == bad["two_sample"]["floor"]
    assert good["usefulness"]["target"] == "sex"
    assert bad["usefulness"]["synthetic"]["value"] < 0.6 < good["usefulness"]["real"]["value"]
    assert scales.section(lost, target="gap")["usefulness"]["score"] == "R^2"
    assert two_sample_accuracy(np.zeros((50, 1)), np.ones((50, 1)), seed=0).value == 1.0
    assert two_sample_accuracy(np.zeros((4, 1)), np.ones((50, 1)), seed=0) is None


def test_rows_of_a_sorted_file_are_not_told_apart_by_their_place():
    x, y = (np.random.default_rng(seed).standard_normal((600 // seed, 1)) for seed in (1, 2))
    assert abs(two_sample_accuracy(np.sort(x, 0), y, seed=0).value - 0.5) < 0.08
    assert abs(two_sample_accuracy(y, np.sort(x, 0), seed=0).value - 0.5) < 0.08


@pytest.mark.parametrize("count", [2, 3, 8, 32, 40, 1100])
@pytest.mark.parametrize("new", ["z", None])
def test_values_that_are_no_level_count_by_their_share(count, new):
    """Each of m rows out of n is apart from all rows of the other side: total variation m / n."""
    cells = pd.Series([f"l{i:04}" for i in range(count)] * (2400 // count))
    frame = pd.DataFrame({"c": cells, "y": np.arange(len(cells)) % 3 / 7})
    codec = Codec.infer(frame)
    places = codec.places("c")
    own = codec.encode(frame).numpy()[:, places]
    mixed = frame.assign(c=cells.where(np.arange(len(cells)) >= 600, new))
    other = codec.encode(mixed, exact=False).numpy()[:, places]
    kept = cells.value_counts(normalize=True).to_numpy()
    left = mixed["c"].value_counts().reindex(cells.unique(), fill_value=0).to_numpy() / len(cells)
    total = (np.abs(kept - left).sum() + 600 / len(cells)) / 2
    assert marginal(codec.columns[0], own, other) == pytest.approx(ROOT * total)
    assert marginal(codec.columns[0], own, own) == 0
