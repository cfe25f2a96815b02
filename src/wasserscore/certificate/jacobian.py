r"""How much a score expands at a point: the spectrum of its symmetrised Jacobian.

.. math:: \tfrac12 \bigl(\nabla s + \nabla s^T\bigr)

Exact up to rounding in every dimension: a dense Jacobian up to 256 coordinates, beyond it a
Krylov space of full dimension with re-orthogonalisation. A few Lanczos steps would not do: next
to eigenvalues of -1e4 they miss the top one by hundreds.
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.linalg import symmetric
from wasserscore.core.modes import gradients
from wasserscore.core.typing import Cloud, PerPoint, Points, ScoreFn, Vector

DENSE = 256
"""Largest dimension whose Jacobian is formed; beyond it a full Krylov space is built."""
DIFFERENCE = 1e-6
"""Step of a central difference, in units of the points."""
AGREEMENT = 1e-3
"""Relative difference up to which a product of derivatives is believed."""


def local(score: ScoreFn, x: Points, t: float) -> PerPoint:
    """The largest eigenvalue of the symmetrised Jacobian at every point, shape (n,)."""
    return extremes(score, x, t)[:, 1]


def extremes(score: ScoreFn, x: Points, t: float) -> Float[Tensor, "n 2"]:
    """The smallest and the largest eigenvalue of the symmetrised Jacobian at every point.

    Args:
        score: Any differentiable callable ``(x, t)``.
        x: Points of any shape, (n, *shape).
        t: The time.
    """
    if x[0].numel() <= DENSE:
        values = torch.linalg.eigvalsh(symmetric(jacobian(score, x, t)))
    else:
        flat = _flat(score, x)
        values = torch.stack([krylov(partial(_both, flat, row, t), row) for row in x.flatten(1)])
    return torch.stack([values[:, 0], values[:, -1]], 1)


def jacobian(score: ScoreFn, x: Points, t: float) -> Float[Tensor, "n d d"]:
    """The Jacobian of a score at every point, its coordinates in row-major order."""
    flat = _flat(score, x)
    with gradients("a Jacobian"):
        rows = x.detach().flatten(1).requires_grad_()
        s = flat(rows, t)
        found = [torch.autograd.grad(s[:, j].sum(), rows, retain_graph=True)[0]
                 for j in range(rows.shape[1])]  # fmt: skip
    return torch.stack(found, 1).detach()


def krylov(multiply: Callable[[Tensor], Tensor], like: Vector) -> Float[Tensor, "2"]:
    """The smallest and largest eigenvalue of a symmetric map, by Lanczos over the whole space.

    Args:
        multiply: ``v -> H v`` for a vector (d,).
        like: A vector that gives dimension, dtype and device.
    """
    d = like.numel()
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(d, generator=generator, dtype=torch.float64).to(like)
    basis, images = torch.zeros(d, d).to(like), torch.zeros(d, d).to(like)
    basis[0], size = v / v.norm(), 0
    for k in range(d):
        images[k], size = multiply(basis[k]), k + 1
        if size == d:
            break
        w = images[k].clone()
        for _ in range(2):
            w = w - basis[:size].mT @ (basis[:size] @ w)
        norm = w.norm()
        if norm <= 1e-12 * images[:size].norm():
            break
        basis[size] = w / norm
    values: Tensor = torch.linalg.eigvalsh(symmetric(basis[:size] @ images[:size].mT))
    return values[[0, -1]]


def _flat(score: ScoreFn, x: Points) -> Callable[[Cloud, float], Cloud]:
    """The score of flat rows that stand for points shaped like those of ``x``."""
    shape = x.shape[1:]
    return lambda rows, t: score(rows.reshape(-1, *shape), t).flatten(1)


def _both(flat: Callable[[Cloud, float], Cloud], x: Vector, t: float, v: Vector) -> Tensor:
    """(J v + J^T v) / 2 at one point: a vector-Jacobian product, and its own derivative.

    A score whose own derivative is cut off from the graph (a kernel's hand-written one) gives a
    wrong second pass, or none, in silence: a central difference tells, and then stands in.
    """
    ahead, behind = flat(torch.stack([x + DIFFERENCE * v, x - DIFFERENCE * v]), t).detach()
    pushed = (ahead - behind) / (2 * DIFFERENCE)
    with gradients("a Jacobian"):
        row = x.detach()[None].requires_grad_()
        s = flat(row, t)[0]
        (back,) = torch.autograd.grad(s, row, v, retain_graph=True)
        probe = torch.zeros_like(v).requires_grad_()
        (pulled,) = torch.autograd.grad(s, row, probe, create_graph=True)
        if pulled.requires_grad:
            (exact,) = torch.autograd.grad(pulled[0], probe, v)
            if (exact - pushed).norm() <= AGREEMENT * pushed.norm():
                pushed = exact
    found: Tensor = (pushed + back[0]).detach() / 2
    return found
