"""Step sizes by tolerance, sample by sample."""

import pytest
import torch
from scipy.integrate import solve_ivp

from wasserscore.core.errors import InputError
from wasserscore.dynamics import Adaptive
from wasserscore.process import EDM, VP
from wasserscore.sampling import adaptive, sample, solver


def bent(y, t):
    return torch.cos(5 * t[:, None] + y) - y


def test_it_meets_its_tolerance_against_scipy(generator):
    x = torch.randn(6, 2, generator=generator, dtype=torch.float64)
    truth = torch.stack([torch.from_numpy(solve_ivp(
        lambda t, y: bent(torch.from_numpy(y)[None], torch.tensor([t]))[0].numpy(),
        (4.0, 1.0), row.numpy(), rtol=1e-11, atol=1e-12).y[:, -1]) for row in x])  # fmt: skip
    for tolerance in (1e-3, 1e-5, 1e-7):
        got = Adaptive(bent, tolerance, tolerance)(x, 4.0, 1.0)
        assert ((got - truth) / (1 + truth.abs())).abs().max() < 10 * tolerance


def evaluations(tolerance):
    count = 0

    def counted(y, t):
        nonlocal count
        count += len(y)
        return bent(y, t)

    Adaptive(counted, tolerance, tolerance)(torch.ones(1, 1).double(), 4.0, 1.0)
    return count


def test_it_is_of_third_order_in_cost():
    """Error per step h^3: a tolerance 1e6 times finer costs 1e6^(1/3) = 100 times more."""
    assert 60 < evaluations(1e-9) / evaluations(1e-3) < 150


def test_one_step_is_the_published_pair():
    """A loose tolerance takes the interval in one step: 2/9, 1/3, 4/9."""
    y, t, h = torch.ones(1, 1).double(), torch.tensor([2.0]).double(), -0.5
    k1 = bent(y, t)
    k2 = bent(y + h / 2 * k1, t + h / 2)
    k3 = bent(y + 3 * h / 4 * k2, t + 3 * h / 4)
    got = Adaptive(bent, 1e6, 1e6)(y, 2.0, 1.5)
    assert torch.allclose(got, y + h * (2 / 9 * k1 + 1 / 3 * k2 + 4 / 9 * k3), rtol=1e-14)


@pytest.mark.parametrize(
    "process",
    [
        EDM(sigma_max=80.0),
        pytest.param(VP.linear(a=19.9, b=0.1, horizon=1.0), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_sample_has_its_own_steps(process, dtype):
    def score(x, t):
        alpha, variance = process.alpha(t), process.variance(t)
        if alpha.ndim:
            alpha, variance = alpha[:, None], variance[:, None]
        s = variance + 0.1 * alpha**2
        return ((alpha * torch.tanh(alpha * x / s) - x) / s).to(x.dtype)

    options = {"process": process, "shape": (3,), "solver": adaptive(), "steps": 2, "dtype": dtype}
    whole = sample(score, 30, **options)
    for size in (1, 7):
        assert torch.equal(sample(score, 8, batch_size=size, **options), whole[:8])
    assert whole.dtype == dtype
    assert abs(float((whole.abs() - 1).mean())) < 0.1


def test_the_sampler_converges_with_its_tolerance(gaussian, smooth):
    process = EDM(sigma_max=80.0)
    score = gaussian.score(process)

    def by_row(x, t):
        if t.ndim == 0:
            return score(x, t)
        return torch.cat([score(row[None], time) for row, time in zip(x, t, strict=True)])

    start = torch.tensor([[40.0, -70.0, 100.0]], dtype=torch.float64)
    ratio = (gaussian.variance / (gaussian.variance + 80.0**2)).sqrt()
    truth = gaussian.mean + ratio * (start - gaussian.mean)
    for tolerance in (1e-2, 1e-4):
        x = sample(by_row, 1, process=process, start=start, steps=3,
                   solver=adaptive(tolerance, tolerance))  # fmt: skip
        assert (x - truth).abs().max() < 20 * tolerance + 4e-5  # the last step, from 0.002


def test_what_cannot_be_met_is_refused():
    with pytest.raises(InputError, match="tolerance"):
        Adaptive(lambda y, t: torch.where(t[:, None] < 1, torch.nan, y), most=50)(
            torch.ones(1, 1).double(), 2.0, 0.0
        )
    with pytest.raises(InputError, match="positive"):
        adaptive(0.0)
    assert solver("adaptive").order == 3
