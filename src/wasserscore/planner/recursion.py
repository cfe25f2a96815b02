r"""What a sampler makes of Gaussian data, exactly and without simulation.

For data :math:`N(\mu, \mathrm{diag}(l))` the score at time t is
:math:`-(x - \alpha_t \mu)/v_t` with :math:`v_t = \alpha_t^2 l + \sigma_t^2`, so each step of any
solver is affine in the point and its noise, and mean and variance per eigen-direction follow a
recursion. One-evaluation steps :math:`x_s = e\,x_t + q\,s(x_t, t) + \sqrt n\,z` give

.. math:: m' = (e - q/v)\,m + q\,\alpha_t \mu / v, \qquad V' = (e - q/v)^2\,V + n.

Source: :cite:p:`gao2025`, section 5, for scheme (2.7); the others are our derivation.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.typing import Vector
from wasserscore.dynamics import TimeGrid
from wasserscore.process import Process
from wasserscore.sampling import Law, Solver
from wasserscore.sampling import solver as solver_named

Steps = Float[Tensor, "k d"]
"""One row per step of the grid, one column per eigenvalue."""


def gaussian_recursion(
    process: Process,
    solver: Solver | str,
    grid: TimeGrid,
    mean: Vector,
    eigenvalues: Vector,
    *,
    start: str = "prior",
    eta: float | None = None,
    score_bias: float = 0.0,
) -> tuple[Vector, Vector]:
    r"""Mean and variance of the samples, per eigen-direction of Gaussian data.

    Exact for every solver: one-evaluation methods through their coefficients, Heun through its
    two-stage form, any other by carrying the start and each step's noise through its own steps.

    Args:
        process: The forward process.
        solver: A solver or its name.
        grid: The times.
        mean: Mean of the data in its eigenbasis, ``(d,)``.
        eigenvalues: Variances of the data along it, ``(d,)``, non-negative.
        start: ``"prior"`` for :math:`N(0, \sigma_T^2)`, ``"marginal"`` for the exact noised law.
        eta: Stochasticity; the solver's default if None.
        score_bias: A constant error added to every coordinate of every score evaluation.

    Returns:
        ``(mean_K, variance_K)``, each ``(d,)`` float64, in the units of the points.

    Raises:
        InputError: If an eigenvalue is negative, or the start is unknown.
    """
    method = solver_named(solver)
    stochasticity = method.eta(eta)
    mean, values = mean.to(torch.float64), eigenvalues.to(torch.float64)
    require(bool((values >= 0).all()), "eigenvalues must be non-negative", got=values.min().item())
    state = _start(process, grid.start, mean, values, start)
    if method.coefficients is not None:
        return _affine(process, method, grid, mean, values, state, stochasticity, score_bias)
    if method.name == "heun":
        return _heun(process, grid, mean, values, state, score_bias)
    return _probe(process, method, grid, mean, values, state, stochasticity, score_bias)


def _start(
    process: Process, t: float, mean: Vector, values: Vector, start: str
) -> tuple[Vector, Vector]:
    require(start in ("prior", "marginal"), "unknown start", got=repr(start),
            do="'prior' or 'marginal'")  # fmt: skip
    noise = process.variance(t).expand(values.shape)
    if start == "prior":
        return torch.zeros_like(mean), noise
    return process.alpha(t) * mean, process.alpha(t) ** 2 * values + noise


def _law_at(process: Process, times: Tensor, mean: Vector, values: Vector) -> tuple[Steps, Steps]:
    """Mean and variance of the noised data at each time."""
    alpha = process.alpha(times).unsqueeze(-1)
    return alpha * mean, alpha**2 * values + process.variance(times).unsqueeze(-1)


def _compose(
    factor: Steps, shift: Steps, noise: Steps, state: tuple[Vector, Vector]
) -> tuple[Vector, Vector]:
    """Run ``m' = factor m + shift``, ``V' = factor^2 V + noise`` over all rows at once."""
    ones = torch.ones_like(factor[:1])
    later = torch.cat([factor[1:].flip(0).cumprod(0).flip(0), ones])
    whole = later[0] * factor[0]
    mean, variance = state
    return (
        whole * mean + (later * shift).sum(0),
        whole**2 * variance + (later**2 * noise).sum(0),
    )


def _affine(
    process: Process, method: Solver, grid: TimeGrid, mean: Vector, values: Vector,
    state: tuple[Vector, Vector], eta: float, bias: float,
) -> tuple[Vector, Vector]:  # fmt: skip
    assert method.coefficients is not None
    t, s = grid.times[:-1], grid.times[1:]
    e, q, n = (c.unsqueeze(-1) for c in method.coefficients(process, t, s, eta))
    noised, v = _law_at(process, t, mean, values)
    return _compose(e - q / v, q * (noised / v + bias), n.expand(v.shape), state)


def _heun(
    process: Process, grid: TimeGrid, mean: Vector, values: Vector,
    state: tuple[Vector, Vector], bias: float,
) -> tuple[Vector, Vector]:  # fmt: skip
    r"""Heun on the probability flow :math:`dx = (A x + c)\,d\tau`.

    .. math:: A = f - \tfrac{g^2}{2v},\quad c = \tfrac{g^2}{2} (\alpha\mu/v + b),\quad
              e = 1 + \tfrac h2 (A_t + A_s (1 + h A_t)),\quad
              m' = e\,m + \tfrac h2 (c_t + c_s + h A_s c_t)

    A step that ends at ``t = 0`` is Euler's, as in the sampler.
    """
    times = grid.times
    h = (times[:-1] - times[1:]).unsqueeze(-1)
    last = times[1:].unsqueeze(-1) <= 0
    safe = torch.where(times > 0, times, times[0])  # the rates at t = 0 are not used
    noised, v = _law_at(process, safe, mean, values)
    half = process.g2(safe).unsqueeze(-1) / 2
    slope, push = process.f(safe).unsqueeze(-1) - half / v, half * (noised / v + bias)
    slope_t, slope_s, push_t, push_s = slope[:-1], slope[1:], push[:-1], push[1:]
    euler = 1 + h * slope_t
    factor = torch.where(last, euler, 1 + h / 2 * (slope_t + slope_s * euler))
    shift = torch.where(last, h * push_t, h / 2 * (push_t + push_s + h * slope_s * push_t))
    return _compose(factor, shift, torch.zeros_like(factor), state)


def _probe(
    process: Process, method: Solver, grid: TimeGrid, mean: Vector, values: Vector,
    state: tuple[Vector, Vector], eta: float, bias: float,
) -> tuple[Vector, Vector]:  # fmt: skip
    """Through the solver's own steps: what the mean, a unit start and each unit noise become.

    The answer is linear in all of them, so these rows are all there is to know; a start of two
    checks it. Only the first row sees the mean and the bias: beside a mean far from the origin
    what a unit becomes would be lost to rounding.

    Raises:
        InputError: If the solver is not affine on Gaussian data.
    """
    noisy = eta > 0 or method.noises > 1  # a corrector draws at any stochasticity
    count = grid.steps * method.noises if noisy else 0
    x = torch.zeros(count + 3, *mean.shape, dtype=torch.float64)
    x[1], x[2] = 1.0, 2.0
    first = torch.zeros(count + 3, 1, dtype=torch.float64)
    first[0] = 1.0
    step = method.start(Law(_score(process, grid, mean, values, bias, first), process, eta, grid))
    for k, t, s in grid.pairs():
        x = step(x, t, s, _unit_noise(x, k, method.noises) if count else None)
    shift, gain, moved = x[0], x[1], x[3:]
    straight = torch.allclose(x[2], 2 * gain, rtol=1e-6, atol=1e-9)
    require(straight, "the recursion needs steps that are affine on Gaussian data",
            got=method.name, do="choose one of solvers()")  # fmt: skip
    begin, variance = state
    return shift + gain * begin, gain**2 * variance + (moved**2).sum(0)


def _score(
    process: Process, grid: TimeGrid, mean: Vector, values: Vector, bias: float, rows: Tensor
) -> Callable[[Tensor, float], Tensor]:
    """The Gaussian score, with mean and bias times ``rows`` (one number per row of points).

    Methods with inner stages may ask at times between the grid's.
    """
    laws = zip(*_law_at(process, grid.times, mean, values), strict=True)
    known = dict(zip(grid.times.tolist(), laws, strict=True))

    def score(x: Tensor, t: float) -> Tensor:
        if t not in known:
            at = torch.tensor([t], dtype=torch.float64)
            noised, v = _law_at(process, at, mean, values)
            known[t] = noised[0], v[0]
        noised, v = known[t]
        out: Tensor = (rows * noised - x) / v + rows * bias
        return out

    return score


def _unit_noise(x: Tensor, k: int, noises: int) -> Tensor:
    """Noise of step ``k``: one in the rows that follow this step's noise, zero elsewhere."""
    z = torch.zeros(noises, *x.shape, dtype=x.dtype)
    for j in range(noises):
        z[j, 3 + k * noises + j] = 1.0
    return z[0] if noises == 1 else z
