r"""Score matching without the clean point: implicit and sliced objectives.

With :math:`\hat x = x_t / \alpha_t` and the denoiser D, Stein's identity turns the denoising error
into numbers of :math:`\hat x` alone:

.. math:: E\,\|D - x_0\|^2 = E\bigl[\|D - \hat x\|^2 + 2 r^2\,\mathrm{tr}\,\nabla_{\hat x} D
          - d\,r^2\bigr],

which is implicit score matching, :math:`E[\|s\|^2 + 2\,\mathrm{tr}\,\nabla s]`, in other units
and with its constant. So every objective here has the expectation of
:func:`~wasserscore.training.denoising.denoising_loss`, for every network and weighting, and more
variance. With random signs v,

* ``"implicit"``: the trace exactly, one backward pass per coordinate;
* ``"implicit_hutchinson"``: :math:`v^T \nabla D\, v` in the place of the trace;
* ``"sliced"``: also :math:`(v \cdot (D - \hat x))^2` in the place of the norm.

Source: Hyvarinen, "Estimation of non-normalized statistical models by score matching" (JMLR 6,
2005), theorem 1; Song, Garg, Shi and Ermon, "Sliced score matching" (UAI
2019), eqs. (7) and (8), the latter being Hutchinson's; Stein (1981) for the identity.
"""

import torch
from torch import Tensor

from wasserscore.core.tensors import beside, expand_like
from wasserscore.core.typing import PerPoint, Points
from wasserscore.score import NetworkScore
from wasserscore.training.levels import Weighting

SIGNED = ("implicit_hutchinson", "sliced")
"""Objectives that need random signs."""


def implicit_loss(
    score: NetworkScore,
    weighting: Weighting,
    x0: Points,
    uniform: PerPoint,
    noise: Points,
    labels: Tensor | None = None,
    condition: Tensor | None = None,
    *,
    signs: Points | None = None,
    sliced: bool = False,
) -> Tensor:
    """The objective per coordinate, an unbiased estimate of the denoising loss.

    Args:
        score: The network in training; twice differentiable.
        weighting: Where along the noise, and what it counts.
        x0: Clean points, model units; only noisy ones are looked at.
        uniform: One number of [0, 1) per point: its noise level.
        noise: Standard normal, shaped like ``x0``.
        labels: A class per point, where the network knows classes.
        condition: A vector per point, where it knows these.
        signs: Random signs like ``x0``; None for the exact trace.
        sliced: Whether the norm is taken along the signs too.
    """
    levels = weighting(score.process, score.data_std, uniform.to(torch.float64))
    t = score.process.time_at(levels.r.square())
    y = (x0 + expand_like(levels.r, x0) * noise).requires_grad_()
    x_t = expand_like(score.process.alpha(t), y) * y
    moved = (score.denoise(x_t, t, labels, condition) - y).flatten(1)
    if signs is None:
        own = [_slope(moved[:, i], y)[:, i] for i in range(moved.shape[1])]
        trace = torch.stack(own).sum(0)
        norm = moved.square().sum(1)
    else:
        v = signs.flatten(1)
        along = (v * moved).sum(1)
        trace = (v * _slope(along, y)).sum(1)
        norm = along.square() if sliced else moved.square().sum(1)
    r2 = beside(levels.r.square(), norm)
    squared = norm + 2 * r2 * trace + moved.shape[1] * r2  # the trace of D - y is d less than D's
    return (beside(levels.weight, squared) * squared).mean() / moved.shape[1]


def _slope(values: Tensor, y: Tensor) -> Tensor:
    """Gradients ``(b, d)`` of each row's value, differentiable again."""
    (slope,) = torch.autograd.grad(values.sum(), y, create_graph=True)
    return slope.flatten(1)
