r"""What the ends cost: distances that do not come from the score, in closed form.

At the data end, early stopping leaves :math:`W_2(p_0, p_t)`; at the noise end the sampler starts
from a prior and not from :math:`p_T`.
"""

import math

import torch

from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.reference import data_units
from wasserscore.certificate.statistics import mean_limit
from wasserscore.core.results import Estimate
from wasserscore.distance import w2_gaussian
from wasserscore.score import GaussianScore
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


def start_bounds(reference: ClosedFormScore, time: float, prior_std: float) -> dict[str, float]:
    r"""Upper bounds on W2(p_T, N(0, prior_std^2 I)), scaled units; the smallest is the one to use.

    ``coupling``: :math:`W_2^2 \le \alpha_T^2 E|x_0|^2 + d (\sigma_T - \sigma_\pi)^2` (common
    noise; at :math:`\sigma_\pi = \sigma_T` the contraction of :math:`W_2(p_0, \delta_0)`).
    ``Talagrand``: :math:`W_2^2 \le 2 \sigma_\pi^2 KL(p_T \| \pi)` with the relative entropy
    bounded by :func:`start_entropy`. ``Gaussian``: exact, for a Gaussian reference only.

    Args:
        reference: The law that is noised.
        time: The sampler's first time T.
        prior_std: Standard deviation of the prior.
    """
    process, second = reference.process, reference.second_moment()
    alpha, sigma = float(process.alpha(time)), float(process.sigma(time))
    bounds = {
        "coupling": math.hypot(alpha * math.sqrt(second),
                               math.sqrt(reference.dim) * (sigma - prior_std)),
        "Talagrand": prior_std * math.sqrt(2 * start_entropy(reference, time, prior_std)),
    }  # fmt: skip
    if isinstance(reference, GaussianScore):
        mean, covariance = (m.double() for m in reference.moments())
        eye = torch.eye(len(mean)).to(mean)
        noised = alpha**2 * covariance + sigma**2 * eye
        bounds["Gaussian"] = w2_gaussian(alpha * mean, noised, 0 * mean, prior_std**2 * eye)
    return bounds


def start_limit(coupling: Coupling, n: int, level: float) -> float:
    r"""Upper limit of W2(p_T, q_T) for a sampler and its start, scaled units.

    The smallest of :func:`start_bounds` and, where these are not exact, of

    .. math:: \bigl(E|x_T - y_T|^2\bigr)^{1/2} + \varepsilon

    along the coupling's own starts, which come from far above and are nearly optimal;
    :math:`\varepsilon` is the last difference of two solutions of their flow.

    Args:
        coupling: The sampler and the reference.
        n: Number of coupled starts.
        level: Level of the limit.
    """
    if coupling.start == "reference":
        return 0.0
    time, reference = coupling.grid.start, coupling.reference
    known = min(start_bounds(reference, time, float(reference.process.sigma(time))).values())
    if not limited_start(coupling):
        return known
    starts = coupling.starts(n)
    x, rough = starts.x.flatten(1), starts.x if starts.rough is None else starts.rough
    gaps = (x - starts.y.flatten(1)).square().sum(1)
    error = (x - rough.flatten(1)).square().sum(1).mean().sqrt()
    return min(known, math.sqrt(mean_limit(gaps, level)) + float(error))


def limited_start(coupling: Coupling) -> bool:
    """Whether :func:`start_limit` draws a limit: not for Gaussians, whose distance is known."""
    return coupling.start == "prior" and not isinstance(coupling.reference, GaussianScore)


def start_entropy(reference: ClosedFormScore, time: float, prior_std: float) -> float:
    r"""An upper bound on KL(p_T || N(0, prior_std^2 I)), in nats.

    Convexity of the relative entropy, over the data: with :math:`v = \sigma_T^2 / \sigma_\pi^2`,

    .. math:: KL \le \frac{\alpha_T^2 E|x_0|^2}{2 \sigma_\pi^2} + \frac d2 (v - 1 - \log v).
    """
    process = reference.process
    ratio = float(process.variance(time)) / prior_std**2
    signal = float(process.alpha(time)) ** 2 * reference.second_moment() / prior_std**2
    return signal / 2 + reference.dim / 2 * (ratio - 1 - math.log(ratio))
