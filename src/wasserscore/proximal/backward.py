r"""Sampling without noise from an unnormalised density, by the backward proximal step.

The target is :math:`\pi \propto e^{-V / \gamma}`. Langevin dynamics and the flow
:math:`\dot y = -\nabla V - \gamma \nabla \log \rho` have the same marginals; the flow needs the
score of its own particles. Taking it at the regularised Wasserstein proximal of their law, a time
T ahead, makes it explicit and the step implicit: particles stay spread out, nothing is random.

.. math:: \nabla \log \rho_T(x) = -\frac{1}{2\gamma} \Bigl[ \nabla V(x)
          + \sum_m w_m(x) \frac{x - y_m}{T} \Bigr], \qquad
          w_m(x) \propto \frac{1}{Z_m}\, e^{-|x - y_m|^2 / 4 \gamma T}, \qquad
          Z_m = E\, e^{-V(y_m + \sqrt{2 \gamma T}\, z) / 2 \gamma} .

The fixed point is not the target but close to it: for :math:`V = |x|^2 / 2` its variance is
:math:`\gamma (1 - T^2)`.

With a metric A, noise has covariance proportional to A and distances are
:math:`(x - y)^T A^{-1} (x - y)`: the same in coordinates :math:`A^{-1/2} x`. A potential that is
steep in one direction and flat in another then takes steps that suit both; for
:math:`V = x^2 / 2 s` and A = a the variance is :math:`\gamma s (1 - (a T / s)^2)`.

Source: :cite:p:`tan2024noise` (the step); :cite:p:`li2023` (the kernel).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.modes import gradients
from wasserscore.core.random import Streams
from wasserscore.core.tensors import as_points, tiles
from wasserscore.core.typing import Cloud, Matrix, PerPoint
from wasserscore.kernel import softmax_mean
from wasserscore.kernel.keys import Queries

Potential = Callable[[Tensor], Tensor]
"""V: points ``(n, d)`` to numbers ``(n,)``, differentiable by autograd."""
AT_ONCE = 2**16
"""Points at which the potential is asked in one call."""


@dataclass(frozen=True)
class BackwardProximal:
    r"""Particles that move to :math:`e^{-V / \gamma}` without noise.

    Args:
        potential: V, ``(n, d)`` to ``(n,)``, differentiable.
        time: T, how far ahead the particles' law is taken; the bias is of the order of its square
            (in units of 1 over the curvature of V), and shorter needs more particles.
        step: Step size of the particles, at most about T.
        gamma: The temperature.
        draws: Points behind every normaliser Z, in antithetic pairs, the same for all particles.
        seed: Of those points.
        metric: A, symmetric positive ``(d, d)``: a guess of the target's covariance; None for
            the identity.

    Raises:
        InputError: If a number is not positive, ``draws`` is odd, or the metric is no metric.
    """

    potential: Potential
    time: float
    step: float
    gamma: float = 1.0
    draws: int = 64
    seed: int = 0
    metric: Matrix | None = None

    def __post_init__(self) -> None:
        for name in ("time", "step", "gamma", "draws"):
            value = getattr(self, name)
            require(math.isfinite(value) and value > 0, f"{name} must be positive", got=value)
        require(self.draws % 2 == 0, "draws come in pairs", got=self.draws, do="an even number")
        if self.metric is not None:
            a = self.metric
            good = bool(torch.isfinite(a).all()) and float((a - a.mT).abs().max()) <= (
                1e-6 * float(a.abs().max()))  # fmt: skip
            require(good and float(torch.linalg.eigvalsh(a).min()) > 0,
                    "metric must be symmetric and positive", got=a.tolist())  # fmt: skip

    def run(
        self, start: Tensor, steps: int, callback: Callable[[int, Cloud], object] | None = None
    ) -> Cloud:
        """Particles after ``steps`` steps.

        Args:
            start: ``(n, d)``, at least two different rows.
            steps: How many.
            callback: Called with the number of the step and the particles after it.

        Raises:
            InputError: If the particles leave the finite numbers: the step is too long.
        """
        y = as_points(start, minimum=2)
        if self.metric is not None:
            flat, root = self._flat(y)
            told = None if callback is None else (lambda k, u: callback(k, u @ root.mT))
            return flat.run(_solved(root, y), steps, told) @ root.mT
        for k in range(steps):
            force, score = self._forces(y, y)
            y = y - self.step * (force + self.gamma * score)
            energy = self._values(y)
            require(bool(torch.isfinite(energy).all()), "the potential must stay finite",
                    got=f"infinities in step {k + 1}", do="a shorter step")  # fmt: skip
            if callback is not None:
                callback(k + 1, y)
        return y

    def score(self, x: Queries, particles: Cloud) -> Queries:
        r""":math:`\nabla \log \rho_T` at ``x`` for particles with the law :math:`\rho_0`."""
        if self.metric is not None:
            flat, root = self._flat(x)
            inner = flat.score(_solved(root, x), _solved(root, particles))
            back: Queries = torch.linalg.solve_triangular(root.mT, inner.mT, upper=True).mT
            return back
        return self._forces(x, particles)[1]

    def _flat(self, like: Tensor) -> tuple["BackwardProximal", Matrix]:
        """The same in coordinates where the metric is the identity, and its Cholesky factor."""
        assert self.metric is not None
        root = torch.linalg.cholesky(self.metric.to(like))
        return replace(self, metric=None, potential=lambda u: self.potential(u @ root.mT)), root

    def _forces(self, x: Queries, particles: Cloud) -> tuple[Queries, Queries]:
        width = math.sqrt(2 * self.gamma * self.time)
        mean = softmax_mean(x, particles, width, log_weights=-self.log_normaliser(particles)).mean
        force = self._gradient(x)
        return force, -(force + (x - mean) / self.time) / (2 * self.gamma)

    def log_normaliser(self, particles: Cloud) -> PerPoint:
        """Log Z of every particle, by Monte Carlo over the same draws for all."""
        half = Streams(self.seed).normal(
            "normaliser", 0, self.draws // 2, tuple(particles.shape[1:]), particles
        )
        z = math.sqrt(2 * self.gamma * self.time) * torch.cat([half, -half])
        parts = []
        with torch.no_grad():
            for rows in tiles(len(particles), max(1, AT_ONCE // self.draws)):
                around = (particles[rows, None] + z).flatten(0, 1)
                values = self._values(around).reshape(-1, self.draws)
                parts.append((-values / (2 * self.gamma)).logsumexp(1) - math.log(self.draws))
        return torch.cat(parts)

    def _gradient(self, x: Cloud) -> Cloud:
        parts = []
        for rows in tiles(len(x), AT_ONCE):
            with gradients("a proximal step"):
                point = x[rows].detach().requires_grad_()
                (slope,) = torch.autograd.grad(self._values(point).sum(), point)
            parts.append(slope)
        return torch.cat(parts)

    def _values(self, x: Tensor) -> Tensor:
        values = self.potential(x)
        require(values.shape == x.shape[:1], "the potential must give one number per point",
                got=tuple(values.shape))  # fmt: skip
        return values


def _solved(root: Matrix, x: Cloud) -> Cloud:
    """Rows in coordinates where the metric is the identity."""
    solved: Cloud = torch.linalg.solve_triangular(root, x.mT, upper=False).mT
    return solved
