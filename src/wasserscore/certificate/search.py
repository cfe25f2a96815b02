r"""Where a score expands most: gradient ascent on its local one-sided constant.

.. math:: \nabla_x \lambda_{\max}(x) = \nabla_x \bigl(v^T \nabla s(x)\, v\bigr)

with the top eigenvector v held fixed (Hellmann and Feynman), where the top eigenvalue is simple.
Products with the Jacobian are differenced along v, so a score need only be differentiable once.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from wasserscore.certificate.jacobian import DENSE, jacobian, local
from wasserscore.core.linalg import symmetric
from wasserscore.core.modes import gradients
from wasserscore.core.typing import Points, ScoreFn

CLIMBERS = 8
"""Points the ascent starts from: the best of those given."""
DIFFERENCE = 1e-3
"""Step of the difference that gives the slope, in first steps of the ascent."""


class Peak(NamedTuple):
    """The largest local constant that was found, and where."""

    value: float
    point: Tensor


def segments(x: Points, y: Points, parts: int = 4) -> Tensor:
    """Points on the segments between matching rows, ends included, (n (parts + 1), *shape)."""
    shares = torch.linspace(0, 1, parts + 1, dtype=x.dtype)
    return torch.cat([x + share * (y - x) for share in shares.tolist()])


def highest(score: ScoreFn, x: Points, t: float, *, steps: int = 12) -> Peak:
    """The largest local constant near some points.

    From the best points, steps of a length that is halved where the constant falls and doubled
    where it rises; the first length is a tenth of the points' spread. A lower estimate of the
    supremum. Beyond 256 coordinates the points are only compared: a climb would cost a whole
    Krylov space per step.

    Args:
        score: A differentiable callable ``(x, t)``.
        x: Where to look, (n, *shape).
        t: The time.
        steps: Steps of the ascent.
    """
    values = local(score, x, t)
    best = values.topk(min(CLIMBERS, len(x))).indices
    points, values = x[best], values[best]
    if steps > 0 and x[0].numel() <= DENSE:
        length = 0.1 * (x - x.mean(0)).flatten(1).norm(dim=1).square().mean().sqrt()
        points, values = _climb(score, points, values, t, steps, float(length))
    top = int(values.argmax())
    return Peak(float(values[top]), points[top])


def _climb(
    score: ScoreFn, x: Points, values: Tensor, t: float, steps: int, length: float
) -> tuple[Points, Tensor]:
    lengths = torch.full_like(values, length)
    for _ in range(steps):
        slope = _slope(score, x, t, DIFFERENCE * length).flatten(1)
        norm = slope.norm(dim=1, keepdim=True)
        move = torch.where(norm > 0, slope / norm, slope) * lengths[:, None]
        trial = x + move.reshape(x.shape)
        found = local(score, trial, t)
        up = found > values
        x = torch.where(up.reshape(-1, *[1] * (x.ndim - 1)), trial, x)
        values = torch.where(up, found, values)
        lengths = torch.where(up, 2 * lengths, lengths / 2)
    return x, values


def _slope(score: ScoreFn, x: Points, t: float, step: float) -> Points:
    """Gradient of the top eigenvalue, like ``x``: a difference of products J^T v along v."""
    vectors = torch.linalg.eigh(symmetric(jacobian(score, x, t))).eigenvectors[..., -1]
    v = vectors.reshape(x.shape)
    return (_pulled(score, x + step * v, t, v) - _pulled(score, x - step * v, t, v)) / (2 * step)


def _pulled(score: ScoreFn, x: Points, t: float, v: Points) -> Points:
    """J(x)^T v."""
    with gradients("a Jacobian"):
        x = x.detach().requires_grad_()
        (found,) = torch.autograd.grad((score(x, t) * v).sum(), x)
    return found
