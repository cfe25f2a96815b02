"""Rows under a condition: it holds exactly, and the law of the rest is the conditional one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from tests.experiment import mixed

from wasserscore.core.errors import InputError
from wasserscore.data import Dataset, Scaling, load
from wasserscore.data.margins import Margin, Margins
from wasserscore.experiment.condition import Condition
from wasserscore.experiment.conditions import parse_where
from wasserscore.experiment.model import Model
from wasserscore.experiment.models import fit_empirical, fit_kernel_mixture, forward_process
from wasserscore.experiment.where import _fixed, sample_where
from wasserscore.score import LatentScore, ProximalScore
from wasserscore.score.spiked import Spiked

MEANS = np.array([[0.0, 0.0, 0.0], [2.0, 3.0, -1.0], [-1.0, 1.0, 2.0]])
COVARIANCES = np.array([
    [[1.0, 0.5, 0.2], [0.5, 1.0, 0.0], [0.2, 0.0, 0.5]],
    [[0.5, -0.3, 0.1], [-0.3, 1.0, 0.2], [0.1, 0.2, 0.8]],
    [[1.5, 0.0, 0.6], [0.0, 0.4, 0.0], [0.6, 0.0, 1.0]],
])  # fmt: skip
SHARES = np.array([0.5, 0.3, 0.2])
SCALE, SHIFT = np.array([2.0, 0.5, 1.0]), np.array([1.0, 0.0, -3.0])


@pytest.fixture(scope="module")
def known():
    """A model whose law, in data units, is a mixture of three Gaussians that we know."""
    score = ProximalScore(
        torch.tensor(MEANS), Spiked.dense(torch.tensor(COVARIANCES)), forward_process(),
        weights=torch.tensor(SHARES),
        scaling=Scaling(torch.tensor(SHIFT), torch.tensor(SCALE)),
    )  # fmt: skip
    wide = torch.tensor([[-99.0, -99.5, -98.7], [99.0, 99.3, 98.1], [0.1, 0.2, 0.3]])
    layout = Dataset.build(wide, name="wide", kind="table", columns=("a", "b", "c")).layout
    return Model(score, layout)


def conditional_moments(a):
    """Mean and covariance of (b, c) given a, from the textbook, in data units."""
    y = (a - SHIFT[0]) / SCALE[0]
    gap, variance = y - MEANS[:, 0], COVARIANCES[:, 0, 0]
    weights = SHARES * np.exp(-(gap**2) / variance / 2) / np.sqrt(variance)
    weights /= weights.sum()
    gain = COVARIANCES[:, 1:, 0] / variance[:, None]
    means = MEANS[:, 1:] + gain * gap[:, None]
    inner = COVARIANCES[:, 1:, 1:] - gain[:, :, None] * COVARIANCES[:, None, 0, 1:]
    mean = weights @ means
    apart = means - mean
    total = np.einsum("k,kij->ij", weights, inner) + (apart * weights[:, None]).T @ apart
    return mean * SCALE[1:] + SHIFT[1:], total * np.outer(SCALE[1:], SCALE[1:])


@pytest.mark.parametrize("a", [0.0, 4.0])
def test_the_law_given_an_equality_is_the_known_conditional(known, a):
    n = 6000
    rows = sample_where(known, n, parse_where(f"a={a}", known.layout), seed=0).numpy()
    assert (rows[:, 0] == a).all()
    mean, covariance = conditional_moments(a)
    error = np.sqrt(np.diag(covariance) / n)
    assert (np.abs(rows[:, 1:].mean(0) - mean) < 4 * error).all()
    found = np.cov(rows[:, 1:].T)
    spread = np.sqrt(np.diag(covariance))
    assert (np.abs(found - covariance) < 0.1 * np.outer(spread, spread)).all()


def test_a_condition_is_asked_before_the_margins(known):
    """Margins that carry every number x of the model to 2 x + 1: a = 5 is a = 2 of the law."""
    line = torch.linspace(-90, 90, 500, dtype=torch.float64).expand(3, -1)
    margins = Margins(tuple(map(Margin, range(3))), line, 2 * line + 1)
    wide = Model(known.score, replace(known.layout, margins=margins))
    rows = sample_where(wide, 6000, parse_where("a=5", wide.layout), seed=0).numpy()
    assert (rows[:, 0] == 5).all()
    mean, covariance = conditional_moments(2.0)
    error = np.sqrt(np.diag(covariance) / 6000)
    assert (np.abs((rows[:, 1:].mean(0) - 1) / 2 - mean) < 4 * error).all()


def test_inequalities_cut_the_law(known):
    """P(b > 2 | a) as the kept share of rows, and every row obeys."""
    equality = parse_where("a=1.0", known.layout)
    both = parse_where("a=1.0,b>0.5", known.layout)
    rows = sample_where(known, 3000, both, seed=1)
    assert bool((rows[:, 1] > 0.5).all())
    assert bool((rows[:, 0] == 1.0).all())
    free = sample_where(known, 6000, equality, seed=2)
    kept = free[free[:, 1] > 0.5]
    error = float((kept.var(0)[2] / len(kept) + rows.var(0)[2] / len(rows)).sqrt())
    assert float((kept.mean(0) - rows.mean(0))[2].abs()) < 4 * error


def test_row_i_depends_on_the_seed_and_on_i(known):
    conditions = parse_where("a=1.0,b>0", known.layout)
    many = sample_where(known, 700, conditions, seed=5)
    assert torch.equal(sample_where(known, 300, conditions, seed=5), many[:300])
    assert not torch.equal(sample_where(known, 300, conditions, seed=6), many[:300])


def test_a_rare_condition_is_refused_with_its_count(known):
    with pytest.raises(InputError, match="10 rows were asked for, got 0 among 25600 candidates"):
        sample_where(known, 10, parse_where("b>90", known.layout), seed=0, steps=2)


def test_a_law_on_principal_axes_is_conditioned_too(known):
    """Two of the three axes, noise across: the same rows as from the law spelled out."""
    axes = torch.linalg.qr(torch.tensor(MEANS[1:]).mT)[0]
    middle = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64)
    inner = ProximalScore(
        torch.tensor(MEANS[:, :2]), Spiked.dense(torch.tensor(COVARIANCES[:, :2, :2])),
        forward_process(), weights=torch.tensor(SHARES),
    )  # fmt: skip
    scaling = known.score.scaling
    score = LatentScore(inner, axes, middle, 0.3, forward_process(), scaling=scaling)
    conditions = parse_where("a=1.0,b>0", known.layout)
    drawn = [sample_where(Model(law, known.layout), 200, conditions, seed=3)
             for law in (score, score.full())]  # fmt: skip
    assert bool((drawn[0][:, 0] == 1.0).all())
    torch.testing.assert_close(*drawn)


@pytest.fixture(scope="module")
def table():
    train = load(mixed.frame())
    return train, fit_kernel_mixture(train, seed=0, method="columns")


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("sex=F", lambda f: (f["sex"] == "F").all()),
        ("sex=F,age>40", lambda f: ((f["sex"] == "F") & (f["age"] > 40)).all()),
        ("city=", lambda f: f["city"].isna().all()),
        ("city!=,sex!=M", lambda f: f["city"].notna().all() and (f["sex"] == "F").all()),
        ('city="=1+1",age=33', lambda f: (f["city"] == "=1+1").all() and (f["age"] == 33).all()),
        ("day>=2024-05-01", lambda f: (f["day"] >= "2024-05-01").all()),
        ("day=2024-03-15", lambda f: (f["day"] == "2024-03-15").all()),
    ],
)
def test_conditions_hold_exactly_in_a_mixed_table(table, text, check):
    train, model = table
    rows = sample_where(model, 40, parse_where(text, model.layout), seed=0, steps=4)
    assert torch.equal(train.snap(rows), rows)
    frame = model.layout.frame(rows)
    assert len(frame) == 40
    assert check(frame)
    assert frame["income"].nunique() > 5


def clerks(rows=600):
    """A rare school goes with money; most rows have none."""
    rng = np.random.default_rng(0)
    school = rng.choice(["low", "middle", "high"], rows, p=[0.6, 0.35, 0.05])
    rich = rng.random(rows) < np.select([school == "low", school == "middle"], [0.1, 0.3], 0.6)
    gain = np.where(rng.random(rows) < 0.8, 0, np.round(rng.lognormal(8, 1, rows)))
    return pd.DataFrame({"school": school, "rich": rich, "gain": gain,
                         "age": rng.integers(18, 80, rows)})  # fmt: skip


@pytest.fixture(scope="module")
def school():
    return fit_kernel_mixture(load(clerks()), seed=0)


@pytest.mark.parametrize(("text", "holds"), [
    ("rich=True", lambda f: f["rich"]),
    ("gain=0", lambda f: f["gain"] == 0),
    ("school=high", lambda f: f["school"] == "high"),
    ("gain=0,age>50", lambda f: (f["gain"] == 0) & (f["age"] > 50)),
])  # fmt: skip
def test_rows_of_a_level_are_those_that_all_rows_have(school, text, holds):
    conditions = parse_where(text, school.layout)
    free, given = (school.layout.frame(sample_where(school, 4000, some, seed=seed))
                   for seed, some in enumerate(((), conditions)))  # fmt: skip
    kept = free[holds(free)]
    assert len(kept) > 100
    for level in ("low", "middle", "high"):
        expected = (kept["school"] == level).mean()
        error = (expected * (1 - expected) / len(kept)) ** 0.5
        assert (given["school"] == level).mean() == pytest.approx(expected, abs=0.01 + 4 * error)
    error = kept["rich"].std() / len(kept) ** 0.5
    assert given["rich"].mean() == pytest.approx(kept["rich"].mean(), abs=0.01 + 4 * error)


def test_only_equalities_that_hardly_any_row_meets_are_known_values(known, table):
    _, model = table
    fixed = lambda text: [c.column for c in _fixed(model, parse_where(text, model.layout))]
    assert fixed("sex=F") == fixed("sex=F,age>40") == []
    incomes = model.layout.frame(sample_where(model, 4000, (), seed=0))["income"]
    assert fixed(f"sex=F,income>{incomes.quantile(0.998)}") == []  # few, whatever their sex
    amount = float(incomes.iloc[0])
    assert fixed(f"sex=F,income={amount}") == ["income"]
    assert [c.column for c in _fixed(known, parse_where("a=1.0,b>0", known.layout))] == ["a"]


def test_models_without_a_closed_form_are_asked_until_rows_fit(table):
    train, _ = table
    model = fit_empirical(train)
    rows = sample_where(model, 30, parse_where("sex=M", model.layout), seed=0, steps=3)
    assert (model.layout.frame(rows)["sex"] == "M").all()


def test_what_a_condition_says_is_checked(table):
    layout = table[1].layout
    assert parse_where('sex=F, age >= 4,"city"!=Bonn', layout) == (
        Condition("sex", "=", "F"), Condition("age", ">=", "4"), Condition("city", "!=", "Bonn"),
    )  # fmt: skip
    bad = {
        "sex": "must read column, sign, value",
        "": "must not be empty",
        "size=3": "names a column that is not there, got 'size'; choose one of id, age",
        "sex=X": "column 'sex' has no such level, got 'X'; choose one of F, M",
        "sex>F": "levels of column 'sex' have no order",
        "age=old": "value for column 'age' must be of its type, int64, got 'old'",
        "age<": "neither small nor large",
        "age=": "column 'age' has no missing cells",
        "age=40.5": "column 'age' holds whole numbers, got '40.5'",
        "age=nan": "value for column 'age' must be of its type",
        "age<1e400": "value for column 'age' must be of its type",
        "day<2024-5-1": "dates of column 'day' read %Y-%m-%d, got '2024-5-1'",
        "day>2024": "dates of column 'day' read %Y-%m-%d",
    }  # fmt: skip
    for text, message in bad.items():
        with pytest.raises(InputError, match=message):
            parse_where(text, layout)
    frame = pd.DataFrame({"x": np.arange(30) ** 1.5, "y": np.arange(30) % 7})
    numbers = load(frame).layout
    with pytest.raises(InputError, match="column 'x' holds numbers, got 'a'"):
        parse_where("x=a", numbers)


def few_and_often(rows=200):
    rng = np.random.default_rng(0)
    paid = rng.lognormal(3, 1, rows).round(2)
    return pd.DataFrame({
        "days": rng.choice([7, 14, 28, 50], rows),
        "paid": np.where(rng.random(rows) < 0.4, 0.0, paid),
        "dose": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(5, 1, rows).round(1)),
        "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 99, rows), "D"),
        "pay": (rng.standard_cauchy(rows) ** 2 * 1000).astype(int),
        "note": rng.choice(['the "old" one', "new"], rows), "site": 3,
    })  # fmt: skip


@pytest.mark.parametrize(("text", "values"), [
    ("days=500", "days=500; rows have 7 to 50"), ("days>14,days<28", "days>14, days<28"),
    ("days!=7,days<14", ""), ("days>50", ""), ("days=15", ""), ("days<1e30,days=8", ""),
    ("pay>90000,pay<90001", ""), ("pay<0", ""), ("paid<0", "paid<0; rows have 0 to"),
    ("paid>0,paid=0", ""), ("dose=5.55", "steps of 0.1"),
    ("dose=5.1,dose=5.2", ""), ("dose=,dose>1", ""), ("dose>5.1,dose<5.2", ""), ("dose>99", ""),
    ("when>2025-01-01", "rows have 2024-01-01"), ("when<2024-01-03,when>2024-01-02", ""),
    ("note=new,note!=new", "note=new, note!=new"), ("site=4", ""), ("site>3", ""),
])  # fmt: skip
def test_what_no_row_can_obey_is_refused_at_once(text, values):
    with pytest.raises(InputError, match="must leave a value that rows may have") as refused:
        parse_where(text, load(few_and_often()).layout)
    assert values in str(refused.value)


@pytest.mark.parametrize("text", [
    "days>28", "days>7,days<28", "days!=7,days!=28", "days>=28", "days>7.5,days<14.5",
    "days<99999999999999999999", "paid>0", "paid=0",
    "dose>5.1,dose<=5.2", "dose>5.1,dose!=5.2,dose<5.4", "dose=", "dose!=", "pay>90000,pay<90002",
    "when>2024-01-01,when<2024-01-03", "note!=new", 'note="the ""old"" one"', "site=3", "site<4.5",
])  # fmt: skip
def test_what_some_row_can_obey_is_not(text):
    assert parse_where(text, load(few_and_often()).layout)


@pytest.mark.parametrize(("text", "possible"), [
    ("n=500", False), ("n>3,n<4", False), ("n>3,n<5", True), ("n=3.5", False), ("n!=0,n<1", False),
    ("n!=0,n<2", True), ("x>120", False), ("x<=0", True), ("x<0", False), ("x>0,x<1e-300", True),
    ("x=0.1", True), ("x>5,x<5.000000000000002", True),
])  # fmt: skip
def test_numbers_without_a_codec_are_asked_as_well(text, possible):
    layout = load(pd.DataFrame({"x": np.arange(90) ** 1.5 / 7, "n": np.arange(90) % 41})).layout
    assert layout.codec is None
    if possible:
        assert parse_where(text, layout)
    else:
        with pytest.raises(InputError, match="must leave a value that rows may have"):
            parse_where(text, layout)


def test_an_identifier_takes_no_condition(table):
    with pytest.raises(InputError, match="must not name an identifier: new rows are numbered"):
        parse_where("id=P0001", table[1].layout)


def test_quotes_in_levels_are_doubled():
    train = load(few_and_often())
    model = fit_kernel_mixture(train, seed=0, method="columns")
    (condition,) = parse_where('note="the ""old"" one"', model.layout)
    assert condition == Condition("note", "=", 'the "old" one')
    rows = sample_where(model, 5, (condition,), seed=0)
    assert (model.layout.frame(rows)["note"] == condition.value).all()
