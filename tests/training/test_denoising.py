import math

import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from tests.training.exact_posterior import exact

from wasserscore.network import MLP
from wasserscore.process import EDM, VP, SubVP
from wasserscore.score import NetworkScore
from wasserscore.training import LogNormal, ScoreMatching
from wasserscore.training.denoising import Denoising, denoising_loss
from wasserscore.training.schedule import Schedule

PROCESSES = [EDM(), VP.from_betas(beta_min=0.1, beta_max=20.0), SubVP.linear(a=19.9, b=0.1)]
VARIANCE, DIM = 1.7, 4


def mean_loss(score, weighting, generator, n=40000):
    """The loss over evenly spread levels, and how sure it is."""
    uniform = (torch.randperm(n, generator=generator) + 0.5).double() / n
    draw = lambda: torch.randn(n, DIM, generator=generator, dtype=torch.float64)
    x0, noise = math.sqrt(VARIANCE) * draw(), draw()
    parts = torch.stack([
        denoising_loss(score, weighting, *(a[i::100] for a in (x0, uniform, noise)))
        for i in range(100)
    ]).detach()  # fmt: skip
    return float(parts.mean()), float(parts.std()) / 10


def largest(process):
    return math.sqrt(float(process.noise_to_signal(process.horizon)))


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.name)
def test_edm_loss_of_the_exact_posterior_is_one_per_coordinate(process, generator):
    score = exact(process, VARIANCE, math.sqrt(VARIANCE))
    value, stderr = mean_loss(score, LogNormal(), generator)
    assert stderr < 0.006
    assert abs(value - 1) < 4 * stderr


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.name)
def test_likelihood_loss_of_the_exact_posterior_is_the_information(process, generator):
    """I-MMSE: C(g^2) = I(x_0; x_eps) - I(x_0; x_T), half a log per coordinate for Gaussians."""
    low, high = 0.02 * 1.2, largest(process)
    expected = 0.5 * math.log((1 + VARIANCE / low**2) / (1 + VARIANCE / high**2))
    score = exact(process, VARIANCE, 1.2)
    value, stderr = mean_loss(score, ScoreMatching(smallest=0.02), generator)
    assert stderr < 0.01 * expected
    assert abs(value - expected) < 4 * stderr


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.name)
def test_uniform_loss_is_half_the_conditional_variance_over_time(process, generator):
    """1/2 int (alpha / sigma^2)^2 Var(x_0 | x_t) dt, with Var = v r^2 / (v + r^2)."""

    def integrand(u):  # in u = ln r, where the integrand is smooth
        r2 = torch.tensor(math.exp(2 * u), dtype=torch.float64)
        t = process.time_at(r2)
        c = VARIANCE * r2 / (VARIANCE + r2) / (process.alpha(t) * r2) ** 2
        dt = 2 * r2 * process.alpha(t) ** 2 / process.g2(t)
        return float(0.5 * c * dt)

    expected, _ = quad(integrand, math.log(0.3 * 1.2), math.log(largest(process)))
    score = exact(process, VARIANCE, 1.2)
    weighting = ScoreMatching(torch.ones_like, "uniform", smallest=0.3)
    value, stderr = mean_loss(score, weighting, generator)
    assert stderr < 0.02 * expected
    assert abs(value - expected) < 4 * stderr


def test_a_wrong_denoiser_costs_its_score_error_on_top(generator):
    """J_DSM = J_SM + C: with D off by a factor 1 + e, |D - D*|^2 = e^2 v^2 / (v + r^2)."""
    weighting, s, process = LogNormal(0.5, 0.6), math.sqrt(VARIANCE), EDM()
    law = stats.norm(math.log(s) + weighting.mean, weighting.std)

    def excess(u):
        r2 = math.exp(2 * u)
        weight = (r2 + VARIANCE) / (r2 * VARIANCE)
        return 0.3**2 * weight * VARIANCE**2 / (VARIANCE + r2) * law.pdf(u)

    low, high = law.mean() - 6 * law.std(), law.mean() + 6 * law.std()
    expected = 1 + quad(excess, low, high)[0]
    wrong = exact(process, VARIANCE, s, error=0.3)
    value, stderr = mean_loss(wrong, weighting, generator)
    assert stderr < 0.02 * expected
    assert abs(value - expected) < 5 * stderr


