r"""The discrete chain of the certificate's paper: T steps with sigmoid betas, and its constants.

The experiments of :cite:p:`kwon2022` put sums over ten steps in place of the theorem's integrals,

.. math:: \log I_k = \sum_{j \le k} \beta_j (L_j + \tfrac12), \qquad
          \text{intercept} = \tfrac12 \log\Bigl(2 \sum_k \beta_k I_k^2\Bigr),

so that the line log W = (log J) / 2 + intercept is the bound. The *floor* is what J_DSM of the
exact score is, per coordinate, where J_SM is zero:

.. math:: \tfrac12 \sum_k \beta_k \bigl(1/\sigma_k^2 - E|\nabla \log p_k|^2 / d\bigr).
"""

import math
from dataclasses import dataclass

import torch
from scipy.integrate import quad
from torch import Tensor

from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.continuous import log_weight_integral
from wasserscore.certificate.expansion import Expansion
from wasserscore.process import VP

LOWEST, HIGHEST, ENDS = 1e-5, 1e-2, 6.0

EXACT = (
    ("N(0, .1 I)", 0.0, 0.1),
    ("clusters, variance .01", 0.5, 0.01),
    ("clusters, sd 1/80", 0.5, 80.0**-2),
)
"""Name, centre and variance of the laws that are a :func:`pair` in every coordinate."""


@dataclass(frozen=True)
class Chain:
    """A forward chain x_k = sqrt(1 - beta_k) x_(k-1) + sqrt(beta_k) z, shape (T,)."""

    betas: Tensor

    @staticmethod
    def sigmoid(steps: int) -> "Chain":
        """The paper's: a logistic curve from 1e-5 to 1e-2."""
        curve = torch.sigmoid(torch.linspace(-ENDS, ENDS, steps, dtype=torch.float64))
        return Chain(curve * (HIGHEST - LOWEST) + LOWEST)

    @property
    def kept(self) -> Tensor:
        """Alpha squared after each step."""
        return torch.cumprod(1 - self.betas, 0)

    @property
    def variance(self) -> Tensor:
        """Sigma squared after each step."""
        return 1 - self.kept

    @property
    def clock(self) -> Tensor:
        """Times at which a VP process of rate 1 has the same marginals."""
        return -self.kept.log()

    def log_growth(self, one_sided: Tensor) -> Tensor:
        """Log I_k for one-sided constants L_k, shape (T,)."""
        return torch.cumsum(self.betas * (one_sided + 0.5), 0)

    def intercept(self, one_sided: Tensor) -> float:
        """Where the bound's line crosses log J = 0."""
        logs = self.betas.log() + 2 * self.log_growth(one_sided)
        return (math.log(2) + float(torch.logsumexp(logs, 0))) / 2

    def continuous_intercept(self, centre: float, variance: float) -> float:
        """The same for the exact score of :func:`pair` with integrals in place of the sums."""

        def steepest(t: Tensor) -> Tensor:
            kept = (-t).exp()
            width = kept * variance + 1 - kept
            return kept * centre**2 / width**2 - 1 / width

        end = float(self.clock[-1])
        process = VP.constant(beta=1.0, horizon=end)
        constant = OneSided(steepest, "analytic")
        growth = Expansion.along(process, constant, eta=1.0, start=end)
        return (math.log(2) + log_weight_integral(growth)) / 2

    def integral(self, one_sided: Tensor, error: Tensor) -> float:
        """The bound before Cauchy and Schwarz: the sum of beta_k I_k sqrt(b_k)."""
        logs = self.betas.log() + self.log_growth(one_sided) + error.log() / 2
        return float(torch.logsumexp(logs, 0).exp())

    def floor(self, squared_score: Tensor) -> float:
        """J_DSM of the exact score per coordinate, from E|score|^2 per coordinate at each step."""
        return float((self.betas * (1 / self.variance - squared_score)).sum() / 2)


def pair(chain: Chain, centre: float, variance: float) -> tuple[Tensor, Tensor]:
    r"""L_k and E|score|^2 per coordinate for data in every coordinate at +-centre, variance given.

    With m = alpha centre and v = alpha^2 variance + sigma^2 the score is
    :math:`(m \tanh(m x / v) - x)/v`, steepest at 0. A centre of 0 is a Gaussian.
    """
    means = chain.kept.sqrt() * centre
    widths = chain.kept * variance + chain.variance
    squared = [_squared(float(m), float(v)) for m, v in zip(means, widths, strict=True)]
    return means**2 / widths**2 - 1 / widths, torch.tensor(squared, dtype=torch.float64)


def _squared(m: float, v: float) -> float:
    """E|score|^2 of half N(m, v) and half N(-m, v): over one half, by symmetry."""

    def integrand(z: float) -> float:
        x = m + math.sqrt(v) * z
        score = (m * math.tanh(m * x / v) - x) / v
        return score**2 * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    return quad(integrand, -12, 12, epsabs=0, epsrel=1e-11, limit=200)[0]


def rows() -> list[dict[str, object]]:
    """Intercepts and floors that need no training."""
    chain, found = Chain.sigmoid(10), list[dict[str, object]]()
    for value in (-1.0, 0.0, 50.0):
        intercept = chain.intercept(torch.full_like(chain.betas, value))
        found.append({"case": f"L = {value:g}", "intercept": f"{intercept:.6f}",
                      "with integrals": "", "J_DSM floor per coordinate": ""})  # fmt: skip
    for name, centre, variance in EXACT:
        one_sided, squared = pair(chain, centre, variance)
        found.append({
            "case": f"exact score, {name}",
            "intercept": f"{chain.intercept(one_sided):.6f}",
            "with integrals": f"{chain.continuous_intercept(centre, variance):.4f}",
            "J_DSM floor per coordinate": f"{chain.floor(squared):.6f}",
        })  # fmt: skip
    return found
