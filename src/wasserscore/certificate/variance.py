r"""Control variates for the squares of a coupling: the same mean, less noise.

The Gaussian of the reference's own mean and covariance has an exact path at every noise level
(:class:`~wasserscore.certificate.path.GaussianPath`). Run on the noise of the coupling it ends in
a point u that is *exactly* standard normal once whitened, so polynomials in u have known means,
and where model and reference are nearly linear they follow :math:`|X - Y|^2` closely.

Source: Glasserman (2003), Monte Carlo methods in financial engineering, section 4.1 (control
variates); Chernozhukov et al. (2018), Econometrics Journal 21 (cross-fitting).
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Float
from scipy.linalg import lstsq
from torch import Tensor

from wasserscore.certificate.coupling import Coupling
from wasserscore.core.errors import require
from wasserscore.score import GaussianScore

FOLDS = 8
"""Coefficients for one part are fitted on the others, so the mean stays unbiased."""
ROWS_PER_CONTROL = 6
"""A fit needs at least this many values per coefficient."""


def freed(values: Tensor, coupling: Coupling) -> Tensor:
    """Squares of the coupling's pairs with the same mean and, where it pays, less variance.

    Args:
        values: One number per pair, shape (n,).
        coupling: What was coupled.
    """
    if values.numel() < ROWS_PER_CONTROL * coupling.reference.dim:
        return values
    return controlled(values, gaussian_end(coupling, values.numel()))


def gaussian_end(coupling: Coupling, n: int) -> Float[Tensor, "n d"]:
    r"""Independent standard normal rows that move with the ends of the first ``n`` pairs.

    .. math:: u = \bigl(\alpha_s^2 C + \sigma_s^2 I\bigr)^{-1/2} (x_s - \alpha_s m)

    with :math:`x_s` the end, at the grid's last time s, of the exact path of :math:`N(m, C)` on
    the coupling's own noise; m and C are the reference's moments.

    Args:
        coupling: What is coupled; its streams give the noise.
        n: Number of pairs.
    """
    reference = coupling.reference
    mean, covariance = (m.double() for m in reference.moments())
    process, time = reference.process, coupling.grid.stop
    matched = GaussianScore(mean, covariance, process)
    surrogate = replace(coupling, score=matched, reference=matched)
    start = surrogate.starts(n).x.reshape(n, -1)
    noise = coupling.path_noise(n)
    end = surrogate.path.run(start, coupling.grid, lambda k: noise(k).reshape(n, -1)).x
    alpha, variance = float(process.alpha(time)), float(process.variance(time))
    values, vectors = torch.linalg.eigh(alpha**2 * covariance)
    scale = (values.clamp_min(0) + variance).sqrt()
    white: Tensor = ((end - alpha * mean) @ vectors) / scale
    return white[:, scale > 1e-9 * scale.max()].cpu()


def controlled(values: Tensor, normal: Float[Tensor, "n d"]) -> Tensor:
    r"""Numbers with the mean of ``values``, freed of what a polynomial in ``normal`` explains.

    .. math:: v_i - \beta_{-i} \cdot h(u_i), \qquad E\,h(u) = 0

    with h all first and second order monomials, or fewer where there are few rows, and
    :math:`\beta_{-i}` fitted without the block of rows that holds row i. What does not pay
    is not used.

    Args:
        values: Independent numbers, shape (n,).
        normal: Standard normal rows; row i belongs to value i.

    Raises:
        InputError: If the rows do not match.
    """
    n = values.numel()
    require(normal.shape[0] == n, "every value needs its row of controls",
            got=f"{n} values, {normal.shape[0]} rows")  # fmt: skip
    found = values
    if not torch.isfinite(values).all():
        return found
    for controls in _monomials(normal):
        if 0 < controls.shape[1] * ROWS_PER_CONTROL <= n:
            found = min(found, _adjusted(values, controls), key=lambda v: float(v.var()))
    return found


def _monomials(u: Tensor) -> Iterator[Tensor]:
    """Centred monomials: all to second order, those of single coordinates, the linear ones."""
    first, second = torch.triu_indices(u.shape[1], u.shape[1], 1)
    squares = u.square() - 1
    yield torch.cat([u, squares, u[:, first] * u[:, second]], 1)
    yield torch.cat([u, squares], 1)
    yield u


def _adjusted(values: Tensor, controls: Tensor) -> Tensor:
    """Residuals about the known mean, coefficients from the other folds.

    By SciPy's least squares: of equal numbers PyTorch's gives other last bits from call to call.
    """
    fold = torch.arange(len(values)) * FOLDS // len(values)
    found = values.clone()
    for k in range(FOLDS):
        fitted = torch.cat([torch.ones_like(controls[:, :1]), controls], 1)[fold != k]
        beta = lstsq(fitted.numpy(), values[fold != k].numpy(), lapack_driver="gelsy")[0][1:]
        found[fold == k] -= controls[fold == k] @ torch.from_numpy(beta)
    return found
