"""Heun's method, the trapezoidal rule with an Euler predictor."""

from dataclasses import dataclass

from torch import Tensor

from wasserscore.dynamics.sde import SDE


@dataclass(frozen=True)
class Heun:
    r"""The mean of the drifts at both ends of the step, the far one predicted by Euler.

    .. math::
        \tilde x = x_t + h\,b(x_t, t),\qquad
        x_s = x_t + \tfrac h2\,(b(x_t, t) + b(\tilde x, s)),\quad h = t - s

    Order 2. Where ``s <= singular`` the drift at ``s`` cannot be evaluated, and the step is
    Euler's: one such step at the end of a grid costs one evaluation less and keeps the order.
    Source: :cite:p:`karras2022`, algorithm 1.

    Args:
        sde: The law; its drift is used, its diffusion is not (an ordinary equation).
        singular: The time at which the drift has no value, or None.
    """

    sde: SDE
    singular: float | None = None

    def __call__(self, x: Tensor, t: float, s: float, noise: Tensor | None = None, /) -> Tensor:
        """The points at ``s``; ``noise`` is not used."""
        h, here = t - s, self.sde.drift(x, t)
        predicted = x + h * here
        if self.singular is not None and s <= self.singular:
            return predicted
        return x + h / 2 * (here + self.sde.drift(predicted, s))
