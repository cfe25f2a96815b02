"""What the picture of a column is drawn from."""

import numpy as np
import pandas as pd
import pytest

from wasserscore.data.tables import Codec
from wasserscore.experiment.profiles import BINS, LEVELS, profile
from wasserscore.report.canvas import figure_bytes
from wasserscore.report.marginals_figure import SHOWN, marginals, shown


def sides(cells, other):
    """The only column of two frames, and its coordinates in both."""
    frame = pd.DataFrame({"x": cells, "y": np.arange(len(cells)) % 3 / 7})
    codec = Codec.infer(frame)
    column = next(c for c in codec.columns if c.name == "x")
    places = codec.places("x")
    of = lambda cells: codec.encode(frame.assign(x=cells), exact=False).numpy()[:, places]
    return column, of(other), of(cells)


def test_whole_numbers_are_counted_in_bins_of_equally_many():
    rng = np.random.default_rng(0)
    real, new = rng.integers(17, 91, 400), rng.integers(17, 91, 400)
    real[:2] = 17, 90
    column, own, fresh = sides(real, new)
    found = profile(column, own, fresh)
    step = column.lattice[0]
    steps = np.asarray(found["edges"]) / step
    wide = np.diff(steps)
    assert np.allclose(wide, np.rint(wide[0]))  # whole numbers of steps, alike,
    assert np.allclose(steps % 1, 0.5)  # and no value on an edge
    assert len(wide) <= BINS + 2
    assert sum(found["real"]) == pytest.approx(1)
    first = 17 + np.rint(wide[0])
    assert found["real"][0] == pytest.approx((real < first).mean())
    assert found["generated"][0] == pytest.approx((new < first).mean())
    assert found["ticks"][0][1] == "17"


def test_numbers_of_no_grid_have_24_bins_and_a_few_in_the_last_ones():
    real = np.random.default_rng(2).standard_normal(1000)
    column, own, fresh = sides(real, real[::-1])
    found = profile(column, own, fresh)
    assert len(found["edges"]) == 25
    ends = np.quantile(fresh[:, 0], [0.002, 0.998])
    assert [found["edges"][0], found["edges"][-1]] == pytest.approx(list(ends))
    assert sum(found["real"]) == sum(found["generated"]) == pytest.approx(1)


def test_ticks_stand_where_their_values_lie():
    """One in the middle of the bins is none of the values: the tick is at the nearest one."""
    prices = np.resize([*range(1, 25), 39, 80], 300).astype(float)
    column, own, fresh = sides(prices, prices)
    assert len(column.seen) == BINS + 2
    ticks = profile(column, own, fresh)["ticks"]
    values = pd.Series([float(text) for _, text in ticks], name="x")
    assert len(values) == 3
    assert values.isin(prices).all()
    assert [x for x, _ in ticks] == pytest.approx(list(column.encode(values)[:, 0]), abs=1e-9)


MONTHS = [str(month) for month in np.arange("2022-01", "2023-05", dtype="datetime64[M]")]


