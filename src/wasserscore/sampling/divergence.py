r"""The divergence of a field, exactly or by random probes."""

from collections.abc import Callable

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.modes import gradients


def divergence(
    field: Callable[[Tensor], Tensor], y: Tensor, probes: Tensor | None
) -> tuple[Tensor, Tensor]:
    r"""The field and :math:`\nabla \cdot v`, one entry per probe.

    .. math:: \nabla \cdot v = \sum_j \partial_j v_j = E[\epsilon^T (\nabla v)\, \epsilon]

    Rows of ``y`` must not see each other: one backward pass gives a product for all of them.
    Source: :cite:p:`song2021`, appendix D.2; Hutchinson 1990.

    Args:
        field: ``v(y)``, differentiable, shaped like ``y``.
        y: Points, ``(b, d)``.
        probes: Vectors with uncorrelated entries of unit variance, ``(m, b, d)``; None sums the
            diagonal, with ``d`` backward passes.

    Returns:
        The field ``(b, d)``, and the divergences ``(m, b)``, or ``(1, b)`` if exact.

    Raises:
        InputError: If the field has no derivative (a network run without gradients).
    """
    with gradients("a likelihood"):
        points = y.detach().requires_grad_()
        value = field(points)
        require(value.requires_grad, "the score must be differentiable for a likelihood",
                got="a value without a gradient", do="run the score without no_grad")  # fmt: skip

        def pulled(vector: Tensor, last: bool) -> Tensor:
            return torch.autograd.grad(value, points, vector, retain_graph=not last)[0]

        if probes is None:
            d, total = y.shape[1], torch.zeros_like(y[:, 0])
            for j in range(d):
                unit = torch.zeros_like(y)
                unit[:, j] = 1
                total = total + pulled(unit, j == d - 1)[:, j]
            traces = total[None]
        else:
            m = probes.shape[0]
            rows = [(pulled(probe, j == m - 1) * probe).sum(1) for j, probe in enumerate(probes)]
            traces = torch.stack(rows)
    return value.detach(), traces.detach()
