r"""The two sides of a score difference: what pulls a particle, wherever its score comes from.

A side answers with the *pull* :math:`\sigma^2 \nabla \log p_\sigma(z)`, where :math:`p_\sigma` is
the law smoothed by noise of standard deviation :math:`\sigma`: for a Gaussian the denoiser minus
the point (Tweedie), so that in a difference the point cancels,

.. math:: \sigma^2 (\nabla \log p_\sigma - \nabla \log q_\sigma)(z)
          = E_p[y \mid z] - E_q[x \mid z] .

Clouds, laws in closed form and networks mix freely.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.tensors import as_points
from wasserscore.flow.kernels import GAUSSIAN, Gaussian, Kernel
from wasserscore.kernel import Keys


class Pull(NamedTuple):
    """A side's answer.

    Args:
        pull: sigma^2 times the score, ``(b, d)``.
        log_density: Log of the smoothed density up to a constant that clouds with the same kernel
            share and that is zero for a Gaussian kernel, ``(b,)``; None where it is not known.
        ess: Effective number of points behind it at evenly spread queries, ``(a,)``; None for a
            law.
    """

    pull: Tensor
    log_density: Tensor | None = None
    ess: Tensor | None = None


@runtime_checkable
class Side(Protocol):
    """One side of a score difference."""

    def __call__(self, z: Tensor, sigma: float, /) -> Pull:
        """The pull at ``z`` at smoothing ``sigma``."""
        ...


@dataclass(frozen=True, eq=False)
class CloudSide:
    """A cloud smoothed by a kernel.

    Args:
        points: ``(m, d)``.
        kernel: The kernel.
    """

    points: Tensor
    kernel: Kernel = GAUSSIAN

    @cached_property
    def keys(self) -> Keys:
        """The points, prepared once for many calls."""
        return Keys(self.points)

    def __call__(self, z: Tensor, sigma: float, /) -> Pull:
        """The kernel's sums over all points."""
        return self._answer(z, sigma, False)

    def without_own(self, z: Tensor, sigma: float) -> Pull:
        """The same where query i does not see point i."""
        return self._answer(z, sigma, True)

    def _answer(self, z: Tensor, sigma: float, one_out: bool) -> Pull:
        pull, log_mean, ess = self.kernel.sums(z, self.keys, sigma, leave_one_out=one_out)
        if isinstance(self.kernel, Gaussian):
            log_mean = log_mean - z.shape[1] / 2 * math.log(2 * math.pi * sigma**2)
        return Pull(pull, log_mean, ess)


@dataclass(frozen=True, eq=False)
class ScoreSide:
    r"""A score with a process, asked where its noise level is sigma.

    In the natural clock :math:`y = x_t / \alpha_t` carries noise of variance
    :math:`\tau = \sigma_t^2 / \alpha_t^2`, so
    :math:`\nabla \log p_\sigma(y) = \alpha_t\, s(\alpha_t y, t)` at :math:`\tau = \sigma^2`.

    Args:
        score: A closed-form or network score; particles are in its data units.
    """

    score: Any

    def __post_init__(self) -> None:
        scaling = getattr(self.score, "scaling", None)
        require(scaling is None or scaling.scale.ndim == 0,
                "a flow smooths all columns alike, so its scores need one scale for all",
                got="a score scaled per column",
                do="scale the particles yourself and drop the score's scaling")  # fmt: skip

    def __call__(self, z: Tensor, sigma: float, /) -> Pull:
        """Denoiser minus the point, and the log density of a closed-form law."""
        scaling = getattr(self.score, "scaling", None)
        unit = 1.0 if scaling is None else float(scaling.scale)
        y = z if scaling is None else scaling.apply(z)
        tau = torch.tensor((sigma / unit) ** 2, dtype=torch.float64, device=z.device)
        process = self.score.process
        horizon = float(process.noise_to_signal(process.horizon)) ** 0.5 * unit
        require(sigma <= horizon * (1 + 1e-9), "the score's process must reach the bandwidth",
                got=f"sigma={sigma:.4g} where it ends at {horizon:.4g}",
                do="a smaller sigma_max, or a process with a later horizon")  # fmt: skip
        t = process.time_at(tau)
        alpha = float(process.alpha(t))
        x = (alpha * y).reshape(-1, *self.score.shape)
        if hasattr(self.score, "denoise"):
            pull = self.score.denoise(x, t).reshape(z.shape) - y
        else:
            pull = float(tau) * alpha * self.score(x, t).reshape(z.shape)
        log_density = None
        if hasattr(self.score, "log_prob"):
            d = z.shape[1]
            log_density = self.score.log_prob(x, t) + d * math.log(alpha / unit)
        return Pull(unit * pull, log_density)


@dataclass(frozen=True, eq=False)
class PlainSide:
    """A gradient of a log density as it is, ``(b, d)`` to ``(b, d)``: nothing smooths it."""

    gradient: Callable[[Tensor], Tensor]

    def __call__(self, z: Tensor, sigma: float, /) -> Pull:
        """The gradient in units of the width: sigma sets the time step only."""
        found = self.gradient(z)
        require(found.shape == z.shape, "a score must give one gradient per particle",
                got=tuple(found.shape))  # fmt: skip
        return Pull(sigma**2 * found)


def normal_side(x: Tensor) -> PlainSide:
    r"""The score :math:`S^{-1}(m - z)` of the Gaussian with the particles' own moments.

    A flow between Gaussians with this on the source side is exact for any number of particles.

    Args:
        x: Particles ``(n, d)``, more than ``d``.
    """
    n, d = x.shape
    require(n > d, f"moments in {d} dimensions need {d + 1} particles", got=n)
    mean = x.mean(0)
    precision = torch.linalg.inv((x - mean).mT @ (x - mean) / n)
    return PlainSide(lambda z: (mean - z) @ precision)


def as_side(target: Any, like: Tensor, kernel: Kernel) -> Side:
    """A side from points, from a score with a process, or from a plain gradient.

    Args:
        target: Points ``(m, *shape)``; a score; a callable ``x -> grad log p(x)``; or a side.
        like: The particles ``(n, d)``.
        kernel: What smooths points.

    Raises:
        InputError: For points of another dimension or that are not finite, or for a score beside
            a kernel that is not Gaussian: their proxies would differ.
    """
    if isinstance(target, CloudSide | ScoreSide | PlainSide):
        return target
    if hasattr(target, "process"):
        require(isinstance(kernel, Gaussian), "a score is smoothed by a Gaussian, so the kernel"
                " of the other side must be one", got=type(kernel).__name__)  # fmt: skip
        return ScoreSide(target)
    if callable(target) and not isinstance(target, Tensor):
        return PlainSide(target)
    points = as_points(target, "target").flatten(1).to(like)
    if points.shape[1] != like.shape[1]:
        raise InputError(explain("source and target must have the same dimension",
                                 got=f"{like.shape[1]} and {points.shape[1]}",
                                 do="use the same columns"))  # fmt: skip
    return CloudSide(points, kernel)
