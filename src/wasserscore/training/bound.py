r"""The weight that the certificate's bound asks for: errors count as much as they expand.

With :math:`k = g^2 (1 + \eta^2)/2` and the growth :math:`\log I = \int_0^t (f + k L)`,

.. math:: W_2 \le \int k\,I \sqrt b\,dt \le \sqrt{2 K_\lambda J_\lambda}, \qquad
          K_\lambda = \int k^2 I^2 / \lambda\,dt,

with equality for :math:`\lambda = k I / \sqrt b`. Before training neither I nor b is known, but
both are for a Gaussian of the data's variance :math:`s^2` in every direction, with an error that
is everywhere the same share of what no network can know (:math:`h = (1 + \eta^2)/2`,
:math:`r = \sigma_t / \alpha_t`):

.. math:: I = \frac1{\alpha_t} \Bigl(\frac{s^2}{s^2 + r^2}\Bigr)^h, \qquad
          b \propto c = \frac{s^2}{\alpha_t^2 r^2 (s^2 + r^2)} .

For the reverse SDE this is EDM's weight :math:`(r^2 + s^2)/(r s)^2`, with levels such that
:math:`r / \sqrt{r^2 + s^2}` is uniform: :math:`\ln (r / s)` has mean :math:`-\ln 2 = -0.69` and
deviation :math:`\pi / \sqrt 6 = 1.28`, where EDM's log-normal has -0.5 and 1.2. For the
probability flow the angle :math:`\arctan(r / s)` is uniform.

Source: :cite:p:`kwon2022`, Theorem 1 and its remark on other weights, which enter as
:math:`k^2 / \lambda`; docs/theory/training.md.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.typing import PerPoint, Vector
from wasserscore.process.base import Process
from wasserscore.training.levels import Levels, ends

CELLS = 2**9
"""Intervals of ln r in each of which levels are drawn evenly."""
ERRORS = ("residual", "flat")


@dataclass(frozen=True)
class Bound:
    r""":math:`\lambda = k I / \sqrt b` for a Gaussian of the data's size; no pilot needed.

    Args:
        eta: Noise level of the sampler that the bound is for: 1 the reverse SDE, 0 the flow.
        error: ``"residual"`` (b in proportion to c) or ``"flat"`` (b the same at all times, so
            that the weight is :math:`k I`).
        smallest: Least noise-to-signal ratio over ``data_std``; the other end is the horizon's.
    """

    eta: float = 1.0
    error: str = "residual"
    smallest: float = 4e-3

    def __post_init__(self) -> None:
        require(self.eta >= 0, "eta must not be negative", got=self.eta)
        require(self.error in ERRORS, f"error must be one of {ERRORS}", got=repr(self.error))

    def log_weight(self, process: Process, data_std: float, r: Tensor) -> Tensor:
        r""":math:`\log(\lambda / g^2)` at noise-to-signal ratios ``r``."""
        h, total = (1 + self.eta**2) / 2, r * r + data_std**2
        log_alpha = process.alpha(process.time_at(r * r)).log()
        log_growth = h * (data_std**2 / total).log() - log_alpha
        found = math.log(h) + log_growth
        if self.error == "residual":
            found = found + log_alpha + r.log() + total.log() / 2 - math.log(data_std)
        return found

    def __call__(self, process: Process, data_std: float, uniform: PerPoint) -> Levels:
        """Noise levels in proportion to what each counts."""
        log = lambda r: self.log_weight(process, data_std, r)
        return spread(log, *ends(process, data_std, self.smallest), data_std, uniform)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {"weighting": "certificate", "eta": self.eta, "error": self.error,
                "smallest": self.smallest}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Tabulated:
    r"""Any :math:`\lambda / g^2` known at some noise levels of *one* process, in logarithms.

    Linear between them in ln r, constant outside.
    :func:`wasserscore.certificate.weight.bound_weight` makes one from a pilot.

    Args:
        r: Noise-to-signal ratios, increasing, shape (m,).
        log_weight: Logarithm of lambda / g^2 there.
        smallest: Least noise-to-signal ratio over ``data_std``; the other end is the horizon's.
    """

    r: Vector
    log_weight: Vector
    smallest: float = 4e-3

    def __post_init__(self) -> None:
        rising = bool((self.r.diff() > 0).all() and self.r[0] > 0)
        require(rising and self.r.shape == self.log_weight.shape and len(self.r) > 1,
                "r must be positive and increasing, with one log_weight each",
                got=f"{tuple(self.r.shape)} and {tuple(self.log_weight.shape)}")  # fmt: skip
        require(bool(torch.isfinite(self.log_weight).all()), "log_weight must be finite",
                got=self.log_weight.tolist()[:4])  # fmt: skip

    def __call__(self, process: Process, data_std: float, uniform: PerPoint) -> Levels:
        """Noise levels in proportion to what each counts."""
        low, high = ends(process, data_std, self.smallest)
        return spread(self._between, low, high, data_std, uniform)

    def _between(self, r: Tensor) -> Tensor:
        known, x = self.r.log(), r.log()
        right = torch.searchsorted(known, x).clamp(1, len(known) - 1)
        low, high = known[right - 1], known[right]
        share = ((x - low) / (high - low)).clamp(0, 1)
        return torch.lerp(self.log_weight[right - 1], self.log_weight[right], share)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types; the table is known by its hash."""
        table = torch.stack([self.r, self.log_weight]).double().contiguous().numpy().tobytes()
        return {"weighting": "tabulated", "table_sha256": hashlib.sha256(table).hexdigest(),
                "smallest": self.smallest}  # fmt: skip


def spread(
    log_weight: Callable[[Tensor], Tensor],
    low: float,
    high: float,
    data_std: float,
    uniform: PerPoint,
) -> Levels:
    r"""Levels for :math:`\int (\lambda / g^2) E\|D - x_0\|^2 / r^2\,d\ln r`, without bias.

    Drawn where the integrand is, for what a Gaussian of the data's size leaves unknown,
    :math:`s^2 r^2 / (s^2 + r^2)` per coordinate, so every draw has about the same expected loss.

    Args:
        log_weight: Logarithm of lambda / g^2 at ratios r.
        low: Smallest ratio.
        high: Largest ratio.
        data_std: s.
        uniform: Numbers of [0, 1).
    """
    edges = torch.linspace(math.log(low), math.log(high), CELLS + 1, dtype=torch.float64)
    width = (edges[-1] - edges[0]) / CELLS
    middle = (edges[:-1] + width / 2).exp()
    unknown = 2 * math.log(data_std) - (middle.square() + data_std**2).log()
    share = torch.softmax(log_weight(middle) + unknown, 0)
    ends = torch.cumsum(share, 0)
    cell = torch.searchsorted(ends, uniform * ends[-1], right=True).clamp_max(CELLS - 1)
    inside = (uniform * ends[-1] - (ends - share)[cell]) / share[cell]
    r = (edges[cell] + width * inside.clamp(0, 1)).exp()
    return Levels(r, (log_weight(r) - 2 * r.log() - (share[cell] / width).log()).exp())
