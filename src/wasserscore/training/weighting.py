r"""Where along the noise to train, and what each place counts.

Denoising score matching minimises

.. math:: J_{DSM}(\lambda) = \tfrac12 \int \lambda(t)\,
          E\,\|\nabla \log p_{0t}(x_t | x_0) - s(x_t, t)\|^2\, dt.

A Gaussian kernel turns the norm into :math:`\|D - x_0\|^2 / (\alpha_t r^2)^2` with the denoiser
``D`` and :math:`r = \sigma_t / \alpha_t`; and :math:`d(r^2) = g^2 \alpha_t^{-2}\, dt`, so

.. math:: J_{DSM}(\lambda) = \int \frac{\lambda}{g^2}\, \frac{E\,\|D - x_0\|^2}{r^2}\, d\ln r .

Likelihood weighting (:math:`\lambda = g^2`) does not see the process at all. A weighting here is
a callable that turns uniform numbers into noise-to-signal ratios ``r`` and weights ``w`` such
that :math:`E[w \|D - x_0\|^2]` is its objective, without bias.

Source: :cite:`song2021` eq. (7) and Theorem 1 for the objective; :cite:`karras2022` Table 1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.typing import PerPoint
from wasserscore.process.base import Process
from wasserscore.training.bound import Bound
from wasserscore.training.levels import Levels, Weighting, ends

SMALLEST = 1e-4
"""Lowest r / data_std that a log-normal may draw, eight deviations below its centre."""


@dataclass(frozen=True)
class LogNormal:
    r"""EDM's noise levels and weight: :math:`\ln(r / s) \sim N(mean, std^2)`, ``s`` the data's.

    .. math:: w(r) = \frac{r^2 + s^2}{(r s)^2}

    gives every level the same expected loss at the start, and for Gaussian data of that ``s``
    the loss at the optimum is exactly 1 per coordinate at every level. Levels beyond the process's
    horizon are cut from the law.

    Source: :cite:`karras2022` Table 1, whose :math:`P_{mean} = -1.2` at s = 1/2 is our -0.5.

    Args:
        mean: Centre of ``ln(r / data_std)``.
        std: Its standard deviation, positive.
    """

    mean: float = -0.5
    std: float = 1.2

    def __post_init__(self) -> None:
        require(self.std > 0, "std of a log-normal weighting must be positive", got=self.std)

    def __call__(self, process: Process, data_std: float, uniform: PerPoint) -> Levels:
        """Noise levels by the inverse CDF."""
        levels = torch.tensor(ends(process, data_std, SMALLEST), dtype=torch.float64) / data_std
        low, high = torch.special.ndtr((levels.log() - self.mean) / self.std).tolist()
        normal = torch.special.ndtri(low + (high - low) * uniform)
        r = data_std * torch.exp(self.mean + self.std * normal)
        return Levels(r, (r * r + data_std**2) / (r * data_std).square())

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {"weighting": "edm", "mean": self.mean, "std": self.std}


@dataclass(frozen=True)
class ScoreMatching:
    r""":math:`J_{DSM}` with a weight :math:`\lambda(t)` of one's choice, ``ln r`` uniform.

    .. math:: w(r) = \frac{\lambda(t)}{g^2(t)\, r^2} \ln\frac{r_{max}}{r_{min}}

    Assumes: the integral stops at ``r_min``; below it, with likelihood weighting, the objective
    of any bounded network is infinite.

    Args:
        lam: The weight as a function of forward time; None for :math:`g^2` (likelihood).
        name: Tells it from other weights when a run is resumed.
        smallest: ``r_min / data_std``; the upper end is the process's horizon.
    """

    lam: Callable[[Tensor], Tensor] | None = None
    name: str = "likelihood"
    smallest: float = 4e-3

    def __call__(self, process: Process, data_std: float, uniform: PerPoint) -> Levels:
        """Noise levels evenly in the logarithm."""
        low, high = ends(process, data_std, self.smallest)
        span = math.log(high / low)
        r = low * torch.exp(span * uniform)
        weight = span / r.square()
        if self.lam is not None:
            t = process.time_at(r.square())
            weight = weight * self.lam(t) / process.g2(t)
        return Levels(r, weight)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types; a function is known by its ``name`` only."""
        return {"weighting": self.name, "smallest": self.smallest}


@dataclass(frozen=True)
class MinSNR:
    r"""Time uniform, and the signal-to-noise ratio as a weight that stops growing at ``gamma``.

    .. math:: w(r) = \min(s^2 / r^2, \gamma) / s^2

    with the data's ``s``: the error of :math:`x_0 / s`, weighted by its ratio where that is small
    (the loss of the predicted noise) and by ``gamma`` where it is large.

    Source: Hang et al., "Efficient diffusion training via min-SNR weighting strategy" (ICCV 2023),
    section 3.4.

    Args:
        gamma: Largest weight, positive.
        earliest: First time, as a share of the horizon: at time zero a network has no level.
    """

    gamma: float = 5.0
    earliest: float = 1e-5

    def __post_init__(self) -> None:
        require(self.gamma > 0, "gamma of min-SNR must be positive", got=self.gamma)
        require(0 < self.earliest < 1, "earliest must lie strictly between 0 and 1",
                got=self.earliest)  # fmt: skip

    def __call__(self, process: Process, data_std: float, uniform: PerPoint) -> Levels:
        """Noise levels of uniform times."""
        share = self.earliest + (1 - self.earliest) * uniform
        r2 = process.noise_to_signal(process.horizon * share)
        return Levels(r2.sqrt(), (data_std**2 / r2).clamp_max(self.gamma) / data_std**2)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {"weighting": "min_snr", "gamma": self.gamma, "earliest": self.earliest}


def weighting_named(weighting: str | Weighting) -> Weighting:
    """A weighting from its name; a weighting itself passes through.

    Raises:
        InputError: For an unknown name.
    """
    if not isinstance(weighting, str):
        require(hasattr(weighting, "to_dict"), "weighting must be a name or a weighting object",
                got=repr(weighting))  # fmt: skip
        return weighting
    known: dict[str, Weighting] = {
        "certificate": Bound(),
        "edm": LogNormal(),
        "likelihood": ScoreMatching(),
        "min_snr": MinSNR(),
        "uniform": ScoreMatching(torch.ones_like, "uniform"),
    }
    require(
        weighting in known,
        f"weighting must be one of {sorted(known)} or a weighting object",
        got=repr(weighting),
    )
    return known[weighting]


def stratified(n: int, generator: torch.Generator) -> Float[Tensor, " n"]:
    """``n`` uniforms, one in each interval ``[i/n, (i+1)/n)``, in random order, float64.

    Each one alone is uniform, so averages stay unbiased; together they cover the noise levels
    evenly, which takes most of the variance between batches away.
    """
    where = torch.randperm(n, generator=generator)
    return (where + torch.rand(n, generator=generator, dtype=torch.float64)) / n
