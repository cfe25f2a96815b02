r"""Coupled starts: the noised reference and the prior, as near to each other as their laws are."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from wasserscore.certificate.flow import FlowPath, remaining
from wasserscore.certificate.span import Span
from wasserscore.core.linalg import sqrt_psd
from wasserscore.core.random import Streams
from wasserscore.dynamics import TimeGrid
from wasserscore.process import VE
from wasserscore.sampling.subject import like_of
from wasserscore.score import GaussianScore
from wasserscore.score.base import ClosedFormScore

FAR = 1e3
"""Starts are coupled at this multiple of the horizon's noise."""
START_TOLERANCE = 1e-8
"""Root-mean-square error of a start to aim at, in units of the noise at the horizon."""


class Starts(NamedTuple):
    """Coupled starts."""

    x: Tensor
    y: Tensor
    rough: Tensor | None
    """``x`` solved half as finely; None where it is exact."""
    shift: float
    """What the error of ``x`` can add to W2 after an exact reverse process, scaled units."""


def coupled_starts(
    reference: ClosedFormScore, time: float, start: str, streams: Streams, n: int
) -> Starts:
    r"""``(x_T, y_T)``: the noised reference and the prior, coupled.

    For a Gaussian reference by the optimal linear map. Otherwise both come from far above the
    horizon, where :math:`x_0 + r z` and :math:`r z` hardly differ, by their own probability
    flows: the reference's is solved (it is smooth up there), the prior's is a scaling. Their
    difference at the horizon is then close to the distance of the laws, where the common
    noise at the horizon itself would leave all of :math:`|\alpha x_0|`.

    Args:
        reference: The law.
        time: The horizon of the grid.
        start: "prior", or "reference" for a sampler started in the noised reference itself.
        streams: All randomness.
        n: Number of pairs.
    """
    alpha, sigma = float(reference.process.alpha(time)), float(reference.process.sigma(time))
    device = like_of(reference, None, None, None).device
    like = torch.empty(0, dtype=torch.float64, device=device)
    z = streams.normal("start", 0, n, reference.shape, like)
    if isinstance(reference, GaussianScore):
        mean, covariance = (m.double() for m in reference.moments())
        root = sqrt_psd(alpha**2 * covariance + sigma**2 * torch.eye(len(mean)).to(z))
        x = (alpha * mean + z.flatten(1) @ root).reshape(z.shape)
        return Starts(x, sigma * z, None, 0.0)
    x0 = reference.sample_marginal(n, generator=streams.generator("reference")).to(z)
    if start == "reference":
        return Starts(alpha * x0 + sigma * z, sigma * z, None, 0.0)
    near = (sigma / alpha) ** 2
    lifted = reference.under(VE.constant(a=1.0, horizon=near * FAR**2))
    flow = FlowPath(lifted, START_TOLERANCE * sigma / alpha, parts=4, doublings=7,
                    streams=streams.child("start"))  # fmt: skip
    times = TimeGrid(torch.tensor([near * FAR**2, near], dtype=torch.float64))
    far, parts = x0 + FAR * sigma / alpha * z, flow.steps(times)
    solve = (Span.of(flow) or flow).solve
    ends = [solve(far, times, parts // m) for m in (4, 2, 1)]
    error = float(remaining(*ends).square().mean().sqrt())
    return Starts(alpha * ends[2], sigma * z, alpha * ends[1], _shift(x0, error, sigma / alpha))


def _shift(x0: Tensor, error: float, noise: float) -> float:
    r"""What an error of the start can move the law after an exact reverse process.

    With :math:`y, \tilde y` the exact and the solved start (natural clock, noise r, root mean
    square :math:`\varepsilon` of :math:`\Delta = \tilde y - y`), the ends have the laws
    :math:`E\,p(x_0 | y)` and :math:`E\,p(x_0 | \tilde y)`, and

    .. math:: W_2^2 \le 2 \int |x - a|^2\,d|\mu - \nu|
              \le 2\,E\Bigl[\frac{|\Delta|}{r^2}\,E\bigl[|x_0 - a|^2\,|x_0 - E[x_0|y]|
              \bigm| y\bigr]\Bigr] \le 4\,\frac{\varepsilon}{r^2}\,(E|x_0 - a|^6)^{1/2}

    to first order in :math:`\Delta`, as :math:`\nabla_y \log p(x_0|y) = (x_0 - E[x_0|y]) / r^2`
    and by Hoelder; a is the mean. The factor is doubled for the higher orders and for the moment,
    which is that of the starts' own sample.

    Source: :cite:p:`villani2009`, theorem 6.15 (weighted total variation).
    """
    centred = (x0 - x0.mean(0)).flatten(1)
    sixth = float(centred.norm(dim=1).pow(6).mean())
    return math.sqrt(8 * error / noise**2 * math.sqrt(sixth))
