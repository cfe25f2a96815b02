r"""Kernel covariances of a density estimate, by leave-one-out maximum likelihood.

For a kernel density whose centres share one covariance S, the leave-one-out log-likelihood

.. math:: \sum_i c_i \log \frac{1}{C - c_i} \sum_{j \ne i} c_j N(x_i; x_j, S)

has an EM algorithm with a closed-form step: with :math:`w_{ij}` the posterior of centre j given
that point i came from another one,

.. math:: S \leftarrow \frac{1}{C} \sum_i c_i \sum_{j \ne i} w_{ij} (x_i - x_j)(x_i - x_j)^T,

its diagonal for one bandwidth per column, its mean for one bandwidth. Each step raises the
likelihood. Leaving one out is a proper validation here, for a shared S hardly knows about any
single point; it would not be for covariances built from neighbourhoods.

Source: expectation maximisation for the pooled kernel; :cite:p:`zhang2024` names the bandwidth as
the choice that the empirical score leaves open.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.linalg import symmetric
from wasserscore.core.typing import Cloud, Matrix, Vector
from wasserscore.proximal.sample_rows import Rows

KINDS = ("isotropic", "columns", "full")
Covariance = Float[Tensor, ""] | Vector | Matrix
STEPS = 25
TOLERANCE = 1e-3


def kernel_covariance(rows: Rows, kind: str, least: Vector) -> Covariance:
    """The kernel covariance: a number, ``(d,)`` or ``(d, d)`` for the three kinds.

    Args:
        rows: The centres; at most a few thousand (n x n distances are formed).
        kind: "isotropic", "columns" or "full".
        least: Smallest variance allowed per column.
    """
    require(kind in KINDS, f"kind must be one of {', '.join(KINDS)}", got=repr(kind))
    x, share = rows.points, rows.counts / rows.counts.sum()
    x = x - share @ x
    d = x.shape[1]
    if kind != "full":
        return _of_kind(_climbed(x, rows.counts, kind, least, d), kind, least)
    # Fewer rows than columns move nothing beyond their span, where the kernel stays ``least``:
    # coordinates along it, in units of that, take matrices of n columns in the place of d.
    axes, along = torch.linalg.qr((x / least.sqrt()).mT)
    scatter = _climbed(along.mT, rows.counts, kind, least.new_ones(len(along)), d)
    back = least.sqrt()[:, None] * axes
    return _of_kind(back @ scatter @ back.mT, kind, least)


def _climbed(
    x: Cloud, counts: Tensor, kind: str, least: Vector, d: int
) -> Float[Tensor, ""] | Vector | Matrix:
    """The scatter of the last step, for rows of d columns given along some directions."""
    n, r = x.shape
    share, scott = counts / counts.sum(), n ** (-2 / (d + 4))
    start = x.mT @ (x * share[:, None]) if kind == "full" else share @ x.square()
    root = root_of(_of_kind((start + _like(least, start)) * scott, kind, least))
    # only the start is wider than ``least`` in the other directions
    last = log_volume(root, r) + (d - r) / 2 * math.log1p(scott)
    for _ in range(STEPS):
        weights = _leave_one_out(divided(x, root), counts) * counts[:, None]
        scatter = _scatter(x, weights, kind) / counts.sum()
        root = root_of(_of_kind(scatter, kind, least))
        before, last = last, log_volume(root, r)
        if float((last - before).abs()) < TOLERANCE * d:
            break
    return scatter


def root_of(covariance: Covariance) -> Covariance:
    """Standard deviations, or the lower triangular root of a matrix."""
    if covariance.ndim < 2:
        return covariance.sqrt()
    lower: Matrix = torch.linalg.cholesky(covariance)
    return lower


def divided(x: Cloud, root: Covariance) -> Cloud:
    """Points in coordinates where the kernel with this root is standard normal."""
    if root.ndim < 2:
        return x / root
    turned: Cloud = torch.linalg.solve_triangular(root, x.mT, upper=False).mT
    return turned


def log_volume(root: Covariance, d: int) -> Tensor:
    """Half the log determinant of the covariance with this root in d dimensions."""
    return (root.expand(d) if root.ndim < 2 else torch.diagonal(root)).log().sum()


def _leave_one_out(z: Cloud, counts: Tensor) -> Tensor:
    """Row i: the posterior over the other centres given point i."""
    logits = counts.log() - torch.cdist(z, z).square() / 2
    return logits.fill_diagonal_(-torch.inf).softmax(1)


def _scatter(x: Cloud, weights: Float[Tensor, "n n"], kind: str) -> Matrix | Vector:
    """The weighted sum of (x_i - x_j)(x_i - x_j)^T, or its diagonal where that is enough."""
    both = weights.sum(1) + weights.sum(0)
    moved = weights @ x
    if kind != "full":
        return both @ x.square() - 2 * (x * moved).sum(0)
    cross = x.mT @ moved
    return x.mT @ (x * both[:, None]) - cross - cross.mT


def _like(variances: Vector, s: Matrix | Vector) -> Matrix | Vector:
    return torch.diag(variances) if s.ndim == 2 else variances


def _of_kind(s: Matrix | Vector, kind: str, least: Vector) -> Covariance:
    if kind == "isotropic":
        return torch.maximum(s.mean(), least.mean())
    if kind == "columns":
        return torch.maximum(s, least)
    return symmetric(s) + torch.diag(least)
