r"""Averages of weights by powers of time, and the mixture of some that comes near another.

After step t the average of width :math:`\sigma` weighs what the weights were at :math:`\tau` by

.. math:: p_{\gamma, t}(\tau) = (\gamma + 1)\,\tau^\gamma / t^{\gamma + 1},
          \quad 0 \le \tau \le t, \qquad
          \sigma^2 = \frac{\gamma + 1}{(\gamma + 2)^2 (\gamma + 3)},

a profile whose standard deviation is :math:`\sigma t`, however long the training: at its end it
forgets as slowly as the training was long, and nothing of the first weights stays.

Source: :cite:`karras2024dynamics` section 3 and appendix C.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from wasserscore.core.errors import require

WIDEST = 12**-0.5
"""Of the plain mean of all steps, which is the power 0."""


class Profile(NamedTuple):
    """An average by its width and the step after which it is taken."""

    width: float
    step: int


@cache
def exponent(width: float) -> float:
    r"""The power :math:`\gamma \ge 0` of a width.

    Raises:
        InputError: If no average has it.
    """
    require(0 < width <= WIDEST, f"the width of an average must lie in (0, {WIDEST:.4g}]",
            got=width)  # fmt: skip
    inverse = width**-2
    return max(0.0, float(np.roots([1, 7, 16 - inverse, 12 - inverse]).real.max()))


def kept(width: float, k: int) -> float:
    """What survives step ``k`` (the first is 0) of the average so far."""
    return float((k / (k + 1)) ** (exponent(width) + 1))


def overlap(one: Profile, other: Profile) -> float:
    r"""The integral of the product of two profiles.

    .. math:: \int p_{\gamma, t}\,p_{\delta, s}\,d\tau =
              \frac{(\gamma + 1)(\delta + 1)}{\gamma + \delta + 1} \frac{(t / s)^\delta}{s},
              \quad t \le s.
    """
    early, late = sorted((one, other), key=lambda profile: profile.step)
    g, d = exponent(early.width), exponent(late.width)
    ratio: float = (early.step / late.step) ** d
    return (g + 1) * (d + 1) / (g + d + 1) * ratio / late.step


def nearest(aim: Profile, known: Sequence[Profile]) -> tuple[list[float], float]:
    """Factors of known profiles whose sum comes nearest to another, in the mean square.

    They add up to one, so that weights which stay stay; the paper leaves that to the fit.

    Returns:
        The factors, and the norm of what is missing over that of the aim.
    """
    gram = np.array([[overlap(one, other) for other in known] for one in known])
    wanted, size = np.array([overlap(one, aim) for one in known]), overlap(aim, aim)
    ones = np.ones((len(known), 1))
    bordered = np.block([[gram / size, ones], [ones.T, np.zeros((1, 1))]])
    found = np.linalg.lstsq(bordered, np.append(wanted / size, 1.0), rcond=None)[0]
    factors = found[:-1]
    missing = 1 + factors @ (gram @ factors - 2 * wanted) / size
    return factors.tolist(), float(max(missing, 0.0)) ** 0.5
