"""Truncated sums: within their stated error of the exact ones, and never by trust."""

import math

import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.process import VE
from wasserscore.score import ProximalScore, load, save, truncated
from wasserscore.score.spiked import Spiked
from wasserscore.score.spiked_mixture import SpikedMixture
from wasserscore.score.truncated import TruncatedMixture, cells_of

CLOCK = VE.constant(a=1.0, horizon=1e8)  # noise variance equals t


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed + 1000 * len(shape))
    return torch.randn(shape, generator=g, dtype=torch.float64)


def moons(n=200, broad=False, basis=False, along=0.15) -> ProximalScore:
    """Thin kernels along two arcs; with ``broad``, one wide component far from all of them."""
    angle = math.pi * torch.rand(n, generator=torch.Generator().manual_seed(3)).double()
    upper = (torch.arange(n) % 2).double()
    sign = 2 * upper - 1
    z = torch.stack([angle.cos() + 1 - upper, sign * angle.sin() + 0.5 - upper], 1)
    factors = along * torch.stack([-angle.sin(), sign * angle.cos()], 1)[:, :, None]
    if broad:
        z[0], factors[0] = torch.tensor([9.0, 0.0]), torch.tensor([[8.0], [0.0]])
    turn = torch.linalg.qr(draw(2, 2))[0] if basis else None
    return ProximalScore(z, Spiked(factors, torch.full((2,), 1e-3).double(), turn), CLOCK)


def relative(one, other):
    return float((one - other).norm() / other.norm())


def counted(monkeypatch):
    """The mixtures that sum all their components after all, and for how many queries."""
    calls, whole = [], SpikedMixture.score

    def score(law, y, tau):
        calls.append((law, len(y)))
        return whole(law, y, tau)

    monkeypatch.setattr(SpikedMixture, "score", score)
    return calls


@pytest.mark.parametrize("basis", [False, True])
@pytest.mark.parametrize("t", [0.0, 0.01])
def test_fifty_components_are_enough_under_little_noise(t, basis):
    score = moons(basis=basis)
    x = score.sample_marginal(100, t, generator=torch.Generator().manual_seed(1))
    few = score.truncate(k=50)
    assert relative(few(x, t), score(x, t)) < 1e-3
    gap = score.log_prob(x, t) - few.log_prob(x, t)
    assert float(gap.min()) > -1e-12
    assert float(gap.max()) < 1e-4


def test_most_queries_stay_with_few_components_under_little_noise(monkeypatch):
    score = moons(along=0.05)
    x = score.sample_marginal(100, 0.0, generator=torch.Generator().manual_seed(1))
    few, calls = score.truncate(k=50), counted(monkeypatch)
    few(x, 0.0)
    assert sum(rows for _, rows in calls) < 25


def test_twenty_cells_are_enough_under_much_noise(monkeypatch):
    score, t = moons(), 1.0
    x = score.sample_marginal(100, t, generator=torch.Generator().manual_seed(1))
    coarse = score.truncate(cells=20)
    right, density = score(x, t), score.log_prob(x, t)
    coarse(x, t)  # decides
    calls = counted(monkeypatch)
    assert relative(coarse(x, t), right) < 2e-3
    assert [law is coarse.law.coarse for law, _ in calls] == [True]
    torch.testing.assert_close(coarse.log_prob(x, t), density, rtol=0, atol=1e-3)


@pytest.mark.parametrize("t", [0.0, 0.01, 0.1, 1.0, 30.0])
def test_every_noise_level_is_within_the_stated_error(t):
    """Between the two regimes, and with k alone under much noise, it sums all it needs."""
    score = moons()
    x = score.sample_marginal(60, t, generator=torch.Generator().manual_seed(1))
    for few in (score.truncate(k=10, cells=20), score.truncate(k=10), score.truncate(cells=5)):
        assert relative(few(x, t), score(x, t)) < 2e-3
        torch.testing.assert_close(few.log_prob(x, t), score.log_prob(x, t), rtol=0, atol=2e-3)


