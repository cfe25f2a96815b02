"""Model mode: what the coupling reads off is the exact discretisation error of Gaussian data."""

import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.planner import Surrogate, plan
from wasserscore.planner.model import Runs
from wasserscore.planner.split import split
from wasserscore.process import EDM, VP
from wasserscore.sampling import sample, solver, time_grid
from wasserscore.score import GaussianScore, MixtureScore

VALUES = torch.tensor([0.05, 0.25, 1.5], dtype=torch.float64)
MEAN = torch.full((3,), 0.3, dtype=torch.float64)
EXACT_HORIZON = {"edm": EDM(sigma_max=80.0), "vp": VP.linear(a=19.9, b=0.1, horizon=1.0)}


def gaussian(process):
    return GaussianScore(MEAN, torch.diag(VALUES), process)


@pytest.mark.parametrize("process", EXACT_HORIZON.values(), ids=list(EXACT_HORIZON))
@pytest.mark.parametrize("name", ["heun", "ddim", "dpmpp_2m"])
@pytest.mark.parametrize("steps", [6, 12])
def test_without_noise_the_coupling_is_the_exact_error(process, name, steps):
    """An affine map of the same start: E|Y_K - Y|^2 is the recursion's, up to 512 starts."""
    score = gaussian(process)
    grid = time_grid(process, steps, "karras")
    runs = Runs(score, process, (3,), 0.5, n=512)
    exact = split(Surrogate.of(score), process, solver(name), grid).discretisation
    assert runs.discretisation(solver(name), grid, 0.0) == pytest.approx(exact, rel=0.1)


@pytest.mark.parametrize("name", ["ancestral", "exponential"])
def test_with_noise_it_bounds_the_exact_error_and_falls_with_the_steps(name):
    """Shared Brownian increments: first order in the steps, above W2, within a factor of it."""
    process = EXACT_HORIZON["vp"]
    score, method = gaussian(process), solver(name)
    runs = Runs(score, process, (3,), 0.5, n=256)
    found, exact = [], []
    for steps in (20, 40):
        grid = time_grid(process, steps, "logsnr")
        found.append(runs.discretisation(method, grid, 1.0))
        exact.append(split(Surrogate.of(score), process, method, grid).discretisation)
    assert all(f >= 0.95 * e for f, e in zip(found, exact, strict=True))
    assert all(f <= 8 * e for f, e in zip(found, exact, strict=True))
    assert 1.4 <= found[0] / found[1] <= 2.6


def test_the_same_seed_gives_the_same_number():
    process = EXACT_HORIZON["edm"]
    grid = time_grid(process, 10)
    first, again, other = (
        Runs(gaussian(process), process, (3,), 1.0, n=16, seed=s).discretisation(
            solver("heun"), grid, 0.0
        )
        for s in (0, 0, 1)
    )
    assert first == again != other


def test_a_plan_for_a_score_reaches_the_target_of_the_calibrated_one():
    score = gaussian(EXACT_HORIZON["edm"])
    made = plan(score, 0.1, score=score, mode="model", solver="heun", grids=["karras"],
                curves=True)  # fmt: skip
    exact = plan(score, 0.1, score=score, solver="heun", grids=["karras"])
    assert made.mode == "model"
    assert abs(made.steps - exact.steps) <= 3
    assert made.horizon == 80.0
    assert made.predicted.w2 <= 0.1
    steps = [point[0] for point in made.options[0].curve]
    w2 = [point[2] for point in made.options[0].curve]
    assert steps == sorted(steps)
    assert len(steps) == 6
    assert w2[:4] == sorted(w2[:4], reverse=True)  # below, the last step to zero is what is left
    assert any("the score's own error" in a.name for a in made.assumptions)


def test_a_plan_says_what_wrong_modes_that_are_too_rare_to_be_seen_may_cost():
    weights, means = torch.tensor([0.95, 0.05]).double(), torch.tensor([[0.0], [6.0]]).double()
    score = MixtureScore(weights, means, torch.full((2,), 0.01).double(), EDM(sigma_max=80.0))
    made = plan(score, 0.1, score=score, mode="model", solver="deis", grids="karras")
    stated = next(a.detail for a in made.assumptions if a.name == "no unseen rare jumps")
    assert stated.endswith(f"{(6 / 256) ** 0.5 * made.spread:.2g}")
    levels = (torch.arange(8000).double() + 0.5) / 8000
    ends = sample(score, 8000, solver="deis", grid=made.grid, dtype=torch.float64,
                  start=80.0 * torch.special.ndtri(levels)[:, None])  # fmt: skip
    near = (levels / 0.95).clamp_max(1 - 1e-9)  # along the quantiles of one mode and the other
    far = ((levels - 0.95) / 0.05).clamp_min(1e-9)
    truth = 0.1 * torch.where(levels < 0.95, torch.special.ndtri(near), torch.special.ndtri(far))
    truth += 6.0 * (levels >= 0.95)
    w2 = float((ends.flatten().sort().values - truth).square().mean().sqrt())
    assert made.predicted.w2 < 0.1 < w2 < made.predicted.w2 + float(stated.split()[-1])


def test_a_plain_callable_needs_its_process():
    score = gaussian(EXACT_HORIZON["edm"])
    bare = lambda x, t: score(x, t)
    with pytest.raises(InputError, match="model mode needs a score and its process"):
        plan(score, 0.3, score=bare, mode="model")
    made = plan(score, 0.3, score=bare, mode="model", processes=[score.process], solver="heun")
    assert made.steps >= 2


def test_a_score_of_no_numbers_has_no_plan_and_the_search_for_one_ends():
    points = torch.randn(60, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with pytest.raises(InputError, match="no candidate reaches the target"):
        plan(points, 0.5, score=lambda x, t: x * float("nan"), processes=[EDM(sigma_max=80.0)],
             mode="model", solver="ddim", most_steps=8)  # fmt: skip


def test_what_is_far_from_the_best_is_not_run_far():
    """A network's plan is as slow as its score is asked often: 2,723 times, were 4,328."""
    score, asked, told = gaussian(EXACT_HORIZON["edm"]), [], []

    def counted(x, t):
        asked.append(len(x))
        return score(x, t)

    made = plan(score, 0.02, score=counted, processes=[score.process], mode="model", curves=True,
                callback=lambda *news: told.append(news))  # fmt: skip
    fewest = min(option.evaluations for option in made.options if option.evaluations)
    assert max(point[1] for option in made.options for point in option.curve) <= 8 * fewest
    assert len(asked) <= 3_200
    assert {stage for stage, _, _ in told} == {"converged flow", "candidates", "curves"}
    for stage in ("converged flow", "candidates", "curves"):
        done = [(k, total) for name, k, total in told if name == stage]
        assert done == sorted(done)
        assert done[-1][0] == done[-1][1]
