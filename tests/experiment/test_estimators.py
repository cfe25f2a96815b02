from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.neighbors import KernelDensity
from sklearn.utils.estimator_checks import parametrize_with_checks
from tests.experiment import mixed

from wasserscore.core.errors import InputError
from wasserscore.experiment import (
    KernelGenerator,
    NetworkGenerator,
    OneStepGenerator,
    ProximalGenerator,
)
from wasserscore.experiment.models import forward_process
from wasserscore.experiment.where import sample_where
from wasserscore.proximal import fit_proximal

SMALL = {"width": 16, "depth": 1, "max_iter": 5, "batch_size": 16, "steps": 3}
TINY = {"width": 8, "depth": 1, "max_iter": 3, "batch_size": 16, "latent": 2}
EVERY = [KernelGenerator(steps=4), ProximalGenerator(),
         ProximalGenerator("columns", latent=2, steps=4), NetworkGenerator(**SMALL),
         OneStepGenerator(**TINY)]  # fmt: skip


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 3)) * [1.0, 50.0, 0.1]
    return np.column_stack([x, np.full(80, 4.0)])


@parametrize_with_checks([KernelGenerator(bandwidth=0.3, steps=2), ProximalGenerator(steps=2),
                          NetworkGenerator(**SMALL), OneStepGenerator(**TINY)])  # fmt: skip
