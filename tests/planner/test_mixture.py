"""The mixture as a stand-in: exact flow, stacked recursion, plans that reach their target."""

import math
from dataclasses import replace

import pytest
import torch
from tests.problems.line import mixture, quantiles

from wasserscore.core.errors import InputError
from wasserscore.data import Scaling
from wasserscore.planner import Surrogate, plan
from wasserscore.planner.candidate import Trial
from wasserscore.planner.exact_flow import ExactFlow
from wasserscore.planner.mixture import fit_mixture, stacked
from wasserscore.planner.problem import Problem
from wasserscore.planner.recursion import gaussian_recursion
from wasserscore.planner.rehearsal import Rehearsed
from wasserscore.planner.split import split
from wasserscore.process import EDM, VE, VP
from wasserscore.sampling import solver, time_grid
from wasserscore.score import MixtureScore

FAMILIES = (EDM(sigma_max=1e6), VP.linear(a=19.9, b=0.1, horizon=1.6))
THREE = ([0.2, 0.5, 0.3], [-2.0, 0.0, 1.5], [0.3, 0.5, 0.2])


def random_mixture(seed, largest=20):
    """A mixture and a target between 2 % and 20 % of its spread."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    d = 1 + int(torch.randint(largest, (), generator=generator))
    k = 2 + int(torch.randint(5, (), generator=generator))
    means, covariances = draw(k, d) * float(torch.exp(0.5 * draw(1))), []
    for _ in range(k):
        basis, _ = torch.linalg.qr(draw(d, d))
        covariances.append((basis * torch.exp(draw(d) - 1.5)) @ basis.T)
    law = MixtureScore(torch.softmax(draw(k), 0), means, torch.stack(covariances), FAMILIES[0])
    spread = float(law.moments()[1].trace().sqrt())
    uniform = float(torch.rand((), generator=generator, dtype=torch.float64))
    return law, spread * 10 ** (-0.7 - uniform)


def truth(law, made, n=4096):
    """RMS distance to the exact flow from independent starts, of the plan as it is sampled.

    So many starts that a few in a wrong mode cannot decide.
    """
    flow = ExactFlow(law, n=n, seed=12345).resolving(made.target_w2)
    return flow.distance(flow.ends, flow.runs_to(made.process, solver(made.solver), made.grid))


def test_the_exact_flow_of_a_line_is_its_quantile_map():
    law = mixture(*THREE, VE.constant(a=1.0))
    flow = ExactFlow(law, n=400)
    gap = flow.ends[:, 0] - quantiles(THREE, flow.z[:, 0])
    assert float(gap.square().mean().sqrt()) < 2e-3


def test_the_distance_of_a_run_is_its_w2_on_a_line():
    """By the target's quantiles, without the flow's code."""
    process, method = EDM(sigma_max=80.0), solver("heun")
    flow = ExactFlow(mixture(*THREE, process), n=2000)
    ends = flow.runs_to(process, method, time_grid(process, 12, "karras"))
    exact = (ends[:, 0] - quantiles(THREE, flow.z[:, 0])).square().mean().sqrt()
    assert flow.distance(flow.ends, ends) == pytest.approx(float(exact), rel=0.02)


def test_the_flow_of_a_gaussian_is_affine():
    covariance = torch.diag(torch.tensor([0.05, 1.5], dtype=torch.float64))
    mean = torch.tensor([0.3, -1.0], dtype=torch.float64)
    law = MixtureScore(torch.ones(1), mean[None], covariance[None], VE.constant(a=1.0))
    flow = ExactFlow(law, n=64)
    expected = mean + flow.z * covariance.diagonal().sqrt()
    torch.testing.assert_close(flow.ends, expected, atol=1e-4, rtol=1e-3)


def test_one_component_is_the_gaussian_surrogate():
    covariance = torch.tensor([[1.0, 0.3], [0.3, 0.5]], dtype=torch.float64)
    law = MixtureScore(torch.ones(1), torch.ones(1, 2).double(), covariance[None], FAMILIES[0])
    one, gaussian = stacked(law), Surrogate.of(law)
    torch.testing.assert_close(one.eigenvalues, gaussian.eigenvalues)
    assert one.spread == pytest.approx(gaussian.spread)


@pytest.mark.parametrize("spacing", [0.0, 1.0])
def test_stacked_directions_sum_the_parts(spacing):
    """Global W2^2 plus the weighted W2^2 of every component, each by its own recursion."""
    law, _ = random_mixture(3)
    scale = torch.arange(law.dim, dtype=torch.float64) * spacing + 1
    scaling = Scaling(torch.zeros_like(scale), scale)
    law = MixtureScore(law.weights, law.means, law.law.dense(), law.process, scaling=scaling)
    process, method = FAMILIES[1], solver("ddim")
    grid = time_grid(process, 30, "logsnr", start=0.5)  # so short that the mean is missed
    parts = [(1.0, *law.moments())]
    parts += list(zip(law.law.log_weights.exp().tolist(), law.means, law.law.dense(), strict=True))
    total = 0.0
    for share, mean, covariance in parts:
        values, vectors = torch.linalg.eigh(covariance)
        centre = vectors.T @ mean
        m, v = gaussian_recursion(process, method, grid, centre, values)
        frame = scale[:, None] * vectors
        mean_part = (frame @ (m - centre)).square().sum()
        total += share * float(mean_part + (frame * (v.sqrt() - values.sqrt())).square().sum())
    found = split(stacked(law), process, method, grid)
    assert found.w2 == pytest.approx(math.sqrt(total), rel=1e-9)
    assert stacked(law).spread == pytest.approx(Surrogate.of(law).spread)


def test_a_fitted_mixture_finds_the_modes():
    law = mixture([0.4, 0.6], [-3.0, 3.0], [0.2, 0.5], VE.constant(a=1.0))
    points = law.sample_marginal(2000, generator=torch.Generator().manual_seed(0))
    fitted = fit_mixture(points)
    order = fitted.means[:, 0].argsort()
    torch.testing.assert_close(
        fitted.means[order, 0], torch.tensor([-3.0, 3.0]).double(), atol=0.05, rtol=0
    )
    torch.testing.assert_close(
        fitted.weights[order], torch.tensor([0.4, 0.6]).double(), atol=0.03, rtol=0
    )
    with pytest.raises(InputError, match="needs at least 20 rows"):
        fit_mixture(points[:10])
    with pytest.raises(InputError, match="single point"):
        fit_mixture(torch.ones(30, 2))


@pytest.mark.slow
def test_a_rehearsal_caps_single_pairs_until_it_is_confirmed():
    """RMS distance to the exact flow; confirmed on other pairs, two standard errors above it."""
    law = mixture([0.3, 0.7], [-1.0, 1.0], [0.15, 0.15], FAMILIES[0])
    flow, grid = ExactFlow(law, n=64), time_grid(FAMILIES[0], 12, "logsnr", start=50.0)
    candidate = Rehearsed(
        Problem(stacked(law), 0.1, flow=flow), FAMILIES[0], solver("heun"), 0.0, "logsnr",
        flow=flow, ratio=50.0,
    )  # fmt: skip
    gap = flow.ends - flow.runs_to(FAMILIES[0], solver("heun"), grid)
    squares = gap.square().sum(1).clamp_max(64 * (0.5 * 0.1) ** 2)
    assert float(gap.square().sum(1).max()) > float(squares.max())
    assert candidate._judge(grid).w2 == pytest.approx(math.sqrt(float(squares.mean())))
    other = ExactFlow(law, n=64, seed=5)
    loose = replace(candidate, problem=Problem(stacked(law), 5.0, flow=flow))
    trial = loose.confirmed(Trial(12, grid, candidate._judge(grid)), other, 12)
    ends = other.runs_to(FAMILIES[0], solver("heun"), trial.grid)
    squares = (other.ends - ends).square().sum(1)
    expected = math.sqrt(float(squares.mean() + 2 * squares.std() / 8))
    assert trial.split.w2 == pytest.approx(expected)
    marks = candidate._range
    assert marks[0] == marks[1] == math.ceil(2 * math.log(50.0) / 0.5)


@pytest.mark.slow
def test_the_horizon_costs_what_it_may():
    """From the ratio found, the prior's exact flow ends within the budget; a tenth of it not."""
    law, _ = random_mixture(1)
    flow = ExactFlow(law, n=2048)
    ratio = flow.enough(0.5)
    assert flow.distance(flow.ends, flow.ends_from(ratio)) <= 0.5
    assert flow.distance(flow.ends, flow.ends_from(ratio / 30)) > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_random_mixtures_are_reached(seed):
    law, target = random_mixture(seed)
    made = plan(law, target, processes=FAMILIES, solver=["heun", "ddim"], grids=["logsnr"])
    assert truth(law, made) <= target * 1.02
    assert f"mixture of {len(law.means)} Gaussians" in made.source
    assert any("mixture surrogate" in a.name for a in made.assumptions)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"surrogate": "cubic"}, "unknown surrogate"),
        ({"surrogate": "mixture", "mode": "theorem"}, "only the calibrated mode"),
        ({"mode": "model"}, "model mode needs a score"),
    ],
)
def test_what_does_not_go_together_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        plan(torch.randn(50, 2, generator=torch.Generator().manual_seed(0)), 0.5, **options)
