"""Equal shares of levels: exact counts, and in each level the law given that level."""

import numpy as np
import pandas as pd
import pytest
import torch
from tests.cli.test_main import call

from wasserscore.core.errors import InputError
from wasserscore.data import load, read_frame, write_frame
from wasserscore.experiment.balance import sample_balanced
from wasserscore.experiment.condition import Condition
from wasserscore.experiment.conditions import parse_where
from wasserscore.experiment.models import fit_empirical, fit_kernel_mixture
from wasserscore.experiment.where import sample_where


def people(rows=60):
    rng = np.random.default_rng(0)
    rich = np.arange(rows) % 15 == 0  # 4 of 60
    city = pd.Series(rng.choice(["Bonn", "a, b", "Ulm"], rows), dtype="str")
    return pd.DataFrame({
        "income": np.where(rich, ">50K", "<=50K"), "vip": rng.random(rows) < 0.2,
        "city": city.where(np.arange(rows) % 9 > 0), "age": rng.integers(18, 90, rows),
        "work": np.round(rng.standard_normal(rows) + 5 * rich, 3),
    })  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return fit_kernel_mixture(load(people()), seed=0, method="columns")


def frame(model, *given, seed=0, **options):
    return model.layout.frame(sample_balanced(model, *given, seed=seed, **options))


@pytest.mark.parametrize(("column", "k"), [("income", 2), ("vip", 2), ("city", 4)])
def test_levels_have_equal_shares(model, column, k):
    counts = frame(model, 30, column)[column].value_counts(dropna=False)
    assert len(counts) == k
    assert sorted(counts) == sorted(len(range(turn, 30, k)) for turn in range(k))


def test_the_law_in_a_level_is_the_conditional_one(model):
    """By the same mixture, asked for one level alone with another seed."""
    rows = frame(model, 4000, "income")
    for level in ("<=50K", ">50K"):
        alone = sample_where(model, 2000, parse_where(f'income="{level}"', model.layout), seed=9)
        one, other = rows["work"][rows["income"] == level], model.layout.frame(alone)["work"]
        error = ((one.var() + other.var()) / 2000) ** 0.5
        assert abs(one.mean() - other.mean()) < 4 * error
    assert rows["work"].groupby(rows["income"]).mean().diff().iloc[-1] > 3


def test_conditions_hold_and_leave_out_levels(model):
    given = parse_where("city!=,city!=Ulm,age>40", model.layout)
    rows = frame(model, 20, "city", given)
    assert rows["city"].value_counts().to_dict() == {"Bonn": 10, "a, b": 10}
    assert (rows["age"] > 40).all()
    with pytest.raises(InputError, match="conditions must leave a level of column 'vip'"):
        sample_balanced(
            model, 9, "vip", tuple(Condition("vip", "=", v) for v in ("true", "false")), seed=0
        )


def test_row_i_depends_on_the_seed_and_on_i(model):
    many = sample_balanced(model, 25, "city", seed=3)
    assert torch.equal(sample_balanced(model, 10, "city", seed=3), many[:10])
    assert not torch.equal(sample_balanced(model, 10, "city", seed=4), many[:10])


def test_models_without_a_closed_form_take_turns_too():
    model = fit_empirical(load(people()))
    assert frame(model, 6, "vip", steps=8)["vip"].value_counts().tolist() == [3, 3]


def test_what_has_no_levels_is_refused(model):
    with pytest.raises(InputError, match="column 'age' must be categorical or boolean to be "
                       "balanced, got bounded; choose one of income, vip, city"):  # fmt: skip
        sample_balanced(model, 9, "age", seed=0)
    with pytest.raises(InputError, match="got no such column; choose one of income"):
        sample_balanced(model, 9, "size", seed=0)
    with pytest.raises(InputError, match="a row per level of column 'city', at least 4, got 3"):
        sample_balanced(model, 3, "city", seed=0)
    numbers = fit_empirical(load(people()[["age", "work"]]))
    with pytest.raises(InputError, match="got plain numbers; declare it in a schema"):
        sample_balanced(numbers, 9, "age", seed=0)


def test_the_command_line_balances(tmp_path):
    write_frame(tmp_path / "t.csv", people())
    fitted = call("fit", tmp_path / "t.csv", "--out", tmp_path / "run", "--models", "proximal",
                  "--set", "proximal.method=columns")  # fmt: skip
    assert fitted.exit_code == 0, fitted.output
    words = ("sample", tmp_path / "run", "-n", 10, "--where", "age>30", "--balance")
    made = call(*words, "income", "--out", tmp_path / "new.csv")
    assert made.exit_code == 0, made.output
    assert "equally many of each level of 'income'" in " ".join(made.stdout.split())
    rows = read_frame(tmp_path / "new.csv")
    assert rows["income"].value_counts().tolist() == [5, 5]
    assert (rows["age"] > 30).all()
    refused = call(*words, "work", "--out", tmp_path / "no.csv")
    assert refused.exit_code == 2
    assert "column 'work' must be categorical" in " ".join(refused.stderr.split())
