r"""Upper confidence limits of a mean, each of a named kind.

*asymptotic*: Student's t with the skewness term; right for many well-behaved numbers, and blind to
a rare jump that the sample does not contain. *finite_sample*: valid for every sample size when the
numbers are bounded by a constant that was stated in advance.
"""

import math

import numpy as np
import torch
from scipy import optimize, stats
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.results import Estimate


def share(level: float, parts: int) -> float:
    """The level each of ``parts`` limits needs so that all hold together at ``level``.

    Bonferroni: ``1 - (1 - level) / parts``.
    """
    require(0 < level < 1, "level must lie strictly between 0 and 1", got=level)
    return 1 - (1 - level) / parts


def mean_limit(values: Tensor, level: float) -> float:
    r"""Asymptotic upper limit of the mean of independent numbers.

    .. math:: \bar v + \frac{s}{\sqrt n}
              \Bigl(q + \frac{\hat\gamma_+ (2 q^2 + 1)}{6 \sqrt n}\Bigr)

    with ``q`` the Student quantile and :math:`\hat\gamma_+` the sample skewness where positive:
    squares of distances are skewed to the right, so the plain limit is too low too often.

    Assumes: independent, identically distributed numbers, and no unseen rare jumps.
    Source: Johnson (1978), J. Amer. Statist. Assoc. 73, the one-sided form.

    Args:
        values: Independent numbers, shape (n,), n >= 2.
        level: Confidence level.
    """
    n = values.numel()
    require(n >= 2, "a confidence limit needs at least two independent numbers", got=n)
    if not torch.isfinite(values).all():
        return math.inf
    mean, deviation = values.mean(), values.std()
    if deviation <= 1e-14 * abs(mean) or deviation == 0:
        return float(mean)
    skewness = max(float((((values - mean) / deviation) ** 3).mean()), 0.0)
    q = float(stats.t.ppf(level, n - 1))
    return float(mean + deviation / math.sqrt(n)
                 * (q + skewness * (2 * q * q + 1) / (6 * math.sqrt(n))))  # fmt: skip


def stderr(values: Tensor) -> float:
    """Standard error of the mean of independent numbers; infinite where one of them is."""
    if values.numel() < 2 or not torch.isfinite(values).all():
        return math.inf
    return float(values.std()) / math.sqrt(values.numel())


def root_mean_square(squares: Tensor) -> Estimate:
    """Root of the mean of independent squares, with its standard error."""
    mean = max(float(squares.mean()), 0.0)  # control variates may leave rounding below zero
    return Estimate(math.sqrt(mean), root_stderr(mean, stderr(squares)), squares.numel())


def root_stderr(mean_square: float, stderr_square: float) -> float:
    """Standard error of a root-mean-square, by the delta method."""
    if not 0 < mean_square < math.inf:
        return 0.0 if mean_square == 0 else math.inf
    return stderr_square / (2 * math.sqrt(mean_square))


def proportion_limit(hits: int, n: int, level: float) -> float:
    """Clopper-Pearson upper limit of a probability after ``hits`` of ``n`` independent trials."""
    return 1.0 if hits >= n else float(stats.beta.ppf(level, hits + 1, n - hits))


def betting_limit(values: Tensor, bound: float, level: float) -> float:
    r"""Finite-sample upper limit of the mean of independent numbers in ``[0, bound]``.

    The gambler bets against the mean being as large as ``m``: her capital
    :math:`\prod_i (1 + \lambda_i (m - v_i))` is a martingale under mean ``m``, so by Ville's
    inequality a capital above ``1 / (1 - level)`` refutes ``m``. The stakes
    :math:`\lambda_i` use earlier numbers only. The capital increases with ``m``, so the largest
    mean that stays unrefuted is found by bracketing.

    Assumes: independent numbers with a common mean, all in ``[0, bound]``.
    Source: Waudby-Smith and Ramdas (2024), J. R. Stat. Soc. B 86, section 4.

    Raises:
        InputError: If a number lies outside ``[0, bound]``.
    """
    v = values.double().numpy() / bound
    require(bool((v >= 0).all() and (v <= 1 + 1e-12).all()), "every value must lie in [0, bound]",
            got=f"{v.min() * bound:.4g} to {v.max() * bound:.4g}, bound {bound:.4g}")  # fmt: skip
    n, goal = len(v), math.log(1 / (1 - level))
    count = np.arange(1, n + 1)
    mean = (0.5 + np.cumsum(v)) / (count + 1)
    variance = (0.25 + np.cumsum((v - mean) ** 2)) / (count + 1)
    past = np.concatenate([[0.25], variance[:-1]])
    stakes = np.minimum(np.sqrt(2 * goal / (n * past)), 0.9)

    def capital(m: float) -> float:
        return float(np.log1p(stakes * (m - v)).sum()) - goal

    if capital(1.0) <= 0:
        return bound
    return bound * float(optimize.brentq(capital, 0.0, 1.0, xtol=1e-12))


