r"""A sampler's steps as a process in continuous time: between two points, the data is frozen.

In the natural clock :math:`y = x/\alpha,\ \tau = \sigma^2/\alpha^2` take the reverse law at noise
level :math:`\eta`, :math:`w = (1 + \eta^2)/2`, with its predicted data held at some D over a step:

.. math:: dy = w\,\frac{D - y}{\tau}\,d\bar\tau + \eta\,dB
          \;\Rightarrow\; y_s = D + \rho^w (y_t - D)
          + \bigl(\tau_s (1 - \rho^{\eta^2})\bigr)^{1/2} z, \qquad \rho = \tau_s / \tau_t .

A step of a sampler *is* this process if its noise has this size: D is then read off from the two
points. That holds for every deterministic sampler, whatever its order and memory, and for those
with one evaluation and this noise (``dpmpp_1s`` at every eta, ``ddim`` and ``ancestral`` at 1). So
the theorem's inequalities apply to the sampler as it is, not to its limit of many steps.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from wasserscore.certificate.coupling import Coupling
from wasserscore.sampling import Sampler

SAME = 1e-6
"""Relative difference of two noise sizes that are the same."""


class Frozen(NamedTuple):
    """One step of many paths, natural clock, flat points (n, d)."""

    k: int
    upper: float
    lower: float
    """The clock's variance at the step's beginning and end."""
    y: Tensor
    """Where it begins."""
    data: Tensor
    """The data it is frozen at."""


def freezes(coupling: Coupling) -> bool:
    """Whether the sampler's steps are those of a process with frozen data."""
    solver, process, eta = coupling.solver, coupling.reference.process, coupling.eta
    if eta == 0:
        return solver.noises == 1
    if solver.coefficients is None:
        return False
    t, s = coupling.grid.times[:-1], coupling.grid.times[1:]
    ratio = process.noise_to_signal(s) / process.noise_to_signal(t)
    noise = process.variance(s) * (1 - ratio ** (eta**2))
    rounding = 1e-14 * float(noise.max())
    found = solver.coefficients(process, t, s, eta).n
    return torch.allclose(found, noise, rtol=SAME, atol=rounding)


@torch.no_grad()
def frozen_steps(coupling: Coupling, n: int) -> Iterator[Frozen]:
    """The sampler's run, step by step, with the data every step is frozen at.

    Args:
        coupling: The sampler; :func:`freezes` must hold.
        n: Number of paths.
    """
    process, eta = coupling.reference.process, coupling.eta
    starts, noise = coupling.starts(n), coupling.noise(n)
    x = starts.x if coupling.start == "reference" else starts.y
    sampler = Sampler(coupling.score, process, coupling.solver, coupling.grid, eta)
    advance = sampler.stepper()
    for k, t, s in coupling.grid.pairs():
        z = noise(k) if eta > 0 else None
        after = advance(k, x, z)
        upper, lower = (float(process.noise_to_signal(u)) for u in (t, s))
        y, end = (a.flatten(1) / float(process.alpha(u)) for a, u in ((x, t), (after, s)))
        kept, size = _step(upper, lower, eta)
        if z is not None:
            end = end - size * z.flatten(1)
        yield Frozen(k, upper, lower, y, (end - kept * y) / (1 - kept))
        x = after


def within(step: Frozen, eta: float, tau: Tensor, noise: Tensor) -> Tensor:
    """Points of the process inside a step, one time for each, given where it begins.

    Args:
        step: The step.
        eta: Noise level.
        tau: Where, between the step's two variances, shape (n,).
        noise: Standard normal like the points, independent of the step's own.
    """
    ratio = (tau / step.upper)[:, None]
    kept = ratio ** ((1 + eta**2) / 2)
    size = (tau[:, None] * (1 - ratio ** (eta**2))).clamp_min(0).sqrt() if eta > 0 else 0.0
    return step.data + kept * (step.y - step.data) + size * noise


def _step(upper: float, lower: float, eta: float) -> tuple[float, float]:
    """What a whole step keeps of its first point, and the size of its noise."""
    ratio = lower / upper
    return ratio ** ((1 + eta**2) / 2), math.sqrt(max(lower * (1 - ratio ** (eta**2)), 0.0))
