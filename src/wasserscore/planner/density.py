r"""Where steps are worth most: the step density that the Gaussian theory asks for.

With steps :math:`h_k` scheme (2.7) leaves a variance error :math:`\sum_k h_k^2 \omega_i(u_k)` in
direction i, so :math:`W_2^2 \approx \sum_i (\sum_k h_k^2 \omega_i)^2 / (4 l_i)`; the best density
of steps satisfies

.. math:: \rho^2 \propto \sum_i \frac{A_i\,\omega_i}{4 l_i}, \qquad A_i = \int \omega_i / \rho.

For one eigenvalue it is :math:`\rho \propto \sqrt\omega`: equal steps in :math:`(l+S)^{-1/2}`,
which for unit-variance data under VP are equal steps in the signal factor.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.typing import Vector
from wasserscore.dynamics import TimeGrid
from wasserscore.process import Process

Weights = Float[Tensor, "m d"]
POINTS = 400
SWEEPS = 20


def step_weight(process: Process, times: Float[Tensor, " m"], eigenvalues: Vector) -> Weights:
    r"""Weight :math:`\omega_i` of a squared step in the variance error of scheme (2.7).

    .. math:: \omega = \Phi\,\bigl[f (g^2 - f v) + g^2 (g^2 - 2 f v)/v\bigr], \qquad
              \Phi = e^{2H} \Bigl(\frac{l}{l + S}\Bigr)^2, \quad v = \alpha^2 l + \sigma^2

    Its integral over time is the constant c0 of the leading error, ``variance error = c0 h``. It
    is negative under VP where :math:`v > \sqrt5 - 1`. Source: :cite:p:`gao2025`, Proposition 6,
    for the problem; the weight of the real scheme is our derivation.
    """
    f, g2 = process.f(times).unsqueeze(-1), process.g2(times).unsqueeze(-1)
    alpha2 = process.alpha(times).unsqueeze(-1) ** 2
    v = alpha2 * eigenvalues + process.variance(times).unsqueeze(-1)
    left = eigenvalues / (eigenvalues + process.noise_to_signal(times).unsqueeze(-1))
    return left**2 / alpha2 * (f * (g2 - f * v) + g2 * (g2 - 2 * f * v) / v)


@dataclass(frozen=True)
class StepDensity:
    """A density of steps as its running total: one serves every number of steps.

    Args:
        times: Rising times from almost 0 to the start.
        total: The density integrated up to each of them.
    """

    times: Float[Tensor, " m"]
    total: Float[Tensor, " m"]

    def grid(self, steps: int) -> TimeGrid:
        """A grid of ``steps`` steps from the start to 0, an equal share of the density each."""
        wanted = torch.linspace(float(self.total[-1]), 0, steps + 1, dtype=torch.float64)
        index = torch.searchsorted(self.total, wanted).clamp(1, self.total.numel() - 1)
        low, high = self.total[index - 1], self.total[index]
        early, late = self.times[index - 1], self.times[index]
        grid = early + (wanted - low) / (high - low) * (late - early)
        grid[0], grid[-1] = self.times[-1], 0.0
        return TimeGrid(grid)


def optimal_density(
    process: Process, start: float, eigenvalues: Vector, weights: Vector
) -> StepDensity:
    """The density of steps from ``start`` to 0 that makes W2 smallest.

    Optimal to leading order for the integrated Euler scheme with ``eta = 1``; for other solvers
    it is a candidate like any other, and the exact recursion judges it.

    Args:
        process: The forward process.
        start: The first time.
        eigenvalues: Variances of the data, ``(d,)``.
        weights: Squared data units per squared unit of each direction, ``(d,)``.
    """
    values = eigenvalues.clamp_min(1e-6 * float(eigenvalues.max()))
    times = _fine_times(process, start, float(values.min()))
    omega = step_weight(process, times, values).abs()
    share = weights / (4 * values)
    density = (omega @ share).sqrt()
    # integrals over time are products with these: no table of times x eigenvalues in any sweep
    spacing = torch.nn.functional.pad(times.diff(), (1, 1))
    width = (spacing[1:] + spacing[:-1]) / 2
    for _ in range(SWEEPS):
        density = density.clamp_min(1e-6 * float(density.max()))
        cost = (width / density) @ omega
        update = (omega @ (cost * share)).sqrt()
        # the geometric mean of old and new keeps the fixed point and damps the swings
        density = (density * update / update.max() * density.max()).sqrt()
    pieces = times.diff() * (density[1:] + density[:-1]) / 2
    return StepDensity(times, torch.cat([torch.zeros(1, dtype=torch.float64), pieces.cumsum(0)]))


def _fine_times(process: Process, start: float, least: float) -> Tensor:
    """Rising times from 0 to ``start``, dense on the scale of S from far below ``least`` up."""
    top = float(process.noise_to_signal(start))
    low = min(1e-4 * least, 1e-4 * top)
    ratios = torch.logspace(0, 1, POINTS, base=top / low, dtype=torch.float64) * low
    times = process.time_at(ratios).clamp(max=start)
    floor = times[:1] * 1e-3  # weights are evaluated next to the data, not at it
    return torch.cat([floor, times[:-1], times.new_tensor([start])])
