r"""Down a time grid by the best of several inequalities for one distance, in logarithms.

.. math:: -\dot u \le \min_j (r_j u + f_j), \qquad u(T) = W_2(p_T, q_T)

Down every panel each form is solved with its rate and forcing averaged, and the smallest result
goes on: at each time the best inequality, which is less than the best of the whole bounds.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from wasserscore.core.typing import Vector


def log_march(forms: Sequence[tuple[Tensor, Tensor]], times: Vector, log_start: Tensor) -> Tensor:
    """Logarithm of the distance at the first time; exponents of any size stay finite.

    Args:
        forms: Pairs of rates and *logarithms* of forcings at the times, (m, *batch) each.
        times: Increasing, (m,).
        log_start: Logarithm of the distance at the last time, of shape batch.
    """
    panels = [_panels(rate, log_forcing, times) for rate, log_forcing in forms]
    log_u = log_start
    for i in range(len(times) - 2, -1, -1):
        ends = [torch.logaddexp(log_u + grown[i], added[i]) for grown, added in panels]
        log_u = torch.stack(ends).amin(0)
    return log_u


def _panels(rate: Tensor, log_forcing: Tensor, times: Vector) -> tuple[Tensor, Tensor]:
    r""":math:`r h` and :math:`\log\bigl(f (e^{r h} - 1)/r\bigr)` of every panel."""
    steps = times.diff().reshape(-1, *[1] * (rate.ndim - 1))
    x = (rate[1:] + rate[:-1]) / 2 * steps
    mean = torch.logaddexp(log_forcing[1:], log_forcing[:-1]) - math.log(2)
    size = x.abs().clamp_min(1e-8)
    # (e^x - 1) / x, from the side on which e^-|x| cannot overflow
    ratio = (-torch.expm1(-size)).log() - size.log() + x.clamp_min(0)
    return x, mean + ratio + steps.log()
