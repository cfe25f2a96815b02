r"""Theorem 1 for a score and a reference at hand, by Monte Carlo over random times and points.

The theorem bounds the law of the *continuous-time* sampler,

.. math:: W_2(p_0, q_0) \le \int k\,I \sqrt b\,dt + I(T)\,W_2(p_T, q_T)
          \le \sqrt{2 K_\lambda J_\lambda} + I(T)\,W_2(p_T, q_T).

K and I are upper sums, J is one mean with one confidence limit. The weight
:math:`\lambda = k I / \sqrt b` makes the second inequality an equality, so with b from a pilot the
Cauchy-Schwarz form *is* the integral form, up to the pilot's error, and nothing has to be assumed
of b between any two times.

Source: :cite:p:`kwon2022`, Theorem 1 and Corollaries 1 and 3.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.certificate.base import Limit
from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.expansion import Expansion
from wasserscore.certificate.offset import start_limit
from wasserscore.certificate.score_error import Draws, Plan
from wasserscore.certificate.statistics import mean_limit
from wasserscore.certificate.theorem import WARP, from_log, log_add
from wasserscore.core.errors import require
from wasserscore.core.results import Record
from wasserscore.core.typing import Vector

Weight = Callable[[Tensor], Tensor]
TIMES = 256
"""Random times, at least."""
TOLERANCE = 1e-3
"""A difference quotient above the constant by this share refutes it."""


@dataclass(frozen=True)
class ContinuousBound(Record):
    r"""Theorem 1 in numbers, data units.

    Args:
        integral: The integral form; its kind is "estimated" where the constant is.
        cauchy_schwarz: The Cauchy-Schwarz form with the likelihood weight g^2 (Corollary 1),
            unless another weight was given.
        denoising: The integral form from denoising errors alone (Corollary 3).
        offset: The start's share of each.
        score_matching: Upper limit of :math:`J_{SM}(g^2)`, squared scaled units.
        constant: How the one-sided constant is known.
        refuted: By how much a difference quotient exceeds the constant; 0 where none does.
        times: Times of the curves, increasing.
        one_sided: The constant at these times.
        log_growth: log I at these times.
        error: The pilot's estimate of b, squared scaled units.
        integrand: :math:`k I \sqrt b` there, data units per time.
    """

    integral: Limit
    cauchy_schwarz: Limit
    denoising: Limit
    offset: float
    score_matching: float
    constant: str
    refuted: float
    times: Vector
    one_sided: Vector
    log_growth: Vector
    error: Vector
    integrand: Vector


@torch.no_grad()
def continuous_bound(
    coupling: Coupling,
    constant: OneSided,
    *,
    n: int,
    level: float,
    times: int | None = None,
    weight: Weight | None = None,
) -> ContinuousBound:
    r"""The theorem's bound on the continuous-time sampler, from the grid's start to its stop.

    Args:
        coupling: Score, reference, noise level, stop, start and streams.
        constant: One-sided constant of the *model's* score, scaled units.
        n: Coupled pairs of the run; as many random times are drawn, at least 256.
        level: Level of each limit.
        times: Number of random times; None is that default.
        weight: :math:`\lambda(t) > 0` of the Cauchy-Schwarz form; None is g^2.
    """
    reference, grid = coupling.reference, coupling.grid
    require(grid.stop > 0 or reference.least_variance > 0,
            "the theorem needs a law with a density", got="a reference without bandwidth",
            do="give it a bandwidth or stop early")  # fmt: skip
    expansion = Expansion.along(
        reference.process, constant, eta=coupling.eta, start=grid.start, stop=grid.stop
    )
    plan = Plan.of(coupling, expansion)
    draws = plan.draw(coupling, times or max(TIMES, n))
    start = start_limit(coupling, n, level)
    log_offset = float(expansion.log_growth[-1]) + (math.log(start) if start > 0 else -math.inf)
    kind = "asymptotic" if constant.bounding else "estimated"

    def limit(*logs: float) -> Limit:
        value = coupling.unit * from_log(log_add(*logs, log_offset))
        return Limit(value, n=len(draws.cells), level=level, kind=kind)

    pilot, drawn = plan.pilot, draws.errors
    heads = [expansion.head_bound(float(e[0])) for e in (pilot.largest, pilot.largest_denoising)]
    log_j = likelihood_limit(plan, draws, level)
    return ContinuousBound(
        integral=limit(integral_limit(plan, draws, pilot.score, drawn.score, level), heads[0]),
        cauchy_schwarz=limit(_cauchy_schwarz(plan, draws, weight, level)),
        denoising=limit(
            integral_limit(plan, draws, pilot.denoising, drawn.denoising, level), heads[1]
        ),
        offset=coupling.unit * from_log(log_offset),
        score_matching=from_log(log_j),
        constant=constant.kind,
        refuted=_refuted(plan, constant),
        **_curves(plan, coupling.unit),
    )


def integral_limit(plan: Plan, draws: Draws, pilot: Tensor, errors: Tensor, level: float) -> float:
    r"""Logarithm of an upper limit of :math:`\int k I \sqrt b`, by the pilot's weight.

    Args:
        plan: Cells and densities.
        draws: The random times.
        pilot: Errors b at the pilot's times, which set the weight.
        errors: Errors at the random times, which are measured.
        level: Level of the limit.
    """
    weights = plan.log_weights(pilot)
    log_k = float(torch.logsumexp(plan.expansion.log_area - weights, 0))
    top = plan.expansion.log_top[plan.expansion.cells]
    log_v = draws.log_ratio + (top + weights)[draws.cells] + errors.log()
    return (log_k + _log_mean_limit(log_v, level)) / 2


def likelihood_limit(plan: Plan, draws: Draws, level: float) -> float:
    r"""Logarithm of an upper limit of :math:`J_{SM}(g^2) = \frac12 \int g^2 b`."""
    return _matching_limit(plan, draws, level, torch.zeros_like(draws.log_ratio), 0.0)


def log_weight_integral(expansion: Expansion, weight: Weight | None = None) -> float:
    r"""Logarithm of :math:`K_\lambda = \int k^2 I^2 / \lambda`, at most; by default for g^2.

    Assumes: :math:`\lambda / g^2` is monotone between neighbouring nodes.
    """
    ratio = _log_ratio(expansion, weight, expansion.times)
    least = torch.minimum(ratio[:-1], ratio[1:])
    if expansion.head:
        least[0] = ratio[1]
    sums = expansion.push.log() + 2 * expansion.log_top - least
    return float(torch.logsumexp(sums, 0)) + math.log(expansion.share)


def _cauchy_schwarz(plan: Plan, draws: Draws, weight: Weight | None, level: float) -> float:
    r"""Logarithm of :math:`\sqrt{2 K_\lambda J_\lambda}`, at most."""
    times = plan.expansion.process.time_at(draws.clock ** (2 * WARP))
    ratio = _log_ratio(plan.expansion, weight, times)
    head = float(_log_ratio(plan.expansion, weight, plan.expansion.times[1:2]))
    log_j = _matching_limit(plan, draws, level, ratio, head)
    return (log_j + log_weight_integral(plan.expansion, weight) + math.log(2)) / 2


def _matching_limit(plan: Plan, draws: Draws, level: float, ratio: Tensor, head: float) -> float:
    r"""Logarithm of an upper limit of :math:`J_\lambda`, given the logarithms of lambda / g^2."""
    values = draws.log_ratio + ratio + draws.errors.score.log()
    below = plan.expansion.head_likelihood(float(plan.pilot.largest[0])) + head
    return log_add(_log_mean_limit(values - math.log(2 * plan.expansion.share), level), below)


def _log_ratio(expansion: Expansion, weight: Weight | None, times: Tensor) -> Tensor:
    r"""Logarithm of :math:`\lambda / g^2`."""
    if weight is None:
        return torch.zeros_like(times)
    return weight(times).log() - expansion.process.g2(times).log()


def _log_mean_limit(logs: Tensor, level: float) -> float:
    """Logarithm of the upper limit of a mean, from the logarithms of its numbers."""
    if bool(torch.isnan(logs).any()) or float(logs.max()) == math.inf:
        return math.inf
    top = float(logs.max())
    if top == -math.inf:
        return -math.inf
    return top + math.log(mean_limit((logs - top).exp(), level))


def _refuted(plan: Plan, constant: OneSided) -> float:
    """By how much the largest difference quotient exceeds the constant."""
    bound = constant.value(plan.times)
    excess = (plan.pilot.quotient - bound).nan_to_num(nan=0.0, neginf=0.0, posinf=math.inf)
    real = excess > TOLERANCE * (bound.abs() + plan.pilot.quotient.abs())
    return float(torch.where(real, excess, 0.0).max())


def _curves(plan: Plan, scale: float) -> dict[str, Vector]:
    """What a page plots, at the pilot's times."""
    expansion, times = plan.expansion, plan.times
    at = torch.searchsorted(expansion.times, times).clamp_max(len(expansion.times) - 1)
    log_growth, error = expansion.log_growth[at], plan.pilot.score
    forcing = expansion.share * expansion.process.g2(times)
    return {
        "times": times,
        "one_sided": expansion.one_sided[at],
        "log_growth": log_growth,
        "error": error,
        "integrand": scale * (forcing.log() + log_growth + error.log() / 2).exp(),
    }