@pytest.mark.parametrize(
    "values",
    [[f"{month}-01" for month in MONTHS], [1, 3, 7, 14, 28, 56, 90], [4.99, 9.99, 19.99, 49.99]],
)
def test_few_values_have_a_bar_each(values):
    """Months of 28 and 31 days, too: bins of one width held one, two or none of them."""
    count = len(values)
    real = np.repeat(values, np.arange(20, 20 + count))
    new = np.repeat(values, np.arange(20 + count, 20, -1))
    column, own, fresh = sides(real.tolist(), np.resize(new, len(real)).tolist())
    found = profile(column, own, fresh)
    assert list(found["edges"]) == list(range(count + 1))
    for side, rows in (("real", real), ("generated", np.resize(new, len(real)))):
        assert list(found[side]) == pytest.approx([np.mean(rows == value) for value in values])
    some = (0, count // 2, count - 1)
    assert found["ticks"] == [[k + 0.5, str(values[k])] for k in some]


def test_a_value_that_is_told_beside_has_no_bar():
    rng = np.random.default_rng(0)
    cells = np.r_[np.zeros(300), rng.permutation(np.resize(100 + 7 * np.arange(22), 600))]
    column, own, fresh = sides(cells, cells[::-1].copy())
    assert column.atoms == (0,)
    assert len(column.seen) == 23
    found = profile(column, own, fresh)
    assert len(found["real"]) == 22
    assert min(found["real"]) > 0
    assert sum(found["real"]) == pytest.approx(2 / 3)


def test_what_no_bin_holds_is_told_beside():
    rng = np.random.default_rng(1)
    real = pd.Series(rng.lognormal(3, 1, 300)).round(2)
    real[:150], real[150:180] = 0.0, None
    new = real.copy()
    new[:30] = 5.0
    column, own, fresh = sides(real, new)
    assert column.atoms == (0,)
    assert column.missing
    found = profile(column, own, fresh)
    assert found["special"] == [["0.0", 0.4, 0.5], ["missing", 0.1, 0.1]]
    assert sum(found["real"]) == pytest.approx(0.4)
    assert sum(found["generated"]) == pytest.approx(0.5)


@pytest.mark.parametrize(("count", "last"), [(LEVELS + 1, "i"), (LEVELS + 2, "2 others")])
def test_frequent_levels_have_bars_and_the_rest_one(count, last):
    levels = [chr(ord("a") + k) for k in range(count)]
    real = np.repeat(levels, np.arange(20, 20 - count, -1))
    new = np.repeat(levels, np.arange(1, 1 + count))
    column, own, fresh = sides(real.tolist(), np.resize(new, len(real)).tolist())
    found = profile(column, own, fresh)
    assert found["labels"] == [*levels[:LEVELS], last]
    assert len(found["labels"]) == 9
    share = lambda rows, level: np.mean(np.resize(rows, len(real)) == level)
    assert found["real"][:3] == pytest.approx([share(real, level) for level in "abc"])
    assert found["generated"][:3] == pytest.approx([share(new, level) for level in "abc"])
    assert sum(found["real"]) == pytest.approx(1)


def column_of(name, distance, **profile):
    given = {"labels": ["$a$", "<b>"], "generated": [0.3, 0.7], "real": [0.5, 0.5]}
    return {"name": name, "distance": distance, "floor": 0.1, "profile": given | profile}


def test_the_picture_shows_both_sides_and_the_worst_columns():
    table = [column_of(f"$c_{k}", k / 100) for k in range(SHOWN + 3)]
    assert [c["name"] for c in shown(table)] == [f"$c_{k}" for k in range(3, SHOWN + 3)]
    assert len(shown(table)) == 24
    assert shown([{"name": "old", "distance": 0.1, "floor": 0.1}]) == []
    figure = marginals(table[:2])
    figure.canvas.draw()  # names of the data are no formulas
    axis = figure.axes[0]
    assert axis.get_title(loc="left") == "$c_0"
    assert [bar.get_width() for bar in axis.patches] == [0.5, 0.5, 0.3, 0.7]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["$a$", "<b>"]


def test_scripts_that_the_font_has_not_give_no_warnings(recwarn):
    given = column_of("城市", 0.1, labels=["北京\x07", "a"])
    figure_bytes(marginals([given]))
    assert not [w for w in recwarn if "Glyph" in str(w.message)]


def test_numbers_are_drawn_between_their_ends():
    found = {"edges": [0.0, 1.0, 2.0, 3.0], "ticks": [[0.0, "17"], [1.5, "50"], [3.0, "90"]],
             "generated": [0.2, 0.3, 0.1], "real": [0.1, 0.3, 0.2],
             "special": [["0", 0.4, 0.25]]}  # fmt: skip
    figure = marginals([{"name": "age", "distance": 0.2, "floor": 0.1, "profile": found}])
    figure.canvas.draw()
    axis = figure.axes[0]
    real, own = (patch.get_data() for patch in axis.patches)
    assert (list(real.values), list(own.values)) == (found["real"], found["generated"])
    assert [label.get_text() for label in axis.get_xticklabels()] == ["17", "50", "90"]
    assert axis.get_xlabel() == "0: 40.0% (held-out 25.0%)"


def test_values_that_are_no_level_have_a_bar_of_their_own():
    cells = [f"level {i:02}" for i in range(12) for _ in range(10)]
    column, own, fresh = sides(cells, ["elsewhere", None, *cells[2:]])
    found = profile(column, own, fresh)
    assert found["labels"][-2:] == ["4 others", "new values"]
    assert found["generated"][-1] == pytest.approx(2 / 120)
    assert found["real"][-1] == 0
    assert sum(found["generated"]) == sum(found["real"]) == pytest.approx(1)
    assert "new values" not in profile(column, fresh, fresh)["labels"]


def test_labels_of_ticks_do_not_run_into_each_other():
    """No value lies in the middle: the one nearest to it is 25236, whose label met that of 594."""
    real = np.r_[np.zeros(900, int), np.arange(594, 15024, 237), 25236, [99999] * 3]
    column, own, fresh = sides(real, real)
    assert [label for _, label in profile(column, own, fresh)["ticks"]] == ["594", "99999"]
