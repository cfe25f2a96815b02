r"""The theorem's swapped form, for the sampler as it is: the *reference's* constant alone.

Let X be the true reverse process and Y the sampler, on the same noise. Between its points Y is a
process with frozen data D (:mod:`wasserscore.certificate.frozen`), whose score is
:math:`\hat s = (D - y)/\tau` in the natural clock. Splitting the drifts at the reference's score,

.. math:: (X - Y) \cdot (\nabla \log p(X) - \hat s)
          \le L_p |X - Y|^2 + |X - Y|\,|\nabla \log p(Y) - \hat s|,

.. math:: \|X_0 - Y_0\| \le \int I\,w\,\bigl(E |\nabla \log p_\tau(Y_\tau) - \hat s|^2\bigr)^{1/2}
          d\tau + I(T) \|X_T - Y_T\|, \qquad \log I = \int_0 w L_p\,d\tau .

No constant of the network, no limit of many steps: what the grid costs is in the error, because
:math:`\hat s` is what the sampler did. With r the root of the clock's variance and
:math:`E |D_p(Y) - D|^2 = B`, D_p the reference's own prediction, the integral is

.. math:: \int A \sqrt B\,dr \le \Bigl(\int A\,\omega\,dr\Bigr)^{1/2}
          \Bigl(\int A B / \omega\,dr\Bigr)^{1/2}, \qquad A = 2 w I / r,

for any weight; the second factor is the mean of one number per path, drawn at random times within
the steps, so that nothing is assumed of the error in between. A pilot chooses the weight, close
to the best (:math:`\omega = \sqrt B`, equality).

Source: docs/theory/certificate.md; the proof of :cite:p:`kwon2022`, Theorem 1, with the scores
exchanged. Closed bounds on the constant: :mod:`wasserscore.certificate.closed`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.certificate.base import Limit
from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.frozen import freezes, frozen_steps, within
from wasserscore.certificate.offset import start_limit
from wasserscore.certificate.reference import same_units
from wasserscore.certificate.statistics import mean_limit
from wasserscore.certificate.theorem import from_log
from wasserscore.core.errors import require
from wasserscore.core.results import Record
from wasserscore.core.typing import PerPoint, Vector

PILOT = 64
"""Paths of the pilot that chooses the weight."""
PARTS = 64
"""Every step is cut into this many for the growth; between them the constant is the larger one."""


@dataclass(frozen=True)
class SwappedBound(Record):
    r"""The swapped form in numbers, data units, from the start to the grid's stop.

    Args:
        upper: The bound; its kind is "estimated" where the constant is.
        error: The share of the score's and the grid's error.
        offset: The start's share.
        times: The grid, falling.
        log_growth: log I at the grid's times.
        shares: Every step's share of ``error`` according to the pilot, adding up to 1.
    """

    upper: Limit
    error: float
    offset: float
    times: Vector
    log_growth: Vector
    shares: Float[Tensor, " k"]


@torch.no_grad()
def swapped_bound(
    coupling: Coupling,
    constant: OneSided,
    *,
    n: int,
    level: float,
    first: int = 0,
    start: float | None = None,
) -> SwappedBound:
    """The swapped form for a sampler and a constant of the reference's score.

    Assumes: the constant; between the fine nodes it lies below the larger neighbour (monotone).

    Args:
        coupling: The sampler and the reference, in the same units.
        constant: One-sided constant of the *reference's* score, scaled units.
        n: Number of paths.
        level: Level of the limit.
        first: The step at which the bound begins.
        start: Upper limit of the distance there, scaled units; None is that of the two starts.

    Raises:
        InputError: If the constant is not the reference's, the sampler's steps are not those of a
            frozen process, or score and reference live in different units.
    """
    _check(coupling, constant)
    reference, grid = coupling.reference, coupling.grid
    times = grid.times[first:]
    growth = _Growth(coupling, constant, times)
    pilot = replace(coupling, streams=coupling.streams.child("swapped pilot"))
    weights = _weights(pilot)[first:]
    numbers = torch.zeros(n, dtype=torch.float64)
    for k, (values, radius) in enumerate(islice(_errors(coupling, n), first, None)):
        numbers += growth.second(k, values, radius) / weights[k]
    shares = weights * growth.first()
    limit = max(mean_limit(numbers, level), 1e-300)
    log_error = (float(shares.sum().log()) + math.log(limit)) / 2 + growth.most
    start = start_limit(coupling, n, level) if start is None else start
    unit = coupling.unit * float(reference.process.alpha(grid.stop))
    error, offset = unit * from_log(log_error), 0.0
    if start > 0:
        start /= float(reference.process.alpha(times[0]))
        offset = unit * from_log(float(growth.log_growth[0]) + math.log(start))
    kind = "asymptotic" if constant.bounding else "estimated"
    return SwappedBound(
        upper=Limit(error + offset, n=n, level=level, kind=kind),
        error=error,
        offset=offset,
        times=times,
        log_growth=growth.log_growth,
        shares=shares / shares.sum(),
    )


@torch.no_grad()
def swapped_plan(coupling: Coupling, constant: OneSided) -> tuple[Tensor, Tensor]:
    """What a pilot says: the error's share of every step, natural clock, and log I at its times.

    Args:
        coupling: The sampler and the reference, with the pilot's own streams.
        constant: One-sided constant of the reference's score.
    """
    growth = _Growth(coupling, constant, coupling.grid.times)
    errors = _weights(coupling) * growth.first() * math.exp(min(growth.most, 700.0))
    return errors, growth.log_growth


def _weights(coupling: Coupling) -> Vector:
    """Root-mean-square errors of every step, from a few paths."""
    means = torch.stack([values.mean() for values, _ in _errors(coupling, PILOT)])
    return means.sqrt().clamp_min(1e-150)


class _Growth:
    """I on a fine mesh in r: an upper bound, exponential in the clock between the nodes."""

    def __init__(self, coupling: Coupling, constant: OneSided, grid: Vector) -> None:
        process, weight = coupling.reference.process, (1 + coupling.eta**2) / 2
        roots = process.noise_to_signal(grid).sqrt().flip(0)
        part = torch.arange(PARTS, dtype=torch.float64) / PARTS
        mesh = torch.cat([(roots[:-1, None] + roots.diff()[:, None] * part).flatten(), roots[-1:]])
        times = process.time_at(mesh**2)
        local = process.alpha(times) ** 2 * constant.value(times)
        larger = torch.maximum(local[1:], local[:-1])
        rises = weight * larger * (mesh**2).diff()
        self.logs = torch.cat([torch.zeros(1, dtype=torch.float64), rises.cumsum(0)])
        self.most, self.mesh, self.double = float(self.logs.max()), mesh, 2 * weight
        self.log_growth = self.logs[::PARTS].flip(0)
        self.roots = roots.flip(0)

    def first(self) -> Tensor:
        r""":math:`\int A \omega\,dr` of every step per unit of its weight, without exp(most)."""
        scaled = (self.logs - self.most).exp()
        panels = torch.maximum(scaled[1:], scaled[:-1]) * self.mesh.diff()
        return self.double * panels.reshape(-1, PARTS).sum(1).flip(0) / self.roots[:-1]

    def second(self, k: int, values: PerPoint, radius: PerPoint) -> PerPoint:
        r"""A draw of :math:`\int A B / \omega\,dr` over step ``k``, times its weight."""
        right = torch.searchsorted(self.mesh, radius).clamp(1, len(self.mesh) - 1)
        low, high = self.mesh[right - 1] ** 2, self.mesh[right] ** 2
        share = (radius**2 - low) / (high - low)
        logs = self.logs[right - 1] + share * (self.logs[right] - self.logs[right - 1])
        width = self.roots[k] - self.roots[k + 1]
        return self.double * width / self.roots[k] * (logs - self.most).exp() * values


def _errors(coupling: Coupling, n: int) -> Iterator[tuple[PerPoint, PerPoint]]:
    """Of every step, at a random place in it: |D_p(Y) - D|^2 (r_t / r)^2, and r."""
    reference, streams = coupling.reference, coupling.streams.child("within")
    like = torch.empty(0, dtype=torch.float64, device=coupling.device)
    for step in frozen_steps(coupling, n):
        top, bottom = math.sqrt(step.upper), math.sqrt(step.lower)
        uniform = streams.uniform(f"place/{step.k}", 0, n, like)
        radius = top - (top - bottom) * uniform
        noise = streams.normal(f"noise/{step.k}", 0, n, (reference.dim,), like)
        y = within(step, coupling.eta, radius**2, noise)
        times = reference.process.time_at(radius**2)
        x = (reference.process.alpha(times)[:, None] * y).reshape(n, *reference.shape)
        gap = reference.denoise(x, times).flatten(1) - step.data
        yield (gap.square().sum(1) * (top / radius) ** 2).cpu(), radius.cpu()


def _check(coupling: Coupling, constant: OneSided) -> None:
    reference = coupling.reference
    require(constant.belongs_to("reference", reference), "the swapped form needs the constant of "
            "the reference's score", got=f"one of {constant.of!r}")  # fmt: skip
    require(freezes(coupling), "the swapped form needs steps with the noise of frozen data",
            got=f"{coupling.solver.name} at eta {coupling.eta:g}",
            do="use eta = 0, dpmpp_1s, or ddim or ancestral at eta = 1")  # fmt: skip
    require(same_units(coupling.score, reference), "score and reference must share a scaling",
            got="two different ones")  # fmt: skip
