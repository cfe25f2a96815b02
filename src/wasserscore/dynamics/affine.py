"""Steps that are affine in the point and in one evaluation of a field."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from wasserscore.dynamics.weighted import weighted_sum


class Coefficients(NamedTuple):
    r"""What one step does: :math:`x_s = e\,x_t + q\,v(x_t, t) + \sqrt n\,z`.

    Each is a float64 tensor: a number, or one entry per step of a grid.
    """

    e: Tensor
    q: Tensor
    n: Tensor


@dataclass(frozen=True)
class Affine:
    r"""The step :math:`x_s = e\,x_t + q\,v(x_t, t) + \sqrt n\,z`.

    Args:
        field: ``v(x, t)``, evaluated once per step.
        coefficients: ``(e, q, sqrt n)`` of the step from ``t`` to ``s``.
    """

    field: Callable[[Tensor, float], Tensor]
    coefficients: Callable[[float, float], tuple[float, float, float]]

    def __call__(self, x: Tensor, t: float, s: float, noise: Tensor | None, /) -> Tensor:
        """The points at ``s``."""
        e, q, root_n = self.coefficients(t, s)
        moved = [(e, x), (q, self.field(x, t))]
        return weighted_sum(*moved) if noise is None else weighted_sum(*moved, (root_n, noise))
