"""Small clouds, and a dense reference for everything that a kernel and a cloud can say."""

import torch

from wasserscore.core.random import Streams
from wasserscore.flow.difference import ScoreDifference
from wasserscore.flow.sides import CloudSide

STREAMS = Streams(0)


def draw(n: int, d: int = 2, *, seed: int = 0, scale: float = 1.0, shift: float = 0.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, d, generator=generator, dtype=torch.float64) + shift


def log_mean_kernel(z, y, profile, sigma, *, mask=None):
    """Log of the mean kernel value by the full matrix, differentiable in ``z``."""
    v = (z[:, None] - y).square().sum(2) / sigma**2
    logs = profile(v)
    count = torch.tensor(float(len(y)), dtype=torch.float64)
    if mask is not None:
        logs, count = logs.masked_fill(mask, -torch.inf), count - 1
    return logs.logsumexp(1) - count.log()


def score_of(z, log_density):
    """The gradient of a log density by automatic differentiation."""
    z = z.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(log_density(z).sum(), z)
    return gradient


def difference(x, y, sigma, rule="keep", **settings):
    """The drift's displacement, sigma^2 times the score difference."""
    drift = ScoreDifference(self_interaction=rule, **settings)
    return drift(x, CloudSide(y, drift.kernel), sigma, STREAMS).move