def test_the_exact_posterior_is_where_the_gradient_vanishes(generator):
    score = exact(EDM(), VARIANCE, math.sqrt(VARIANCE))
    uniform = (torch.arange(20000).double() + 0.5) / 20000
    x0, noise = torch.randn(2, 20000, DIM, generator=generator, dtype=torch.float64)
    per_point = []
    for i in range(40):
        loss = denoising_loss(
            score, LogNormal(-0.5, 0.6), VARIANCE**0.5 * x0[i::40], uniform[i::40], noise[i::40]
        )
        per_point += torch.autograd.grad(loss, score.network.error)
    slopes = torch.stack(per_point)
    assert abs(float(slopes.mean())) < 4 * float(slopes.std()) / math.sqrt(40)
    assert float(slopes.std()) > 0


def task(**changes) -> Denoising:
    score = NetworkScore(MLP(3, 8, 1, seed=1), EDM())
    schedule = Schedule(**{"steps": 40, "learning_rate": 1e-2, "ema": 0.9, **changes})
    return Denoising(score, LogNormal(), schedule, weight_decay=0.01)


def test_schedule_is_a_half_cosine_and_a_warm_average():
    schedule = Schedule(steps=100, learning_rate=2.0, ema=0.99)
    assert [schedule.rate(k) for k in (0, 50, 100)] == pytest.approx([2.0, 1.0, 0.0])
    assert schedule.rate(25) == pytest.approx(1 + math.cos(math.pi / 4))
    assert schedule.keep(0) == pytest.approx([0.1])
    assert schedule.keep(40) == pytest.approx([41 / 50])
    assert schedule.keep(10**6) == [0.99]


def test_a_step_is_adamw_at_the_scheduled_rate_with_clipped_gradients(generator):
    mine, batch = task(), 50 * torch.randn(16, 3, generator=generator)
    reference = {n: p.detach().clone().requires_grad_() for n, p in mine.weights.items()}
    optimizer = torch.optim.AdamW(reference.values(), lr=1.0, weight_decay=0.01, betas=(0.9, 0.99))
    averages = {n: p.detach().clone() for n, p in reference.items()}
    for k in range(3):
        logs = mine.step(batch, torch.Generator().manual_seed(k))
        for name, weight in mine.weights.items():
            reference[name].grad = weight.grad.clone()  # as clipped
        norm = math.sqrt(sum(float(p.grad.square().sum()) for p in reference.values()))
        assert norm == pytest.approx(min(1.0, logs["gradient_norm"]), rel=1e-3)
        optimizer.param_groups[0]["lr"] = 1e-2 * 0.5 * (1 + math.cos(math.pi * k / 40))
        optimizer.step()
        keep = min(0.9, (1 + k) / (10 + k))
        for name, average in averages.items():
            average.mul_(keep).add_(reference[name].detach(), alpha=1 - keep)
    averaged = dict(mine.result().network.named_parameters())
    for name, weight in mine.weights.items():
        torch.testing.assert_close(weight, reference[name], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(averaged[name], averages[name], rtol=1e-4, atol=1e-6)


def test_a_step_that_is_not_finite_changes_nothing(generator):
    mine, batch = task(), torch.randn(8, 3, generator=generator)
    mine.step(batch, torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in mine.state().items()}
    logs = mine.step(torch.full_like(batch, math.inf), torch.Generator().manual_seed(1))
    assert not math.isfinite(logs["loss"])
    after = mine.state()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_state_is_complete(generator):
    """Resume restores weights, average, both moments, their step and the count, bit by bit."""
    one, batch = task(), torch.randn(8, 3, generator=generator)
    for k in range(3):
        one.step(batch, torch.Generator().manual_seed(k))
    kinds = {name.split("/")[0] for name in one.state()}
    assert kinds == {"network", "average", "exp_avg", "exp_avg_sq", "step", "count"}
    other = task()
    other.load_state({name: value.clone() for name, value in one.state().items()})
    for k in range(3, 6):
        assert one.step(batch, torch.Generator().manual_seed(k)) == other.step(
            batch, torch.Generator().manual_seed(k)
        )
    for name, value in one.state().items():
        assert torch.equal(value, other.state()[name]), name


def test_the_network_given_is_left_alone(generator):
    network = MLP(3, 8, 1)
    before = [p.detach().clone() for p in network.parameters()]
    mine = Denoising(NetworkScore(network, EDM()), LogNormal(), Schedule(5, 0.1, 0.0), 0.0)
    mine.step(torch.randn(8, 3, generator=generator), generator)
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_a_single_process_packs_no_gradients_for_others(monkeypatch, generator):
    """Two copies of all gradients a step, where there is nobody to send them to."""
    monkeypatch.setattr(Denoising, "_summed", None)
    score = NetworkScore(MLP(2, 8, 1), EDM(), "velocity", "edm", 1.0, (2,))
    task = Denoising(score, LogNormal(), Schedule(10, 1e-3, 0.9, 0), 0.0)
    assert task.step(torch.randn(8, 2, generator=generator), generator)["loss"] > 0
