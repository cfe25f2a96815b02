"""One Gaussian fitted to points: the baseline every other model has to beat."""

from typing import Any

from wasserscore.core.linalg import spectrum
from wasserscore.core.tensors import as_points
from wasserscore.core.typing import Cloud, Matrix, Vector
from wasserscore.data import Scaling
from wasserscore.process.base import Process
from wasserscore.score.gaussian import GaussianScore

ENOUGH = 10
"""Rows per column above which the sample covariance is taken as it is."""


def fit_gaussian(
    points: Any, process: Process, *, scaling: Scaling | None = None
) -> GaussianScore:
    r"""The Gaussian with the points' mean and covariance.

    With fewer than ten rows per column the covariance is shrunk towards a multiple of the
    identity by the Ledoit-Wolf share, which minimises the expected Frobenius error:

    .. math:: (1 - \rho) C + \rho \frac{tr C}{d} I

    Args:
        points: ``(n, *shape)``, at least two rows.
        process: The forward process of the score.
        scaling: Stored with the score.
    """
    x = as_points(points, minimum=2)
    mean, variances, axes = principal(x.reshape(len(x), -1).double())
    return GaussianScore(mean, variances, process, tuple(x.shape[1:]), scaling, axes)


def principal(x: Cloud) -> tuple[Vector, Vector, Matrix]:
    """Mean, variances along the principal axes of that covariance, rising, and these as columns.

    Args:
        x: ``(n, d)``, float64.
    """
    n, d = x.shape
    mean = x.mean(0)
    variances, axes = spectrum((x - mean) / n**0.5)
    if n < ENOUGH * d:
        share = shrinkage(x)
        variances = (1 - share) * variances + share * variances.mean()
    return mean, variances, axes


def shrinkage(x: Cloud) -> float:
    r"""The Ledoit-Wolf share of the identity, in [0, 1].

    .. math:: \rho = \min\left(1, \frac{\frac{1}{n^2} \sum_i |x_i x_i^T - C|_F^2}
                                  {|C - \frac{tr C}{d} I|_F^2}\right)

    with centred x. Source: Ledoit and Wolf (2004), A well-conditioned estimator for
    large-dimensional covariance matrices, section 3.3.

    Args:
        x: Points, ``(n, d)``.
    """
    n, d = x.shape
    x = x - x.mean(0)
    gram = x @ x.mT if n < d else x.mT @ x  # either has the norm and the trace of n C
    squared, trace = (gram / n).square().sum(), x.square().sum() / n
    # |x x^T - C|^2 summed over rows, without forming any of the matrices.
    noise = (x.square().sum(1).square().sum() / n - squared) / n
    signal = squared - trace.square() / d
    return float((noise / signal).clamp(0, 1)) if float(signal) > 0 else 1.0
