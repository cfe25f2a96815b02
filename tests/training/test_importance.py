"""Noise levels by their measured losses: the same objective with less noise."""

import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.network import MLP
from wasserscore.process import EDM
from wasserscore.score import NetworkScore
from wasserscore.training import Importance, LogNormal, train_score
from wasserscore.training.denoising import denoising_losses
from wasserscore.training.weighting import weighting_named

PROCESS = EDM(sigma_max=80.0)
DATA = torch.randn(60, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
SCORE = NetworkScore(MLP(2, 8, 1), PROCESS)


def losses(weighting, n=40_000):
    generator = torch.Generator().manual_seed(2)
    x0 = DATA[torch.randint(len(DATA), (n,), generator=generator)]
    uniform = torch.rand(n, generator=generator, dtype=torch.float64)
    noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        return denoising_losses(SCORE, weighting, x0, uniform, noise)


def test_the_objective_is_the_same_whatever_the_shares():
    plain = losses(LogNormal())
    moved = losses(Importance(LogNormal(), (0.7, 0.2, 0.1)))
    spread = float((plain.var() + moved.var()).sqrt()) / len(plain) ** 0.5
    assert abs(float(moved.mean() - plain.mean())) < 3 * spread < 0.05
    even = Importance(LogNormal(), (0.25,) * 4)
    torch.testing.assert_close(losses(even), plain, rtol=1e-6, atol=0)


def test_measured_shares_take_variance_away():
    base = weighting_named("min_snr")
    found = Importance.measured(SCORE, DATA, weighting=base, draws=400)
    plain, moved = losses(base), losses(found)
    assert float(moved.mean()) == pytest.approx(float(plain.mean()), rel=0.05)
    assert float(moved.var()) < 0.6 * float(plain.var())
    assert min(found.shares) >= 0.1 / 16 - 1e-12
    assert Importance.measured(SCORE, DATA, weighting=base, draws=400) == found


def test_a_run_knows_its_shares(tmp_path):
    settings = {"steps": 2, "batch_size": 8, "out": tmp_path}
    train_score(MLP(2, 8, 1), DATA, PROCESS, **settings,
                weighting=Importance(LogNormal(), (0.5, 0.5)))  # fmt: skip
    with pytest.raises(InputError, match="importance was"):
        train_score(MLP(2, 8, 1), DATA, PROCESS, **settings,
                    weighting=Importance(LogNormal(), (0.25, 0.75)))  # fmt: skip


def test_the_holdout_is_asked_at_the_levels_of_the_objective():
    """So that its curves with and without importance have the same names and weights."""
    logs = []
    for weighting in (LogNormal(), Importance(LogNormal(), (0.9, 0.1))):
        train_score(MLP(2, 8, 1), DATA, PROCESS, steps=1, batch_size=8, weighting=weighting,
                    holdout=DATA[:20], callbacks=[lambda _, log: logs.append(log)])  # fmt: skip
    plain, moved = ({k for k in log if "holdout" in k} for log in logs)
    assert plain == moved


def test_pilots_that_are_broken_are_refused():
    broken = NetworkScore(MLP(2, 8, 1), PROCESS, scaling=None)
    torch.nn.init.constant_(next(broken.network.parameters()), torch.nan)
    with pytest.raises(InputError, match="losses of the pilot must be finite"):
        Importance.measured(broken, DATA)
    with pytest.raises(InputError, match="draws must"):
        Importance.measured(SCORE, DATA, draws=0)


@pytest.mark.parametrize("shares", [(0.5, 0.4), (1.5, -0.5), ()])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(InputError, match="add up to 1"):
        Importance(LogNormal(), shares)
