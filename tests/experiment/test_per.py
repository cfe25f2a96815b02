"""A model per value of a column: what tells groups apart is kept, and it is one model like any."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from tests.cli.test_main import call
from tests.experiment import tiny

import wasserscore as ws
from wasserscore.core.errors import InputError
from wasserscore.data import load, read_frame, write_frame
from wasserscore.experiment import run
from wasserscore.experiment.conditions import parse_where
from wasserscore.experiment.models import fit_kernel_mixture
from wasserscore.experiment.run import start
from wasserscore.experiment.where import sample_where
from wasserscore.score import GroupedScore


def table(rows=240, seed=0):
    """In two shops a price follows an amount, in each by its own rule; the third has few rows."""
    rng = np.random.default_rng(seed)
    shop = rng.choice(["north", "south"], rows)
    shop[:6] = "east"
    amount = np.round(rng.normal(10, 2, rows), 2)
    price = np.where(shop == "north", 2 * amount, 40 - 2 * amount)
    return pd.DataFrame({
        "key": [f"K{i:04}" for i in range(rows)], "shop": shop, "amount": amount,
        "price": np.round(price + 0.05 * rng.standard_normal(rows), 2),
    })  # fmt: skip


def off(frame):
    """How far prices are from the rule of their shop, root mean square."""
    north = frame["shop"] == "north"
    rule = np.where(north, 2 * frame["amount"], 40 - 2 * frame["amount"])
    return float(np.sqrt(((frame["price"] - rule) ** 2).mean()))


@pytest.fixture(scope="module")
def fitted():
    return ws.ProximalGenerator(per="shop").fit(table())


def test_every_shop_keeps_its_rule_and_its_share(fitted):
    assert isinstance(fitted.score_model_, GroupedScore)
    new = fitted.sample(2000)
    large = new[new["shop"] != "east"]
    # where the two rules cross a joint fit has neighbours of both
    assert off(large) < 0.3 < off(ws.ProximalGenerator().fit(table()).sample(2000))
    share = float((table()["shop"] == "north").mean())
    assert abs(float((new["shop"] == "north").mean()) - share) < 4 * (0.25 / 2000) ** 0.5
    assert list(new.columns) == ["key", "shop", "amount", "price"]


def test_it_is_saved_and_comes_back(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    again = ws.ProximalGenerator.load(tmp_path / "m")
    assert again.per == "shop"
    pd.testing.assert_frame_equal(again.sample(50), fitted.sample(50))


def test_conditions_on_and_beside_the_column_hold(fitted):
    model = fitted.model_
    for where in ("shop=south", "shop=north,amount>11", "price=20.00"):
        rows = model.layout.frame(
            sample_where(model, 200, parse_where(where, model.layout), seed=0)
        )
        name, value = where.split(",")[0].split("=")
        assert (rows[name].astype(str) == value.removesuffix(".00") + ".0" * (name == "price")
                ).all()  # fmt: skip
    # a price of 20 is an amount of 10 in either large shop, and no other
    large = rows[rows["shop"] != "east"]
    assert len(large) > 150
    assert float((large["amount"] - 10).abs().max()) < 1


def test_a_column_of_plain_numbers_groups_too():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((160, 2))
    frame = pd.DataFrame({"side": np.repeat([0.0, 1.0], 80), "x": points[:, 0],
                          "y": points[:, 1]})  # fmt: skip
    data = load(frame)
    model = fit_kernel_mixture(data, seed=0, per="side", method="isotropic")
    assert len(model.score.laws) == 2
    assert model.score.weights.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("per", "message"),
    [
        ("town", "per names a column that is not there, got 'town'; choose one of key, shop"),
        ("key", "an identifier is no part of the points, got 'key'"),
        (
            "amount",
            "need a group of 50 rows and others beside it, got [0-9]+ groups in (120|240) rows",
        ),
    ],
)
def test_a_column_that_cannot_group_is_refused_before_the_folder(tmp_path, per, message):
    write_frame(tmp_path / "t.csv", table())
    with pytest.raises(InputError, match=message):
        start(tiny.config(tmp_path / "t.csv", proximal={"per": per}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match=message):
        ws.ProximalGenerator(per=per).fit(table())


def test_a_rest_too_small_for_a_fit_is_refused_before_the_folder(tmp_path):
    """Two other rows would join the only large group, as all rows at once."""
    write_frame(tmp_path / "t.csv", table().assign(shop=["east"] * 2 + ["north"] * 238))
    config = tiny.config(tmp_path / "t.csv", proximal={"per": "shop"})
    with pytest.raises(InputError, match="a group of 50 rows and others beside it, got 2 groups"):
        start(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_command_line_fits_and_draws(tmp_path):
    write_frame(tmp_path / "t.csv", table())
    made = call("fit", tmp_path / "t.csv", "--out", tmp_path / "run", "--models", "proximal",
                "--set", "proximal.per=shop")  # fmt: skip
    assert made.exit_code == 0, made.output
    made = call("sample", tmp_path / "run", "-n", "100", "--where", "shop=north",
                "--out", tmp_path / "new.csv")  # fmt: skip
    assert made.exit_code == 0, made.output
    assert set(read_frame(tmp_path / "new.csv")["shop"]) == {"north"}


@pytest.mark.slow
def test_a_whole_run_measures_and_certifies_it(tmp_path):
    write_frame(tmp_path / "t.csv", table())
    config = tiny.config(tmp_path / "t.csv", models=("proximal",), proximal={"per": "shop"})
    found = run(config, tmp_path / "run")
    bound = found["models"][0]["certificate"]
    assert 0 < bound["upper"]["value"] < 100
    assert found["models"][0]["metrics"]["w2"]["value"] > 0
    again = fit_kernel_mixture(
        load(tmp_path / "t.csv").take(
            torch.tensor(json.loads((tmp_path / "run" / "split.json").read_text())["train"])
        ),
        seed=0, per="shop",
    )  # fmt: skip
    x = again.score.sample_marginal(4, generator=torch.Generator().manual_seed(0))
    kept = ws.load(tmp_path / "run", model="proximal")
    torch.testing.assert_close(kept.log_prob(x), again.score.log_prob(x))
