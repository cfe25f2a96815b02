"""Heun's method with fresh noise: the stochastic sampler of EDM."""

import math
from dataclasses import dataclass

from torch import Tensor

from wasserscore.dynamics import Heun, Step, weighted_sum
from wasserscore.sampling.law import Law
from wasserscore.sampling.natural import NaturalLaw
from wasserscore.sampling.solver import Solver


@dataclass(frozen=True)
class Churn:
    r"""Raise the noise, then step down by Heun.

    .. math:: \hat r = r (1 + \gamma),\qquad
              \hat y = y + s_{noise} \sqrt{\hat r^2 - r^2}\,z,\qquad
              y_s = \text{Heun}(\hat y, \hat r \to s)

    Noise up and flow down each keep the marginals, so any amount samples the same law.
    Source: :cite:p:`karras2022`, algorithm 2.

    Args:
        heun: Heun's step in the natural clock.
        gamma: How much the noise level is raised.
        least: Smallest noise level that is raised.
        most: Largest one.
        noise_scale: The published factor on the fresh noise, 1 to keep the law.
        ceiling: The process's largest noise level; never exceeded.
    """

    heun: Heun
    gamma: float
    least: float
    most: float
    noise_scale: float
    ceiling: float

    def __call__(self, y: Tensor, r: float, s: float, noise: Tensor | None, /) -> Tensor:
        """The points at noise level ``s``."""
        raised = min(r * (1 + self.gamma), self.ceiling) if self.least <= r <= self.most else r
        if noise is not None and raised > r:
            added = self.noise_scale * math.sqrt(raised**2 - r**2)
            y = weighted_sum((1.0, y), (added, noise))
            r = raised
        return self.heun(y, r, s)


def heun_churn(
    churn: float = 40.0, *, least: float = 0.0, most: float = math.inf, noise_scale: float = 1.0
) -> Solver:
    r"""The EDM sampler with churn; ``eta`` scales it, so that ``eta = 0`` is Heun in ``r``.

    :math:`\gamma = \eta\,\min(\text{churn}/K, \sqrt2 - 1)` where the noise level lies between
    ``least`` and ``most``. Source: :cite:p:`karras2022`, algorithm 2 (S_churn, S_tmin, S_tmax,
    S_noise). One departure: noise is never raised above the horizon.

    Args:
        churn: Fresh noise in all, S_churn.
        least: Smallest noise-to-signal ratio that gets noise, S_tmin.
        most: Largest one, S_tmax.
        noise_scale: Factor on the fresh noise, S_noise; other than 1 it changes the law.
    """

    def build(law: Law) -> Step:
        natural = NaturalLaw(law)
        gamma = law.eta * min(churn / law.grid.steps, math.sqrt(2) - 1)
        ceiling = float(law.process.noise_to_signal(law.process.horizon)) ** 0.5
        heun = Heun(natural.flow(), singular=0.0)
        return natural.lift(Churn(heun, gamma, least, most, noise_scale, ceiling))

    return Solver("heun_churn", 2, 2, 1.0, "Karras et al. 2022, algorithm 2", build=build)