def test_a_broad_component_far_away_is_kept():
    """Euclidean neighbours would lose the only component that reaches these points."""
    score = moons(broad=True)
    x = torch.tensor([[3.2, 0.01], [0.5, 0.02], [-1.6, 0.0]]).double()
    nearest = torch.cdist(x, score.centres).topk(20, largest=False).indices
    assert not bool((nearest == 0).any())
    weight = score.law.log_joint(x, 0.0).softmax(1)[:, 0]
    assert float(weight.min()) > 0.99
    few = score.truncate(k=20)
    assert relative(few(x, 0.0), score(x, 0.0)) < 1e-3
    torch.testing.assert_close(few.log_prob(x), score.log_prob(x), rtol=0, atol=1e-4)


@pytest.mark.parametrize("tau", [0.0, 0.05, 3.0])
def test_the_bound_is_above_every_component_and_touches_it(tau):
    spiked = Spiked(draw(40, 5, 2), 0.1 + draw(5).abs(), torch.linalg.qr(draw(5, 5))[0])
    law = TruncatedMixture(3 * draw(40, 5), spiked, torch.full((40,), 1 / 40).double(), near=3)
    y = 3 * draw(30, 5, seed=4)
    bound = law._bound(law.covariance.turned(y - law.middle), tau)
    assert bool((bound >= law.log_joint(y, tau)).all())
    at = law._bound(law.covariance.turned(law.centres - law.middle), tau).diagonal()
    torch.testing.assert_close(at, law.log_joint(law.centres, tau).diagonal())
    # along the widest direction, in whitened coordinates, it is an equality
    whiten = (spiked.floor + tau).rsqrt()
    scaled = spiked.rows(slice(0, 1)).turned_factors()[0] * whiten[:, None]
    widest = torch.linalg.svd(scaled, full_matrices=False).U[:, 0]
    y = law.centres[0] + spiked.back(2 * widest / whiten)
    bound = law._bound(law.covariance.turned(y[None] - law.middle), tau)[0, 0]
    torch.testing.assert_close(bound, law.log_joint(y[None], tau)[0, 0])


def test_cells_keep_mass_mean_and_covariance():
    law = moons().law
    coarse = cells_of(law, 7)
    assert len(coarse.centres) == 7
    torch.testing.assert_close(coarse.weights.sum(), torch.tensor(1.0).double())
    torch.testing.assert_close(coarse.middle, law.middle)

    def covariance(m):
        apart = (m.centres - m.middle) * m.weights.sqrt()[:, None]
        return m.covariance.mean_covariance(m.weights) + apart.T @ apart

    torch.testing.assert_close(covariance(coarse), covariance(law))


def test_company_in_a_batch_changes_nothing(monkeypatch):
    score = moons(broad=True).truncate(k=12)
    x = 2 * draw(40, 2, seed=2)
    alone = torch.cat([score(row[None], 0.0) for row in x])
    torch.testing.assert_close(score(x, 0.0), alone, rtol=1e-10, atol=1e-10)
    monkeypatch.setattr(truncated, "UNION_BYTES", 8 * 12 * 2 * 3)
    torch.testing.assert_close(score(x, 0.0), alone, rtol=1e-10, atol=1e-10)


def test_the_density_stays_differentiable():
    score = moons(broad=True).truncate(k=12)
    x = (2 * draw(30, 2, seed=2)).requires_grad_()
    (gradient,) = torch.autograd.grad(score.log_prob(x, 0.01).sum(), x)
    torch.testing.assert_close(gradient, score(x.detach(), 0.01), rtol=1e-3, atol=1e-3)


def test_nothing_to_truncate_to_is_refused():
    score = moons()
    with pytest.raises(InputError, match="truncate needs"):
        score.truncate()
    with pytest.raises(InputError, match="truncate needs"):
        score.truncate(k=-1, cells=3)


def test_it_is_saved(tmp_path):
    score = moons().truncate(k=20, cells=5)
    save(score, tmp_path / "m")
    back, x = load(tmp_path / "m"), draw(5, 2)
    assert (back.near, back.cells) == (20, 5)
    assert bool((back(x, 0.01) == score(x, 0.01)).all())
