r"""The convergence theorem for scheme (2.7): W2(samples, data) <= start + steps + score.

.. math:: W_2(\mathcal L(y_K), p_0) \le E_0 + E_1 + E_2

With :math:`\eta = T/K`, :math:`u_k` the grid, :math:`F_k, G_k` the integrals of f and g^2 over
step k, and :math:`\Lambda` the contraction of :mod:`wasserscore.certificate.concavity`,

.. math::
    E_0 &= e^{-\Lambda(S_T)} \|x_0\| \\
    \gamma_k &= 1 - \int_k \mu + M_1 \eta G_k, \qquad
        \mu = g^2 a - f - \eta f^2 - \eta g^4 L^2 \\
    h_k &= c_1 \int_k (f + g^2 L) + c_2 F_k + \sqrt{d\,G_k} \\
    E_1 &= \sum_k \Bigl(\prod_{j > k} \gamma_j\Bigr) \Bigl[ M_1 \eta (1 + c + c_2) G_k
        + \sqrt\eta\, h_k \Bigl(\int_k (f + g^2 L)^2\Bigr)^{1/2} \Bigr] \\
    E_2 &= \sum_k \Bigl(\prod_{j > k} \gamma_j\Bigr) M\,G_k

where c is the larger of ||x_0|| and c_1 (the paper prints ||x_0||, which needs m(t) >= 0).

Source: :cite:p:`gao2025`, Theorem 2, (3.9)-(3.18); misprints are not copied, see the docs.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wasserscore.certificate.base import Assumption
from wasserscore.certificate.concavity import Concavity, Smoothed
from wasserscore.core.errors import require
from wasserscore.core.results import Record
from wasserscore.core.typing import Vector
from wasserscore.process import Process

NODES = 8
BLOCK = 2**16
"""Steps integrated at once: memory stays bounded for millions of them."""
_X, _W = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(NODES))
A4 = "A4: the step is small enough for contraction"


@dataclass(frozen=True)
class DataLaw(Record):
    """What the theorem is told about the data.

    Args:
        concavity: Hessian bounds.
        dim: Dimension d.
        rms: Root-mean-square norm ``E(|x_0|^2)^(1/2)``; centre the data to make it small.
        time_lipschitz: M1 of assumption A2: the score moves by at most ``M1 eta (1 + |x|)`` in a
            step. Exact for Gaussians by :func:`gaussian_time_lipschitz`; otherwise an input.
        score_error: M of assumption A3: L2 score error along the generated path.
    """

    concavity: Concavity
    dim: int
    rms: float
    time_lipschitz: float
    score_error: float = 0.0


@dataclass(frozen=True)
class ConvergenceBound(Record):
    """The three terms, their sum, and whether the theorem applies.

    Args:
        start: E0, what the prior leaves.
        steps: E1, what the finite steps leave.
        score: E2, what the score error leaves.
        step: The step size eta.
        step_limit: The largest eta that assumption A4 allows (0 where no step is small enough).
        assumptions: A1-A4 by name and status.
    """

    start: float
    steps: float
    score: float
    step: float
    step_limit: float
    assumptions: tuple[Assumption, ...]

    @property
    def valid(self) -> bool:
        """Whether no assumption is violated; without A4 the sum is not a bound."""
        return all(a.status != "violated" for a in self.assumptions)

    @property
    def total(self) -> float:
        """E0 + E1 + E2, or infinity where the theorem does not apply."""
        return self.start + self.steps + self.score if self.valid else math.inf


@dataclass(frozen=True)
class Path:
    """The process's coefficients with the law's constants, at given times.

    Args:
        process: The forward process.
        law: The data law.
        share: How much of the score the sampler applies: 1 for the reverse SDE, 1/2 for the
            probability flow.
    """

    process: Process
    law: DataLaw
    share: float = 1.0

    def a(self, t: Tensor) -> Tensor:
        """Concavity of the noised log density."""
        a = self.law.concavity.concavity(self.process.noise_to_signal(t))
        return torch.exp(2 * self.process.integrated_f(t)) * a

    def smoothness(self, t: Tensor) -> Tensor:
        """Lipschitz constant of the noised score."""
        smooth = self.law.concavity.smoothness(self.process.noise_to_signal(t))
        return torch.exp(2 * self.process.integrated_f(t)) * smooth

    def log_weight(self, t: Tensor) -> Tensor:
        """Log of w = exp(H - contraction): how much an error made at t is worth at the end."""
        p = self.process
        contraction = self.law.concavity.contraction(p.noise_to_signal(t))
        return p.integrated_f(t) - self.share * contraction

    def start(self) -> float:
        """E0 = exp(-contraction(S_T)) ||x_0||, data units."""
        ratio = self.process.noise_to_signal(self.process.horizon)
        return self.law.rms * math.exp(-self.share * float(self.law.concavity.contraction(ratio)))

    def c1(self, t: Tensor) -> float:
        """(3.12): sup over u of exp(-int_u^T (g^2 a - f)) e^{-H(T)} ||x_0||, t running to T."""
        log_w = self.log_weight(t)
        end = log_w[-1] - float(self.process.integrated_f(t[-1]))
        return self.law.rms * math.exp(float((end - log_w).max()))

    def c2(self, t: Tensor) -> float:
        """(3.13): the largest root-mean-square norm of x_t."""
        p = self.process
        square = p.alpha(t) ** 2 * self.law.rms**2 + self.law.dim * p.variance(t)
        return float(square.max().sqrt())


def convergence_bound(process: Process, law: DataLaw, steps: int) -> ConvergenceBound:
    """The theorem for ``steps`` uniform steps of scheme (2.7) on [0, horizon].

    Args:
        process: The forward process; its prior is N(0, sigma(T)^2 I).
        law: What is known of the data.
        steps: K, at least 1.

    Raises:
        InputError: If ``steps`` is not positive.
    """
    require(steps >= 1, "steps must be at least 1", got=steps)
    path, horizon = Path(process, law), process.horizon
    eta = horizon / steps
    edges = torch.linspace(0, horizon, steps + 1, dtype=torch.float64)
    integrals = [_step_integrals(path, low, eta) for low in edges[:-1].split(BLOCK)]
    mu, speed, square = (torch.cat(parts) for parts in zip(*integrals, strict=True))
    big_f, big_g = process.integrated_f(edges).diff(), process.integrated_g2(edges).diff()
    m1, c1, c2 = law.time_lipschitz, path.c1(edges), path.c2(edges)
    gamma = 1 - mu + m1 * eta * big_g
    h = c1 * speed + c2 * big_f + (law.dim * big_g).sqrt()
    drift = m1 * eta * (1 + max(law.rms, c1) + c2) * big_g
    local = drift + math.sqrt(eta) * h * square.sqrt()
    # steps are stored from the data up, so the later steps of the sampler come first
    log_later = torch.cumsum(gamma.clamp_min(1e-300).log(), 0) - gamma.clamp_min(1e-300).log()
    worth = torch.exp(log_later)
    limit = step_limit(process, law)
    return ConvergenceBound(
        start=path.start(),
        steps=float((worth * local).sum()),
        score=float((worth * law.score_error * big_g).sum()),
        step=eta,
        step_limit=limit,
        assumptions=_assumptions(law, eta, limit),
    )


def _step_integrals(path: Path, low: Tensor, eta: float) -> tuple[Tensor, Tensor, Tensor]:
    """Integrals of mu, f + g^2 L and its square over the steps that end at ``low``."""
    t = low[:, None] + eta / 2 * (1 + _X)
    f, g2, a, smooth = path.process.f(t), path.process.g2(t), path.a(t), path.smoothness(t)
    mu = g2 * a - f - eta * f**2 - eta * (g2 * smooth) ** 2
    speed = f + g2 * smooth
    weights = eta / 2 * _W
    return (mu * weights).sum(1), (speed * weights).sum(1), (speed**2 * weights).sum(1)


def step_limit(process: Process, law: DataLaw, points: int = 4001) -> float:
    r"""The largest step that assumption A4 allows, 0 where there is none.

    .. math:: \eta \le \min_t \frac{g^2 a - f}{f^2 + g^4 L^2 + M_1 g^2}, \qquad
              \eta \le \min_t \frac{1}{g^2 a - f}

    Both are divided by g^2 where g^2 = 0 at t = 0 and f = 0, where the first becomes
    a / (g^2 L^2 + M_1). For a smoothed bounded law only the second is asked, where it is positive.

    Source: :cite:p:`gao2025`, (3.4), (3.5).
    """
    path = Path(process, law)
    # quadratic spacing looks closely at the data end, where the first condition is tightest
    t = process.horizon * torch.linspace(0, 1, points, dtype=torch.float64) ** 2
    f, g2, a, smooth = process.f(t), process.g2(t), path.a(t), path.smoothness(t)
    rate = g2 * a - f
    second = torch.where(rate > 0, 1 / rate, torch.inf).min()
    if isinstance(law.concavity, Smoothed):
        return float(second)
    m1 = law.time_lipschitz
    ve_form = a / (g2 * smooth**2 + m1)
    first = torch.where(f > 0, rate / (f**2 + (g2 * smooth) ** 2 + m1 * g2), ve_form).min()
    return max(0.0, min(float(first), float(second)))


def gaussian_time_lipschitz(
    process: Process, mean: Vector, eigenvalues: Vector, points: int = 4001
) -> float:
    r"""M1 of assumption A2 for Gaussian data, exact up to the grid of times.

    .. math:: M_1 = \sup_t \max\Bigl\{ \max_i |v_i'| / v_i^2,\ \|(\alpha\mu/v)'\| \Bigr\},
              \qquad v_i = \alpha^2 l_i + \sigma^2, \quad v_i' = g^2 - 2 f v_i

    Source: our derivation from A2 of :cite:p:`gao2025`.
    """
    t = process.horizon * torch.linspace(0, 1, points, dtype=torch.float64) ** 2
    f, g2 = process.f(t)[:, None], process.g2(t)[:, None]
    alpha = process.alpha(t)[:, None]
    v = alpha**2 * eigenvalues + process.variance(t)[:, None]
    slope = g2 - 2 * f * v
    shift = alpha * mean * (-f / v - slope / v**2)
    return float(torch.maximum((slope.abs() / v**2).amax(1), shift.norm(dim=1)).max())


def _assumptions(law: DataLaw, eta: float, limit: float) -> tuple[Assumption, ...]:
    status = "checked" if eta <= limit else "violated"
    smoothed = isinstance(law.concavity, Smoothed)
    shape = "bounded support, then smoothed" if smoothed else "A1: strongly log-concave and smooth"
    return (
        Assumption(shape, "assumed", repr(law.concavity)),
        Assumption("A2: score Lipschitz in time", "assumed", f"M1 = {law.time_lipschitz:.3g}"),
        Assumption("A3: score error along the path", "assumed", f"M = {law.score_error:.3g}"),
        Assumption(A4, status, f"step {eta:.3g}, limit {limit:.3g}"),
    )
