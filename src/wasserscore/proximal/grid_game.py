r"""The game solved by finite differences and Fourier transforms: to verify, never to sample.

With :math:`\tau` the variance of the noise, U falls from the target to the noised target and the
density comes back,

.. math::
    \partial_\tau U + \tfrac12 |U'|^2 = \tfrac12 U'', \quad U_0 = -\log \pi, \qquad
    -\partial_\tau \rho = (\rho\, U')' + \tfrac12 \rho'', \quad \rho_{\mathcal T}\ \text{given.}

Neither solver knows that :math:`U = -\log \eta` solves the first equation (Cole-Hopf), nor the
kernel formula of the second; what they say converges to both in second order. In two dimensions
the heat flow is a Fourier multiplier instead. The closed forms are exact to rounding and cost
less.

Source: :cite:p:`zhang2024` eqs. (16), (17).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.linalg import solve_banded
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.typing import PerPoint, Points, Vector
from wasserscore.process import VE
from wasserscore.proximal.operator import Grid, LogDensity
from wasserscore.score.base import ClosedFormScore
from wasserscore.score.proximal import ProximalScore

Velocity = Callable[[Vector, float], Vector]
"""Drift of the density at points ``(m,)`` and a variance, on its way back."""
STABLE = 0.5
"""Largest Courant number of the explicit Hamiltonian."""


@dataclass(frozen=True, eq=False)
class GridSolution:
    """The game on a line.

    Args:
        values: U at ``steps + 1`` variances from 0 up, ``(steps + 1, n)``.
        density: Where the start ends, at variance 0, ``(n,)``.
    """

    values: Float[Tensor, "k n"]
    density: Vector


def solve_game(
    law: ClosedFormScore, log_start: LogDensity, grid: Grid, variance: float, steps: int
) -> GridSolution:
    """Both equations on one grid, the density moved by the slopes of the value found before.

    Args:
        law: The target, in one dimension.
        log_start: Log density of the start, at the variance given.
        grid: Of both; wide enough for the start.
        variance: Of the noise.
        steps: How many, the same for both equations.
    """
    values = hamilton_jacobi_bellman(law, grid, variance, steps)

    def velocity(middle: Vector, level: float) -> Vector:
        k = min(int(level / variance * steps), steps - 1)
        return -(values[k] + values[k + 1]).diff() / (2 * grid.cell)

    return GridSolution(values, fokker_planck(log_start, grid, velocity, variance, steps))


def hamilton_jacobi_bellman(
    law: ClosedFormScore, grid: Grid, variance: float, steps: int
) -> Float[Tensor, "k n"]:
    """U at ``steps + 1`` variances: Crank-Nicolson diffusion, Adams-Bashforth Hamiltonian.

    The law gives U at variance 0 and at the two ends of the line; all else is the equation's. A
    :class:`~wasserscore.score.MixtureScore` knows all variances in one call.

    Raises:
        InputError: If a step is too long for the slopes that come up.
    """
    (x,), h, dt = grid.axes, grid.cell, variance / steps
    law = law.under(VE.constant(a=1.0, horizon=variance))
    levels = torch.linspace(0, variance, steps + 1, dtype=x.dtype).repeat_interleave(2)
    ends = -law.log_prob(x[[0, -1]].repeat(steps + 1)[:, None], levels).reshape(-1, 2)
    bands = torch.zeros(3, len(x), dtype=x.dtype)
    bands[0, 2:] = bands[2, :-2] = -dt / (4 * h**2)
    bands[1], bands[1, [0, -1]] = 1 + dt / (2 * h**2), 1.0
    values, before = [-law.log_prob(x[:, None])], None
    for k in range(steps):
        now = values[-1]
        slope = (now[2:] - now[:-2]) / (2 * h)
        fastest = float(slope.abs().max())
        require(dt * fastest <= STABLE * h, "the step is too long for the slopes of the value",
                got=f"slope {fastest:.3g}, {steps} steps",
                do=f"at least {variance * fastest / (STABLE * h):.0f} steps")  # fmt: skip
        energy = slope.square() / 2
        push = energy if before is None else 1.5 * energy - 0.5 * before
        bend = (now[2:] - 2 * now[1:-1] + now[:-2]) / h**2
        right = torch.empty_like(x)
        right[[0, -1]] = ends[k + 1]
        right[1:-1] = now[1:-1] + dt * (bend / 4 - push)
        values.append(torch.from_numpy(solve_banded((1, 1), bands.numpy(), right.numpy())))
        before = energy
    return torch.stack(values)


def fokker_planck(
    log_start: LogDensity, grid: Grid, velocity: Velocity, variance: float, steps: int
) -> Vector:
    """The density at variance 0: conservative central differences and Crank-Nicolson.

    Nothing passes the ends, so mass is kept to rounding.
    """
    (x,), h, dt = grid.axes, grid.cell, variance / steps
    middle, density = (x[1:] + x[:-1]) / 2, log_start.exp()
    for k in range(steps):
        speed = velocity(middle, variance - (k + 0.5) * dt)
        # flux through i + 1/2: left[i] density_i + right[i] density_{i+1}
        left, right = speed / 2 + 0.5 / h, speed / 2 - 0.5 / h
        diagonal = torch.zeros_like(x)
        diagonal[:-1] -= left / h
        diagonal[1:] += right / h
        rate = diagonal * density
        rate[:-1] -= right / h * density[1:]
        rate[1:] += left / h * density[:-1]
        bands = torch.zeros(3, len(x), dtype=x.dtype)
        bands[0, 1:], bands[1], bands[2, :-1] = -right / h, diagonal, left / h
        system = -dt / 2 * bands
        system[1] += 1
        moved = (density + dt / 2 * rate).numpy()
        density = torch.from_numpy(solve_banded((1, 1), system.numpy(), moved))
    return density


def fourier_proximal(
    log_target: LogDensity, log_start: LogDensity, grid: Grid, variance: float
) -> Float[Tensor, "..."]:
    r"""Where the start ends, :math:`\pi\, G * (\rho / G * \pi)`, with the box taken as a torus.

    Where the noised target has only rounding, its quotient is set to zero.
    """
    target = log_target.exp()
    noisy = heat(target, grid, variance)
    quotient = torch.where(noisy > 1e-12 * noisy.max(), log_start.exp() / noisy, 0.0)
    return target * heat(quotient, grid, variance)


def heat(density: Float[Tensor, "..."], grid: Grid, variance: float) -> Float[Tensor, "..."]:
    r"""Convolution with a Gaussian on the torus: :math:`e^{-\tau |k|^2 / 2}` per wave."""
    waves = [
        2 * torch.pi * torch.fft.fftfreq(len(a), float(a[1] - a[0]), dtype=a.dtype)
        for a in grid.axes
    ]
    square = sum(w.square() for w in torch.meshgrid(*waves, indexing="ij"))
    flowed: Tensor = torch.fft.ifftn(
        torch.fft.fftn(density) * torch.exp(torch.as_tensor(-variance / 2 * square))
    ).real
    return flowed


def residual(law: ProximalScore, x: Points, t: float, step: float = 1e-3) -> PerPoint:
    r"""What is left of the Hamilton-Jacobi-Bellman equation of the law's process, ``(b,)``.

    .. math:: \partial_t U - f x \cdot \nabla U + \tfrac{g^2}{2} |\nabla U|^2
              - \tfrac{g^2}{2} \Delta U + f d, \qquad U = -\log p_t

    for dx = -f x dt + g dB, with the derivative in t by fourth-order differences: zero up to
    their error for any mixture, whatever its covariances.

    Args:
        law: The model.
        x: Points, in any number of dimensions.
        t: Time, more than two ``step`` from 0.
        step: Of the differences.
    """
    require(t > 2 * step, "t must be more than two steps from 0", got=f"t={t}, step={step}")
    weights = {-2: 1.0, -1: -8.0, 1: 8.0, 2: -1.0}
    rate = -sum(w * law.log_prob(x, t + k * step) for k, w in weights.items()) / (12 * step)
    f, g2 = float(law.process.f(t)), float(law.process.g2(t))
    slope, bend = -law(x, t), -law.divergence(x, t)
    radial, square = ((x * slope).flatten(1).sum(1), slope.square().flatten(1).sum(1))
    return rate - f * radial + g2 / 2 * (square - bend) + f * law.dim
