"""The latent score equals the same law with its covariances spelled out in all coordinates."""

import math

import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.data import Scaling
from wasserscore.process import OU, VE
from wasserscore.score import LatentScore, ProximalScore, load, save
from wasserscore.score.fit_report import FitReport
from wasserscore.score.spiked import Spiked

CLOCK = VE.constant(a=1.0, horizon=1e8)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed + 100 * len(shape))
    return torch.randn(shape, generator=g, dtype=torch.float64)


def example(d=6, l=3, *, process=CLOCK, basis=False, residual=0.07, **others) -> LatentScore:
    turn = torch.linalg.qr(draw(l, l, seed=4))[0] if basis else None
    spiked = Spiked(0.5 * draw(8, l, 2), 0.1 + draw(l).square(), turn)
    inner = ProximalScore(2 * draw(8, l), spiked, process, weights=0.2 + draw(8).abs())
    axes = torch.linalg.qr(draw(d, l, seed=7))[0]
    return LatentScore(inner, axes, 1 + draw(d), residual, process, **others)


@pytest.mark.parametrize("basis", [False, True])
@pytest.mark.parametrize("t", [0.0, 0.3, 40.0])
@pytest.mark.parametrize("process", [CLOCK, OU(alpha=1.0, sigma=0.7)])
def test_it_is_the_full_law(process, t, basis):
    score = example(process=process, basis=basis)
    full, x = score.full(), 2 * draw(9, 6, seed=5)
    t = min(t, 2.0) if process is not CLOCK else t
    dense = torch.eye(6).double() * 0.07
    a, inner = score.axes, score.latent.covariance
    dense = dense + a @ (inner.covariance(2) - 0.07 * torch.eye(3).double()) @ a.mT
    torch.testing.assert_close(full.covariance.covariance(2), dense)
    for one, other in (
        (score(x, t), full(x, t)),
        (score.log_prob(x, t), full.log_prob(x, t)),
        (score.denoise(x, t), full.denoise(x, t)),
        (score.divergence(x, t), full.divergence(x, t)),
        (score.moments()[0], full.moments()[0]),
        (score.moments()[1], full.moments()[1]),
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)
    u = torch.linspace(0, 0.999, 9).double()
    assert bool((score.component(x, t, u) == full.component(x, t, u)).all())


def test_a_step_is_that_of_the_full_law():
    """The same mean without noise, and the same covariance of the linear map of the noise."""
    score = example()
    full, x, index = score.full(), draw(1, 6, seed=5).expand(7, 6), torch.full((7,), 3)
    noise = torch.cat([torch.zeros(1, 6), torch.eye(6)]).double()
    moved = [s.bridge(x, index, 2.0, 0.5, noise=noise) for s in (score, full)]
    torch.testing.assert_close(moved[0][0], moved[1][0])
    one, other = ((m[1:] - m[0]).T @ (m[1:] - m[0]) for m in moved)
    torch.testing.assert_close(one, other)


def test_a_square_latent_is_an_exact_change_of_axes():
    score = example(4, 4, residual=0.0)
    x = draw(5, 4, seed=3)
    z = (x - score.middle) @ score.axes
    torch.testing.assert_close(score.log_prob(x), score.latent.log_prob(z))
    assert score.least_variance == score.latent.least_variance > 0
    assert bool(torch.isfinite(score(x, 0.0)).all())


def test_known_coordinates_give_the_law_of_the_others():
    score = example()
    y = torch.full((6,), math.nan).double()
    y[[1, 4]] = draw(2)
    law, free = score.conditioned(y), torch.tensor([0, 2, 3, 5])
    x = y.expand(6, 6).clone()
    x[:, free] = draw(6, 4, seed=2)
    seen = score.marginal(torch.tensor([1, 4])).log_prob(y[None, [1, 4]])
    torch.testing.assert_close(law.log_prob(x[:, free]), score.log_prob(x) - seen)


@pytest.mark.parametrize("residual", [0.01, 3.0])
def test_least_variance_counts_the_residual(residual):
    score = example(residual=residual)
    assert score.least_variance == min(residual, score.latent.least_variance)


def test_it_is_saved_and_loaded(tmp_path):
    report = FitReport("columns", {"floor": 1.0}, 1.5, 0.1, {"columns": 1.5}, 3, "why", ("a",))
    scaling = Scaling(draw(6), torch.full((6,), 2.0).double())
    score = example(basis=True, shape=(2, 3), scaling=scaling)
    inner = score.latent
    inner = ProximalScore(inner.centres, inner.covariance, CLOCK, inner.weights, fit_report=report)
    score = LatentScore(inner, score.axes, score.middle, 0.07, CLOCK, (2, 3), scaling)
    save(score, tmp_path / "m")
    back = load(tmp_path / "m")
    x = draw(4, 2, 3)
    assert isinstance(back, LatentScore)
    assert bool((back.log_prob(x, 0.3) == score.log_prob(x, 0.3)).all())
    assert back.fit_report == report
    assert back.scaling is not None
    assert back.under(OU(alpha=1.0, sigma=1.0)).latent.process == OU(alpha=1.0, sigma=1.0)


def test_what_does_not_fit_is_named():
    score = example()
    with pytest.raises(InputError, match="orthonormal"):
        LatentScore(score.latent, 1.1 * score.axes, score.middle, 0.1, CLOCK)
    with pytest.raises(InputError, match="a law of 3 coordinates"):
        LatentScore(score.latent, score.axes[:, :2], score.middle, 0.1, CLOCK)
    with pytest.raises(InputError, match="residual"):
        LatentScore(score.latent, score.axes, score.middle, -0.1, CLOCK)
