r"""The natural clock: :math:`y = x_t / \alpha_t` carries noise :math:`r = \sigma_t / \alpha_t`.

In this clock all forward processes are one, :math:`y = x_0 + r z`, and the reverse law is

.. math:: \frac{dy}{dr} = \hat z(y, r), \qquad \hat z = (y - D(y, r)) / r

for the probability flow, with the predicted data :math:`D` and the predicted noise
:math:`\hat z`. High-order methods are written here once, for every process.
Source: :cite:p:`karras2022`, eq. (4) and appendix B; :cite:p:`lu2022`, section 3.
"""

from dataclasses import dataclass, field

from torch import Tensor

from wasserscore.dynamics import SDE, Step, weighted_sum
from wasserscore.sampling.law import Law


@dataclass(frozen=True)
class NaturalLaw:
    """A reverse-time law seen in the natural clock.

    Args:
        law: The law in its own time.
    """

    law: Law
    _alpha: dict[float, float] = field(default_factory=dict, repr=False)
    _ratio: dict[float, float] = field(default_factory=dict, repr=False)
    _time: dict[float, float] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        times, process = self.law.grid.times, self.law.process
        ratios = process.noise_to_signal(times).sqrt().tolist()
        alphas = process.alpha(times).tolist()
        for t, r, alpha in zip(times.tolist(), ratios, alphas, strict=True):
            self._alpha[t], self._ratio[t], self._time[r] = alpha, r, t

    def time(self, r: float) -> float:
        """The time at which the noise-to-signal ratio is ``r``; on the grid, the grid's own."""
        if r not in self._time:
            t = float(self.law.process.time_at(r**2))
            self._time[r], self._alpha[t] = t, float(self.law.process.alpha(t))
        return self._time[r]

    def _score(self, y: Tensor, r: float) -> tuple[float, Tensor]:
        """``alpha`` and the score: their product is the gradient with respect to ``y``."""
        t = self.time(r)
        alpha = self._alpha[t]
        return alpha, self.law.score(scaled(alpha, y), t)

    def noise(self, y: Tensor, r: float) -> Tensor:
        r"""Predicted noise :math:`\hat z(y, r)`, the velocity of the probability flow."""
        alpha, score = self._score(y, r)
        return -r * alpha * score

    def data(self, y: Tensor, r: float) -> Tensor:
        """Predicted data ``D(y, r) = E[x_0 | y]``."""
        alpha, score = self._score(y, r)
        return weighted_sum((1.0, y), (r**2 * alpha, score))

    def flow(self) -> SDE:
        """The probability flow, towards smaller ``r``."""
        return SDE(drift=lambda y, r: -self.noise(y, r), diffusion=lambda r: 0.0)

    def lift(self, step: Step) -> Step:
        """A step in the natural clock, as a step in the process's own time."""

        def lifted(x: Tensor, t: float, s: float, noise: Tensor | None, /) -> Tensor:
            y = step(scaled(1 / self._alpha[t], x), self._ratio[t], self._ratio[s], noise)
            return scaled(self._alpha[s], y)

        return lifted


def scaled(factor: float, x: Tensor) -> Tensor:
    """``factor * x``; variance exploding has factors of one, where it is ``x`` itself."""
    return x if factor == 1 else factor * x
