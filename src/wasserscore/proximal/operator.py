r"""The regularised Wasserstein proximal operator on grids.

Score-based generation is a mean-field game: of all ways to carry :math:`\rho_t` from t down to
s, the reverse process minimises kinetic energy plus the cross-entropy with the target; its value
function is :math:`U = -\log \eta` (Cole-Hopf), with :math:`\eta_t` the noised target. So

.. math:: \rho_s(x) = \eta_s(x) \int N(y;\ a x,\ v I)\, \frac{\rho_t(y)}{\eta_t(y)}\, dy, \qquad
          a = \frac{\alpha_t}{\alpha_s}, \quad v = \sigma_t^2 - a^2 \sigma_s^2 .

At s = 0 this is Bayes' rule, with the posterior of the data given the noised point as kernel. It
inverts noising at one point only: from :math:`\eta_t` it returns the target, from any other law
it does not.

The quotient explodes where the start has heavier tails than the noised target, so all of it is
done in logarithms: the Gaussian kernel is a product over axes, and each axis is one matrix
log-sum-exp, exact in relative terms far into the tails, where a Fourier transform has only
rounding. Trapezoid sums of smooth decaying functions are spectrally accurate once the spacing is
at most half the smallest standard deviation.

Source: :cite:p:`zhang2024` Prop. 3.1, eqs. (15)-(20).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.typing import Cloud, Vector
from wasserscore.process.base import Process

LogDensity = Float[Tensor, "..."]
"""Log density on a grid, one axis per dimension."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid in one, two or three dimensions.

    Args:
        axes: Uniformly spaced coordinates, one tensor per dimension, float64.
    """

    axes: tuple[Vector, ...]

    def __post_init__(self) -> None:
        for axis in self.axes:
            steps = axis.diff()
            require(len(axis) > 2 and bool((steps - steps[0]).abs().max() < 1e-9 * steps[0]),
                    "grid axes must rise in equal steps", got=axis.tolist())  # fmt: skip

    @property
    def points(self) -> Cloud:
        """All grid points as rows, in the order of a flattened density."""
        mesh = torch.meshgrid(*self.axes, indexing="ij")
        return torch.stack([m.flatten() for m in mesh], dim=1)

    @property
    def cell(self) -> float:
        """Volume of one cell."""
        return math.prod(float(axis[1] - axis[0]) for axis in self.axes)

    def log_density(self, values: Float[Tensor, " n"]) -> LogDensity:
        """Values at :attr:`points` in the grid's shape."""
        return values.reshape(tuple(len(axis) for axis in self.axes))

    def log_mass(self, log_density: LogDensity) -> float:
        """Log of the integral of a density, zero if nothing leaves the box."""
        return float(log_density.flatten().logsumexp(0)) + math.log(self.cell)

    def expectation(self, log_density: LogDensity, values: Float[Tensor, "..."]) -> float:
        """The integral of ``values`` against a density."""
        return float((log_density.exp() * values).sum()) * self.cell


def noised(
    log_target: LogDensity, grid: Grid, process: Process, t: float, s: float = 0.0
) -> LogDensity:
    r"""Log density at time t of a law whose log density at time s < t is given.

    .. math:: \eta_t(y) = \int N(y;\ a x,\ v I)\, \eta_s(x)\, dx
    """
    return _carry(log_target, grid, *_transition(process, t, s), forward=True)


def wasserstein_proximal(
    log_target: LogDensity,
    log_start: LogDensity,
    grid: Grid,
    process: Process,
    t: float,
    s: float = 0.0,
) -> LogDensity:
    r"""Log density at time s of the game's solution that starts at time t.

    At ``s = 0`` it is the regularised Wasserstein proximal of the cross-entropy with the target.
    A VE process of constant diffusion :math:`\beta` is the paper's, with :math:`T = t`.

    Args:
        log_target: Log density of the target on the grid.
        log_start: Log density of the start, at time t.
        grid: The grid of both; it must hold the start too.
        process: The noising process.
        t: Time of the start.
        s: Time of the result, ``0 <= s < t``.
    """
    quotient = log_start - noised(log_target, grid, process, t)
    carried = _carry(quotient, grid, *_transition(process, t, s), forward=False)
    return carried + (log_target if s == 0 else noised(log_target, grid, process, s))


def optimal_value(
    log_target: LogDensity, log_start: LogDensity, grid: Grid, process: Process, t: float
) -> float:
    r"""The least cost of the game, :math:`-\int \rho_t \log \eta_t`, in nats.

    The paper's value is this times :math:`\beta^2`. For :math:`\rho_t = \eta_t` it is the
    differential entropy of the noised target.
    """
    return -grid.expectation(log_start, noised(log_target, grid, process, t))


def _transition(process: Process, t: float, s: float) -> tuple[float, float]:
    """Signal factor and noise variance between two times."""
    require(0 <= s < t, "times must satisfy 0 <= s < t", got=f"t={t}, s={s}")
    a = float(process.alpha(t) / process.alpha(s))
    return a, float(process.variance(t)) - a**2 * float(process.variance(s))


def _carry(
    values: LogDensity, grid: Grid, a: float, variance: float, *, forward: bool
) -> LogDensity:
    """Log of the integral of a kernel N(y; a x, v) against exp(values), axis by axis.

    Forward integrates over x and gives a function of y; backward the other way round.
    """
    for dim, axis in enumerate(grid.axes):
        gap = axis[:, None] - a * axis  # y in rows, x in columns
        step = math.log(float(axis[1] - axis[0]))
        kernel = step - gap.square() / (2 * variance) - math.log(2 * math.pi * variance) / 2
        values = _log_matmul(kernel if forward else kernel.mT, values, dim)
    return values


def _log_matmul(kernel: Float[Tensor, "m n"], values: LogDensity, dim: int) -> LogDensity:
    """log(exp(kernel) @ exp(values)) along one axis."""
    moved = values.movedim(dim, 0)
    flat = moved.reshape(len(moved), -1)
    columns = [(kernel + column).logsumexp(1) for column in flat.mT]
    return torch.stack(columns, dim=1).reshape(moved.shape).movedim(0, dim)
