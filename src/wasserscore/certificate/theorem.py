r"""Theorem 1: a bound from the score error and the one-sided constant, for continuous time.

With :math:`k = g^2 (1 + \eta^2)/2`, :math:`b(t) = E_{p_t} |\nabla \log p_t - s|^2` and, integrated
*from the data end*,

.. math:: \log I(t) = \int_0^t \bigl(f + k L_s\bigr)\,dr,

.. math:: W_2(p_0, q_0) \le \int_0^T k\,I \sqrt b\,dt + I(T)\,W_2(p_T, q_T)
          \le \sqrt{2 K_\lambda J_\lambda} + I(T)\,W_2(p_T, q_T),

.. math:: K_\lambda = \int_0^T \frac{k^2 I^2}{\lambda}\,dt, \qquad
          J_\lambda = \frac12 \int_0^T \lambda\,b\,dt .

:math:`J_{SM} \le J_{DSM} = J_{SM} + \frac12 \int \lambda c` with the variance c of the denoising
target, so b + c in place of b is a (weaker) bound from denoising losses alone. With an early stop
all integrals start there. Everything is kept in logarithms: with L of 1e5 the bound is a number
like 1e40000 and must not become a NaN.

Source: :cite:p:`kwon2022`, Theorem 1, Corollaries 1 and 3; the weight enters as k^2 / lambda.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.certificate.constants import OneSided
from wasserscore.core.errors import require
from wasserscore.core.typing import Vector
from wasserscore.process import Process

WARP = 7.0
"""Nodes are uniform in this root of sigma / alpha: near the data integrands go as t^(-1/2)."""

PANEL = 32
"""Every panel between nodes is cut into this many for the growth, whose rate costs nothing."""


@dataclass(frozen=True)
class Growth:
    """The expansion of errors along a process: what Theorem 1 knows without the score error.

    Args:
        times: Nodes, increasing from the stop to the horizon, shape (m,).
        forcing: k at the nodes.
        rate: The rate f + k L at the nodes.
        log_growth: log I at the nodes.
        g2: Squared diffusion at the nodes.
        first: Width of the panel below the first node, which has none of its own: integrands are
            taken to behave there like t^(-1/2) at worst.
    """

    times: Vector
    forcing: Vector
    rate: Vector
    log_growth: Vector
    g2: Vector
    first: float

    @staticmethod
    def along(
        process: Process, constant: OneSided, *, eta: float, times: Vector, stop: float = 0.0
    ) -> "Growth":
        """The growth of a process under a one-sided constant.

        Args:
            process: The forward process.
            constant: The one-sided constant of the score.
            eta: Noise level; 1 is the reverse SDE, 0 the probability flow.
            times: Nodes, increasing, from :func:`nodes`.
            stop: Where the integrals begin.
        """
        weight, first = (1 + eta**2) / 2, float(times[0]) - stop
        part = torch.arange(PANEL, dtype=times.dtype) / PANEL
        mesh = torch.cat([(times[:-1, None] + times.diff()[:, None] * part).flatten(), times[-1:]])
        rate = process.f(mesh) + weight * process.g2(mesh) * constant.value(mesh)
        head = rate[:1] * first
        log_growth = torch.cat([head, head + torch.cumulative_trapezoid(rate, mesh)])
        g2 = process.g2(times)
        return Growth(times, weight * g2, rate[::PANEL], log_growth[::PANEL], g2, first)

    def log_integral(self, root_error: Vector) -> float:
        r"""Logarithm of :math:`\int k I \sqrt b`."""
        return self._log_integral(self.forcing.log() + self.log_growth + root_error.log())

    def log_cauchy_schwarz(self, error: Vector, log_weight: Vector | None = None) -> float:
        r"""Logarithm of :math:`\sqrt{2 K_\lambda J_\lambda}`; the weight is g^2 by default."""
        lam = self.g2.log() if log_weight is None else log_weight
        return (self.log_weight_integral(lam) + self._log_integral(lam + error.log())) / 2

    def log_weight_integral(self, log_weight: Vector) -> float:
        r"""Logarithm of :math:`K_\lambda`."""
        return self._log_integral(2 * (self.forcing.log() + self.log_growth) - log_weight)

    def log_score_matching(self, error: Vector, log_weight: Vector) -> float:
        r"""Logarithm of :math:`J_\lambda`."""
        return self._log_integral(log_weight + error.log()) - math.log(2)

    def log_offset(self, start: float) -> float:
        """Logarithm of I(T) W2(p_T, q_T)."""
        return float(self.log_growth[-1]) + _log(start)

    def halved(self) -> "Growth":
        """The same on every other node, to see what the quadrature costs."""
        return Growth(
            self.times[::2],
            self.forcing[::2],
            self.rate[::2],
            self.log_growth[::2],
            self.g2[::2],
            self.first,
        )

    def _log_integral(self, logs: Tensor) -> float:
        """Logarithm of an integral by the trapezoidal rule, the first panel included."""
        steps = self.times.diff()
        weights = torch.cat([steps[:1], steps[1:] + steps[:-1], steps[-1:]]) / 2
        weights[0] += 2 * self.first
        return float(torch.logsumexp(logs + weights.log(), 0))


def nodes(process: Process, count: int, *, stop: float = 0.0, least: float = 1e-4) -> Vector:
    """Times to integrate over, increasing, uniform in a root of the noise-to-signal ratio.

    Args:
        process: The forward process.
        count: How many, an odd number, so that every other one still has both ends.
        stop: The first time; at 0 the first node has ``least`` noise instead.
        least: Noise-to-signal ratio (of standard deviations) of the first node when ``stop`` is 0.
    """
    require(count >= 3 and count % 2 == 1, "count must be an odd number above 2", got=count)
    top = float(process.noise_to_signal(process.horizon)) ** 0.5
    bottom = float(process.noise_to_signal(stop)) ** 0.5 if stop > 0 else least
    roots = torch.linspace(bottom ** (1 / WARP), top ** (1 / WARP), count, dtype=torch.float64)
    times = process.time_at(roots ** (2 * WARP))
    times[-1] = process.horizon
    if stop > 0:
        times[0] = stop
    return times


def log_add(*logs: float) -> float:
    """Logarithm of a sum, from the logarithms of its terms."""
    return float(torch.logsumexp(torch.tensor(logs, dtype=torch.float64), 0))


def from_log(log: float) -> float:
    """The number itself, infinite where it cannot be written."""
    return math.exp(log) if log < 709 else math.inf


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf
