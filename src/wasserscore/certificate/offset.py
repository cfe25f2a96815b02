r"""What early stopping and the start cost: distances between laws on one forward path."""

import math

import torch

from wasserscore.certificate.reference import data_units
from wasserscore.core.results import Estimate
from wasserscore.score.base import ClosedFormScore


def stopping(reference: ClosedFormScore, time: float) -> Estimate:
    r"""Distance from the data law to the law at an early stopping time, at most.

    .. math:: W_2(p_0, p_t)^2 \le (1 - \alpha_t)^2 E|x_0|^2 + d\,\sigma_t^2

    by the coupling :math:`x_t = \alpha_t x_0 + \sigma_t z`; with a scaling, in data units and
    about the scaling's own shift. Exact: the moments of the reference are known.
    """
    mean, covariance = (m.double() for m in reference.moments())
    scale = data_units(reference, mean)
    alpha, sigma = (float(v(time)) for v in (reference.process.alpha, reference.process.sigma))
    second = (scale**2 * (mean**2 + torch.diagonal(covariance))).sum()
    return Estimate(
        math.sqrt((1 - alpha) ** 2 * float(second) + sigma**2 * float((scale**2).sum()))
    )