def test_scikit_learn_conventions(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", EVERY, ids=lambda e: type(e).__name__)
def test_samples_are_repeatable_rows_of_the_data(estimator, rows):
    fitted = clone(estimator).fit(rows)
    many = fitted.sample(7)
    assert many.shape == (7, 4)
    assert np.array_equal(many[:3], fitted.sample(3))
    assert np.array_equal(many, clone(estimator).fit(rows).sample(7))
    assert not np.array_equal(many, fitted.sample(7, random_state=1))
    drawn = [fitted.sample(2, random_state=np.random.RandomState(5)) for _ in range(2)]
    assert np.array_equal(*drawn)
    assert (many[:, 3] == 4.0).all()
    assert (many >= rows.min(0)).all()
    assert (many <= rows.max(0)).all()


def test_rows_in_any_form_are_the_rows(rows):
    """Backwards in memory, as ``iloc[::-1]`` leaves them, and what scikit-learn does not know."""
    whole = ProximalGenerator().fit(rows)
    expected = whole.score_samples(rows)
    forms = (np.ascontiguousarray(rows[::-1])[::-1], rows.astype(">f8"),
             torch.tensor(rows, requires_grad=True), np.ma.masked_array(rows))  # fmt: skip
    for form in forms:
        assert np.array_equal(ProximalGenerator().fit(form).score_samples(form), expected)
    hidden = np.ma.masked_array(np.where(np.arange(4) == 1, 1e9, rows), rows == rows[3, 1])
    for ask in (ProximalGenerator().fit, whole.score_samples):
        with pytest.raises(ValueError, match="contains NaN"):
            ask(hidden)
        with pytest.raises(InputError, match="X must be a dense tensor"):
            ask(torch.tensor(rows).to_sparse())


@pytest.mark.parametrize("estimator", EVERY, ids=lambda e: type(e).__name__)
def test_save_and_load(estimator, rows, tmp_path):
    frame = pd.DataFrame(rows, columns=["a", "b", "c", "d"])
    fitted = clone(estimator).fit(frame)
    fitted.save(tmp_path / "model")
    again = type(estimator).load(tmp_path / "model")
    assert np.array_equal(again.sample(5), fitted.sample(5))
    assert list(again.feature_names_in_) == ["a", "b", "c", "d"]
    assert again.get_params() == fitted.get_params()
    other = ProximalGenerator if isinstance(estimator, KernelGenerator) else KernelGenerator
    with pytest.raises(InputError, match="must describe a"):
        other.load(tmp_path / "model")
    with pytest.raises(InputError, match="cannot be read"):
        type(estimator).load(tmp_path)


def test_a_table_comes_back_as_a_table_of_its_dtypes(tmp_path):
    frame = mixed.frame(40).assign(
        vip=np.arange(40) % 3 == 0, since=pd.Timestamp("2024-01-01") + pd.to_timedelta(
            np.arange(40), unit="D"), level=pd.Categorical(np.where(np.arange(40) % 2, "a", "b")),
    )  # fmt: skip
    fitted = ProximalGenerator("columns", steps=3).fit(frame)
    new = fitted.sample(12)
    assert list(new.columns) == list(fitted.feature_names_in_) == list(frame.columns)
    assert list(new.dtypes) == list(frame.dtypes)
    assert set(new["city"].dropna()) <= set(frame["city"].dropna())
    assert new["since"].between(frame["since"].min(), frame["since"].max()).all()
    assert fitted.sample(3).equals(new[:3])
    fitted.save(tmp_path)
    assert ProximalGenerator.load(tmp_path).sample(12).equals(new)
    with pytest.raises(InputError, match="only rows of numbers have a density, got a model of a"):
        fitted.score_samples(frame)
    copies = KernelGenerator(steps=3).fit(frame).sample(10).drop(columns="id")
    assert len(copies.merge(frame.drop(columns="id"))) == 10
    with pytest.raises(InputError, match="'mess' must hold text or booleans"):
        ProximalGenerator().fit(frame.assign(mess=[1, "a"] * 20))


def test_a_table_of_numbers_keeps_its_dtypes_and_its_density(rows, tmp_path):
    frame = pd.DataFrame({"x": rows[:, 0], "n": np.arange(80) % 7,
                          "half": rows[:, 2].astype(np.float32)})  # fmt: skip
    fitted = ProximalGenerator("columns", steps=3).fit(frame)
    new, array = fitted.sample(9), ProximalGenerator("columns", steps=3).fit(frame.to_numpy())
    assert new.dtypes.to_dict() == frame.dtypes.to_dict()
    expected = array.sample(9)
    assert new["x"].tolist() == expected[:, 0].tolist()
    assert new["n"].tolist() == np.rint(expected[:, 1]).tolist()
    assert np.array_equal(fitted.score_samples(frame), array.score_samples(frame.to_numpy()))
    fitted.save(tmp_path)
    assert ProximalGenerator.load(tmp_path).sample(9).equals(new)
    gaps = frame.assign(x=frame["x"].where(np.arange(80) % 4 > 0))
    assert KernelGenerator(steps=3).fit(gaps).sample(40)["x"].isna().any()
    bare = KernelGenerator(steps=3).fit(pd.DataFrame(rows))
    assert isinstance(bare.sample(2), np.ndarray)


def test_zeros_and_few_values_come_back_as_they_were():
    rng = np.random.default_rng(0)
    days = rng.choice([1, 7, 28, 90], 120)
    frame = pd.DataFrame({"day": days, "dose": np.where(rng.random(120) < 0.5, 0.0,
                          rng.normal(9, 1, 120)), "y": rng.normal(days, 1)})  # fmt: skip
    fitted = ProximalGenerator("columns").fit(frame)
    new = fitted.sample(200)
    assert new.dtypes.to_dict() == frame.dtypes.to_dict()
    assert set(new["day"]) == {1, 7, 28, 90}
    assert 0.4 < (new["dose"] == 0).mean() < 0.6
    assert new["dose"][new["dose"] != 0].min() > 5
    with pytest.raises(InputError, match="numbers that come again and again"):
        fitted.score_samples(frame)


def test_the_proximal_kernel_is_drawn_exactly_unless_a_sampler_is_named(rows):
    fitted = ProximalGenerator("full").fit(rows)
    expected = sample_where(fitted.model_, 9, (), seed=0).numpy()
    assert np.array_equal(fitted.sample(9), expected)
    solved = fitted.model_.sample(9, seed=0, solver="heun", steps=4).numpy()
    assert np.array_equal(fitted.set_params(steps=4).sample(9), solved)


def test_the_kernel_memorizes_without_a_bandwidth(rows):
    fitted = KernelGenerator().fit(rows)
    distances = np.abs(fitted.sample(20)[:, None] - rows[None]).max(-1).min(1)
    assert distances.max() < 1e-2
    assert not hasattr(fitted, "score_samples")


def test_score_samples_agrees_with_a_kernel_density_in_data_units(rows):
    x, h = rows[:, :3], 0.4
    fitted = KernelGenerator(bandwidth=h).fit(rows)
    scale = x.std(0)
    kde = KernelDensity(bandwidth=h).fit(x / scale)
    truth = kde.score_samples((x[:6] + 0.1) / scale) - np.log(scale).sum()
    found = fitted.score_samples(np.column_stack([x[:6] + 0.1, np.full(6, 4.0)]))
    assert found == pytest.approx(truth, rel=1e-9)
    assert fitted.score(rows[:6]) == pytest.approx(fitted.score_samples(rows[:6]).mean())


def test_the_density_integrates_to_one():
    """Trapezoid rule over the line, which a wrong log_det would scale."""
    x = np.random.default_rng(0).standard_normal((60, 1)) * 7.0
    line = np.linspace(-120, 120, 20_001)[:, None]
    for estimator in (KernelGenerator(bandwidth=0.3), ProximalGenerator()):
        density = np.exp(estimator.fit(x).score_samples(line))
        assert np.trapezoid(density, line[:, 0]) == pytest.approx(1, abs=1e-6)


def test_principal_axes_are_those_of_fit_proximal_and_whole_columns_a_turn(rows):
    x, fitted = rows[:, :3], ProximalGenerator("full", latent=3).fit(rows)
    assert fitted.score_model_.axes.shape == (3, 3)
    plain = ProximalGenerator("full").fit(rows)
    np.testing.assert_allclose(fitted.score_samples(rows), plain.score_samples(rows), rtol=1e-6)
    fewer = ProximalGenerator("columns", latent=0.5).fit(rows)
    unit = torch.tensor((x - x.mean(0)) / x.std(0))
    law = fit_proximal(unit, forward_process(), method="columns", latent=0.5)
    volume = np.log(x.std(0)).sum()
    expected = law.log_prob(unit).numpy() - volume
    np.testing.assert_allclose(fewer.score_samples(rows), expected, rtol=1e-6)


def test_an_unknown_scaling_is_refused(rows):
    with pytest.raises(InputError, match="scaling must be one of columns, scalar"):
        KernelGenerator(scaling="robust").fit(rows)


def test_no_seed_means_fresh_entropy(rows):
    fitted = KernelGenerator(random_state=None).fit(rows)
    assert not np.array_equal(fitted.sample(3), fitted.sample(3))


def test_rare_levels_of_a_table_are_as_frequent_as_in_the_rows():
    """A smooth law puts most points near a rare level nearer still to a common one."""
    rng, levels = np.random.default_rng(0), np.array(["common", "some", "rare"])
    frame = pd.DataFrame({name: levels[np.searchsorted([0.8, 0.94], rng.random(240))]
                          for name in "abcd"} | {"x": rng.standard_normal(240)})  # fmt: skip
    fitted = ProximalGenerator("local_pca", random_state=0).fit(frame)
    layout = fitted.model_.layout
    bare = replace(fitted.model_, layout=replace(layout, codec=replace(layout.codec, prices=())))
    plain, new = layout.frame(bare.sample(8000, seed=0)), fitted.sample(8000)
    away = lambda rows: max(abs((rows[name] == level).mean() - (frame[name] == level).mean())
                            for name in "abcd" for level in levels)  # fmt: skip
    assert away(new) < 0.02
    assert away(plain) > 0.03


@pytest.mark.parametrize("estimator", [NetworkGenerator, OneStepGenerator])
def test_the_place_of_zero_does_not_matter(estimator, rows):
    """Numbers of float32 near 1e8 are 8 apart: all samples were one."""
    near, far = (
        estimator(5, width=8, depth=1, scaling="scalar").fit(rows + shift).sample(50)
        for shift in (0.0, 1e8)
    )
    np.testing.assert_allclose(far - 1e8, near, rtol=0, atol=1e-5 * np.ptp(rows))
