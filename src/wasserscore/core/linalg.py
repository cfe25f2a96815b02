"""Symmetric matrices: square roots and the Bures distance, safe for rank-deficient input."""

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
