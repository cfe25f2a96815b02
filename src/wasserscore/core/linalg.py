"""Symmetric matrices: roots, axes, the Bures distance, solves; safe for rank-deficient input."""

from collections.abc import Callable

import torch
from torch import Tensor


def symmetric(a: Tensor) -> Tensor:
    """The symmetric part of the last two axes."""
    return (a + a.mT) / 2


def sqrt_psd(a: Tensor) -> Tensor:
    """Symmetric square root of a positive semi-definite matrix; rounding below zero is cut."""
    values, vectors = torch.linalg.eigh(symmetric(a))
    root: Tensor = (vectors * values.clamp_min(0).sqrt().unsqueeze(-2)) @ vectors.mT
    return root


def spectrum(x: Tensor) -> tuple[Tensor, Tensor]:
    r"""Eigenvalues of :math:`x^T x`, rising and not negative, and eigenvectors as columns.

    Fewer rows than columns have none but zero beyond their span, where any basis will do: it takes
    a matrix of n columns then, not of d, and :math:`d^2 n` instead of :math:`d^3`.

    Args:
        x: ``(n, d)``.
    """
    n, d = x.shape
    if n >= d:
        values, vectors = torch.linalg.eigh(x.mT @ x)
        return values.clamp_min(0), vectors
    basis, sides = torch.linalg.qr(x.mT, mode="complete")
    turn, sizes, _ = torch.linalg.svd(sides[:n])
    vectors = torch.cat([basis[:, n:], basis[:, :n] @ turn.flip(1)], 1)
    return torch.cat([x.new_zeros(d - n), sizes.flip(0).square()]), vectors


def bures_squared(a: Tensor, b: Tensor) -> Tensor:
    r"""Squared Bures distance of two covariances, never negative.

    .. math:: tr A + tr B - 2 tr (A^{1/2} B A^{1/2})^{1/2}

    The cross term is the nuclear norm of :math:`A^{1/2} B^{1/2}`, which keeps half of the digits
    that the square root of an eigenvalue would lose when the matrices are rank-deficient.
    """
    cross = torch.linalg.matrix_norm(sqrt_psd(a) @ sqrt_psd(b), ord="nuc")
    traces: Tensor = torch.diagonal(a + b, dim1=-2, dim2=-1).sum(-1)
    distance: Tensor = (traces - 2 * cross).clamp_min(0)
    return distance


def conjugate_gradients(
    matrix: Callable[[Tensor], Tensor], b: Tensor, *, iterations: int, tolerance: float
) -> Tensor:
    """Solve K v = b for symmetric positive semi-definite K, in every row of ``b`` by itself.

    A row stops where its residual is below ``tolerance`` times its right-hand side, where K shows
    no positive curvature (it is not quite what it should be), or after ``iterations``: what it
    has then minimises the energy over the directions seen.

    Args:
        matrix: K, on tensors shaped like ``b``; rows must not see each other.
        b: Right-hand sides, ``(rows, ...)``.
        iterations: Most products with K.
        tolerance: Relative residual.

    Source: Hestenes and Stiefel (1952), section 3.
    """
    solution, rest, direction = torch.zeros_like(b), b, b
    left = _row_dot(b, b)
    goal = tolerance**2 * left
    active = left > 0
    for _ in range(iterations):
        if not bool(active.any()):
            break
        image = matrix(direction)
        curvature = _row_dot(direction, image)
        active = active & (curvature > 0)
        length = torch.where(active, left / curvature, 0)
        solution = solution + length * direction
        rest = rest - length * image
        now = _row_dot(rest, rest)
        direction = rest + torch.where(active, now / left, 0) * direction
        left = torch.where(active, now, left)
        active = active & (left > goal)
    return solution


def _row_dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of rows, ``(rows, 1, ...)``."""
    total = (a * b).flatten(1).sum(1)
    return total.reshape(-1, *(1 for _ in a.shape[1:]))