def split_limit(values: Tensor, threshold: float, bound: float, level: float) -> float:
    r"""Finite-sample upper limit of a mean whose numbers are mostly small and rarely huge.

    .. math:: E v \le E \min(v, \tau) + (R^2 - \tau) P(v > \tau)

    The first part by betting on ``[0, threshold]``, the second by Clopper-Pearson, each at half
    the error probability. An unseen jump of probability p is paid for by the second part.

    Assumes: independent numbers in ``[0, bound]``; ``threshold`` fixed before they were drawn.

    Args:
        values: Independent numbers, shape (n,).
        threshold: The number tau, fixed in advance.
        bound: The number R^2 that no value can exceed.
        level: Confidence level.
    """
    require(0 < threshold <= bound, "threshold must lie in (0, bound]", got=threshold)
    each = share(level, 2)
    low = betting_limit(values.clamp_max(threshold), threshold, each)
    above = proportion_limit(int((values > threshold).sum()), values.numel(), each)
    return min(low + (bound - threshold) * above, bound)


def pilot_limit(values: Tensor, bound: float, level: float) -> float:
    """Finite-sample upper limit of a mean, the threshold taken from a pilot.

    The first quarter of the numbers only sets the threshold of :func:`split_limit` (twice its
    largest); the limit rests on the others, for which the threshold was fixed in advance.

    Args:
        values: Independent numbers in ``[0, bound]``, shape (n,), n >= 8.
        bound: The number that no value can exceed.
        level: Confidence level.
    """
    require(values.numel() >= 8, "a pilot needs at least eight numbers", got=values.numel())
    cut = values.numel() // 4
    threshold = min(max(2 * float(values[:cut].max()), 1e-9 * bound), bound)
    return min(
        split_limit(values[cut:], threshold, bound, level) if threshold < bound
        else betting_limit(values[cut:], bound, level), bound,
    )  # fmt: skip


def betting_lower_limit(values: Tensor, bound: float, level: float) -> float:
    """Finite-sample lower limit of the mean of independent numbers in ``[0, bound]``."""
    return bound - betting_limit(bound - values, bound, level)


LEAST_BATCHES = 32
"""Batches below which a finite-sample limit of transport says nothing."""


def transport_limit(squares: Tensor, costs: Tensor, bound: float, level: float) -> float:
    r"""Finite-sample upper limit of the mean cost of transport within batches of coupled pairs.

    Transport within batch b saves :math:`g_b = \bar v_b - c_b \ge 0` on its pairs, so

    .. math:: E c = E v - E g \le E v - E \min(g, \tau).

    The first mean has an upper limit from all n pairs, the second a lower one from the batches. A
    limit from the few costs alone would have to allow for a share
    :math:`\log(1/(1 - level)) / batches` of them at ``bound``; cutting a *saving* costs nothing
    but tightness. The threshold comes from a quarter of the batches, used for no more.

    Each of the two limits holds at ``level``. The first is :func:`pilot_limit` of the pairs: who
    draws that anyway has to allow for one more only.

    Assumes: independent pairs, squares in ``[0, bound]``; batches of consecutive pairs.

    Args:
        squares: Squared distances of the pairs, shape (n,).
        costs: Optimal cost of each batch, never above the mean of its pairs; shape (batches,),
            at least ``LEAST_BATCHES``.
        bound: The number that no square can exceed.
        level: Confidence level of each of the two limits.

    Raises:
        InputError: If there are too few batches, or a cost exceeds the mean of its pairs.
    """
    batches = costs.numel()
    require(batches >= LEAST_BATCHES, f"needs at least {LEAST_BATCHES} batches", got=batches)
    rows = squares.numel() // batches
    saved = squares[: rows * batches].reshape(batches, rows).mean(1) - costs
    require(bool((saved >= -1e-9 * bound).all()), "no cost may exceed the mean of its pairs",
            got=float(-saved.min()))  # fmt: skip
    saved, cut = saved.clamp_min(0), batches // 4
    threshold = min(float(saved[:cut].max()), bound)
    least = (
        betting_lower_limit(saved[cut:].clamp_max(threshold), threshold, level)
        if threshold > 0 else 0.0
    )  # fmt: skip
    return max(pilot_limit(squares, bound, level) - least, 0.0)
