r"""Relaxation towards a moving target: exponential integrators of first and second order.

.. math::
    dy = (1 + \eta^2)\,(D(y, r) - y)\,d\lambda + \sqrt 2\,\eta\,r\,dB_\lambda,
    \qquad \lambda = -\log r

The denoising law in its natural clock: ``y`` carries noise of standard deviation ``r`` and relaxes
to the predicted data ``D``. The linear part and the noise are integrated exactly, so a step may
end at ``r = 0``. Source: :cite:p:`lu2022`, eqs. (8), (18).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from wasserscore.dynamics.weighted import weighted_sum

Target = Callable[[Tensor, float], Tensor]
"""``D(y, r)``: where points with noise ``r`` relax to."""


def relax(
    y: Tensor, target: Tensor, r: float, s: float, noise: Tensor | None, eta: float = 0.0
) -> Tensor:
    r"""From noise level ``r`` down to ``s`` with the target frozen.

    .. math:: y_s = \rho^{1+\eta^2} y + (1 - \rho^{1+\eta^2}) D
              + s\,\sqrt{1 - \rho^{2\eta^2}}\,z, \qquad \rho = s / r
    """
    kept = (s / r) ** (1 + eta**2)
    return weighted_sum((kept, y), (1 - kept, target), *fresh(r, s, noise, eta))


def fresh(r: float, s: float, noise: Tensor | None, eta: float) -> list[tuple[float, Tensor]]:
    """The term that a step from ``r`` to ``s`` adds to its sum where it has noise."""
    if noise is None or eta == 0:
        return []
    return [(s * math.sqrt(1 - (s / r) ** (2 * eta**2)), noise)]


@dataclass
class RelaxationMultistep:
    r"""The target extrapolated to the middle of the step from its last two values.

    .. math:: \tilde D = D_k + \frac{h_k}{2 h_{k-1}} (D_k - D_{k-1}), \qquad h = \Delta\lambda

    One evaluation per step, order 2. The first step, and one that ends without noise (where
    :math:`h_k` is infinite), take :math:`D_k`. Keeps its memory: make a new one for every
    trajectory. Source: :cite:p:`lu2022`, algorithm 2 (2M) and appendix D (its SDE form).

    Args:
        target: ``D(y, r)``.
        eta: Stochasticity.
    """

    target: Target
    eta: float = 0.0
    _past: tuple[float, Tensor] | None = field(default=None, init=False, repr=False)

    def __call__(self, y: Tensor, r: float, s: float, noise: Tensor | None = None, /) -> Tensor:
        """The points at noise level ``s``."""
        here, past = self.target(y, r), self._past
        self._past = (r, here)
        if past is None or s == 0:
            return relax(y, here, r, s, noise, self.eta)
        before, old = past
        kept = (s / r) ** (1 + self.eta**2)
        ahead = math.log(r / s) / (2 * math.log(before / r))
        return weighted_sum((kept, y), ((1 - kept) * (1 + ahead), here),
                            ((kept - 1) * ahead, old), *fresh(r, s, noise, self.eta))  # fmt: skip


@dataclass(frozen=True)
class RelaxationMidpoint:
    r"""The target evaluated at the geometric middle :math:`\sqrt{r s}` of the step.

    Two evaluations per step, order 2; a step that ends without noise takes the target at its
    start, one evaluation. Source: :cite:p:`lu2022`, algorithm 1 (2S) with :math:`r_1 = 1/2`.
    """

    target: Target

    def __call__(self, y: Tensor, r: float, s: float, noise: Tensor | None = None, /) -> Tensor:
        """The points at noise level ``s``; ``noise`` is not used."""
        aim = self.target(y, r)
        if s > 0:
            middle = math.sqrt(r * s)
            aim = self.target(relax(y, aim, r, middle, None), middle)
        return relax(y, aim, r, s, None)
