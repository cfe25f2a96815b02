r"""W2 of Gaussians, and what means and covariances say about any two laws.

.. math:: W_2^2(N(m_0, S_0), N(m_1, S_1)) = |m_0 - m_1|^2
          + \mathrm{tr}\,(S_0 + S_1 - 2 (S_0^{1/2} S_1 S_0^{1/2})^{1/2})

The second term is the squared Bures distance. With *factors* :math:`S_i = A_i^T A_i` it is
:math:`\min_U \|A_0 - U A_1\|_F^2` over orthogonal U, a polar factor; computed so it is a sum of
squares: never negative or complex, right for singular covariances, and as accurate for the
distance as the trace form is for its square.
"""

import math
from typing import Any

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.linalg import sqrt_psd
from wasserscore.core.results import Estimate
from wasserscore.distance.clouds import as_clouds, in_unit, require_squares


def w2_gaussian(m0: Any, S0: Any, m1: Any, S1: Any) -> float:
    """The W2 distance of N(m0, S0) and N(m1, S1), in data units.

    Source: :cite:p:`gelbrich1990`, proposition 7.

    Args:
        m0: Mean (d,).
        S0: Covariance (d, d), symmetric positive semi-definite, singular allowed.
        m1: Mean (d,).
        S1: Covariance (d, d).

    Raises:
        InputError: On shapes that do not fit, entries that are not finite, or a covariance with
            an eigenvalue below zero beyond rounding.
    """
    first, second = _moments(m0, S0, "0"), _moments(m1, S1, "1")
    require(first[0].shape == second[0].shape, "both Gaussians must have the same dimension",
            got=f"{len(first[0])} and {len(second[0])}")  # fmt: skip
    return math.sqrt(_squared(first[0] - second[0], sqrt_psd(first[1]), sqrt_psd(second[1])))


def gelbrich(x: Any, y: Any) -> Estimate:
    """Gelbrich's lower bound of W2 from the means and covariances of two clouds, in data units.

    With the clouds' own moments (denominator n) it is at most ``w2(x, y)``, always. For the laws
    behind the clouds it is an estimate of a lower bound, not a bound.

    Args:
        x: Points ``(n, *shape)``, data units.
        y: Points ``(m, *shape)``.

    Raises:
        InputError: On bad clouds.

    Source: :cite:p:`gelbrich1990`, theorem 2.1.
    """
    unit, clouds = in_unit(*as_clouds(x, y))
    squared = _squared_of_clouds(*clouds, ddof=0)
    return Estimate(unit * math.sqrt(squared), n=min(len(c) for c in clouds))


def frechet(x: Any, y: Any) -> Estimate:
    """The Frechet distance of two clouds: the *squared* W2 of Gaussians with their moments.

    The field's convention: squared, covariances with denominator n - 1. Any n >= 2 will do, fewer
    points than dimensions included. Biased upwards at finite n: compare at equal n only.

    Args:
        x: Points ``(n, *shape)``, data units.
        y: Points ``(m, *shape)``.

    Raises:
        InputError: On bad clouds, fewer than two points in one of them, or coordinates too large
            or too small for squares.

    Source: :cite:p:`gelbrich1990`, proposition 7.
    """
    clouds = as_clouds(x, y, minimum=2)
    require_squares(*clouds)
    return Estimate(
        _squared_of_clouds(*clouds, ddof=1),
        n=min(len(c) for c in clouds),
        units="squared data units",
    )


def _squared_of_clouds(x: Tensor, y: Tensor, *, ddof: int) -> float:
    mean_x, mean_y = x.double().mean(0), y.double().mean(0)
    return _squared(mean_x - mean_y, _factor(x, mean_x, ddof), _factor(y, mean_y, ddof))


def _factor(x: Tensor, mean: Tensor, ddof: int) -> Tensor:
    """A factor A (min(n, d), d) of the covariance, A^T A, without forming it."""
    centred = (x.double() - mean) / math.sqrt(len(x) - ddof)
    return torch.linalg.qr(centred, mode="r").R if len(x) > x.shape[1] else centred


def _squared(shift: Tensor, a: Tensor, b: Tensor) -> float:
    """|shift|^2 + min_U |a - U b|^2 over orthogonal U, the shorter factor padded."""
    rows = max(len(a), len(b))
    a, b = (torch.cat([m, m.new_zeros(rows - len(m), m.shape[1])]) for m in (a, b))
    left, _, right = torch.linalg.svd(a @ b.mT)
    return float(shift.square().sum() + (a - left @ (right @ b)).square().sum())


def _moments(mean: Any, covariance: Any, which: str) -> tuple[Tensor, Tensor]:
    m, S = (torch.as_tensor(v).detach().to("cpu", torch.float64) for v in (mean, covariance))
    require(m.ndim == 1 and S.shape == (len(m), len(m)),
            f"m{which} must be (d,) and S{which} (d, d)",
            got=f"{tuple(m.shape)} and {tuple(S.shape)}")  # fmt: skip
    require(bool(torch.isfinite(m).all() and torch.isfinite(S).all()),
            f"m{which} and S{which} must be finite", got="NaN or infinity")  # fmt: skip
    scale = float(S.abs().max()) * len(m)
    require(torch.allclose(S, S.mT, rtol=0, atol=1e-6 * scale), f"S{which} must be symmetric",
            got=f"an asymmetry of {float((S - S.mT).abs().max()):.1e}")  # fmt: skip
    lowest = float(torch.linalg.eigvalsh(S)[0])
    require(lowest >= -1e-6 * scale, f"S{which} must be positive semi-definite",
            got=f"an eigenvalue {lowest:.3g}")  # fmt: skip
    return m, S
