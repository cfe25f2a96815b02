"""Laws that are known in full: Gaussian mixtures by their parameters, planar shapes by a sampler.

A mixture is ``(weights (k,), means (k, d), covariances (k, d, d))`` in float64, ready for
``MixtureScore(*target, process)``. A shape has no closed-form score; it is what a model is
tried on. Every sampler draws from the generator it is given and from nothing else.
"""

import math

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.typing import Cloud

Mixture = tuple[Tensor, Tensor, Tensor]


def eight_gaussians(*, radius: float = 2.0, std: float = 0.1) -> Mixture:
    """Eight equal isotropic Gaussians on a circle."""
    angle = torch.arange(8, dtype=torch.float64) * (math.pi / 4)
    return isotropic_mixture(radius * torch.stack([angle.cos(), angle.sin()], 1), std)


def twenty_five_gaussians(*, spacing: float = 1.0, std: float = 0.05) -> Mixture:
    """Twenty-five equal isotropic Gaussians on a 5 x 5 grid around the origin."""
    axis = spacing * torch.arange(-2, 3, dtype=torch.float64)
    return isotropic_mixture(torch.cartesian_prod(axis, axis), std)


def isotropic_mixture(means: Cloud, std: float) -> Mixture:
    """Equal weights and covariance ``std^2 I`` around ``means`` of shape ``(k, d)``."""
    require(std > 0, "std must be positive", got=std)
    k, d = means.shape
    eye = torch.eye(d, dtype=means.dtype)
    return means.new_full((k,), 1 / k), means, (std**2 * eye).expand(k, d, d).contiguous()


def sample_mixture(target: Mixture, n: int, *, generator: torch.Generator) -> Cloud:
    """``n`` independent draws from a mixture, shape ``(n, d)``."""
    weights, means, covariances = target
    component = torch.multinomial(weights, n, replacement=True, generator=generator)
    z = torch.randn(n, means.shape[1], generator=generator, dtype=means.dtype)
    factors = torch.linalg.cholesky(covariances)
    return means[component] + torch.einsum("nij,nj->ni", factors[component], z)


def two_moons(n: int, *, noise: float = 0.05, generator: torch.Generator) -> Cloud:
    """Two interleaving half circles of radius one, blurred by ``noise``, shape ``(n, 2)``."""
    angle = math.pi * _uniform(n, generator)
    upper = _uniform(n, generator) < 0.5
    x = torch.where(upper, angle.cos(), 1 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    return _blur(torch.stack([x, y], 1), noise, generator)


def spiral(
    n: int, *, noise: float = 0.02, turns: float = 1.5, generator: torch.Generator
) -> Cloud:
    """Two arms of an Archimedean spiral in the unit disc, shape ``(n, 2)``.

    The radius is the square root of a uniform, so the arms are evenly dense.
    """
    radius = _uniform(n, generator).sqrt()
    arm = torch.where(_uniform(n, generator) < 0.5, 0.0, math.pi)
    angle = 2 * math.pi * turns * radius + arm
    return _blur(radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1), noise, generator)


def swiss_roll(n: int, *, noise: float = 0.02, generator: torch.Generator) -> Cloud:
    """The rolled-up sheet seen from its end: a single spiral, shape ``(n, 2)``, size about one."""
    angle = 1.5 * math.pi * (1 + 2 * _uniform(n, generator))
    curve = torch.stack([angle.cos(), angle.sin()], 1) * (angle / (4.5 * math.pi))[:, None]
    return _blur(curve, noise, generator)


def checkerboard(n: int, *, cells: int = 4, generator: torch.Generator) -> Cloud:
    """Uniform on the dark cells of a board over [-2, 2] x [-2, 2], shape ``(n, 2)``."""
    require(cells >= 2 and cells % 2 == 0, "cells must be even", got=cells)
    row = torch.randint(cells, (n,), generator=generator)
    pair = torch.randint(cells // 2, (n,), generator=generator)
    corner = torch.stack([2 * pair + row % 2, row], 1).to(torch.float64)
    inside = torch.rand(n, 2, generator=generator, dtype=torch.float64)
    return (corner + inside) * (4 / cells) - 2


def _uniform(n: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator, dtype=torch.float64)


def _blur(x: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    return x + noise * torch.randn(x.shape, generator=generator, dtype=x.dtype)
