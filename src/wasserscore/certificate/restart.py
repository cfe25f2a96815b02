r"""Restarted transport: a fresh, stratified reference cloud, paired late and driven together.

The synchronous coupling follows a pair from the horizon down, and most of what it pays for a noisy
sampler is paid where a pair decides for different modes. But the bound only needs clouds: for
random points with :math:`\frac1n \sum_i \mathrm{law}(X_i) = p` and
:math:`\frac1n \sum_j \mathrm{law}(Y_j) = q`, however dependent,

.. math:: E\,W_2^2(p_n, q_n) \ge W_2^2(p, q),

by convexity of :math:`W_2^2`. So at a time of the grid at which modes are chosen, the sampler's
cloud and the reference's (the one that came down with it on common noise, or a *new* one) are
paired by optimal assignment, and every pair goes on with common noise that neither cloud has seen,
the reference by its exact transitions.

* The pairing looks at the past only, and the fresh noise is independent of it, so each reference
  point moves by the true transition whatever its partner: its law stays the reference's.
* A new cloud is stratified over the components, so that only the sampler's own counts fluctuate;
  the old one fluctuates, but with the sampler's. A pilot of its own chooses.
* What is paired before the last noise shares that noise, where two finished clouds in the same
  mode would be two independent draws of it.

Points of one batch depend on each other; batches are independent and are the unit of the limit.

Source: :cite:p:`villani2009`, theorem 4.8 (convexity of the optimal cost).
"""

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from torch import Tensor

from wasserscore.certificate.coupling import Coupling, in_data_units
from wasserscore.certificate.path import ReversePath, clock
from wasserscore.certificate.start import coupled_starts
from wasserscore.core.errors import require
from wasserscore.core.random import Streams, normal_like
from wasserscore.process import VE
from wasserscore.score.base import ClosedFormScore

CANDIDATES = (2.0, 1.4, 1.0, 0.7, 0.5, 0.35)
"""Noise-to-signal ratios at which a pilot tries to restart, in widths of the reference."""
FAR = 1e3
"""Components are stratified from noise of this many spreads, where their posterior is flat."""


class Restart(NamedTuple):
    """Where the clouds are paired anew, and whether the reference's is drawn anew as well."""

    step: int
    fresh: bool


@torch.no_grad()
def restarted_transport(coupling: Coupling, rows: int, batches: int) -> Tensor:
    """Squared W2 between a sampler's cloud and a restarted reference's, float64 ``(batches,)``.

    Args:
        coupling: What is coupled; its sampler must use noise.
        rows: Points of each cloud.
        batches: Independent pairs of clouds; one more, of its own, chooses where to restart.

    Raises:
        InputError: If the sampler is deterministic or a cloud has fewer than two points.
    """
    require(coupling.eta > 0, "a restart needs a sampler with noise", got=coupling.eta)
    require(rows >= 2, "a cloud needs at least two points", got=rows)
    tried = [Restart(k, fresh) for k in candidates(coupling) for fresh in (True, False)]
    costs = _clouds(_batch(coupling, "pilot"), rows, tried)
    best = min(costs, key=costs.__getitem__)
    found = [_clouds(_batch(coupling, str(b)), rows, [best])[best] for b in range(batches)]
    return torch.tensor(found, dtype=torch.float64)


def candidates(coupling: Coupling) -> list[int]:
    """The steps at whose beginning a restart is tried."""
    covariance = coupling.reference.moments()[1]
    width = math.sqrt(float(torch.diagonal(covariance).mean()))
    process, times = coupling.reference.process, coupling.grid.times[:-1].tolist()
    noise = torch.tensor([math.sqrt(clock(process, t)[1]) for t in times])
    nearest = {int((noise - ratio * width).abs().argmin()) for ratio in CANDIDATES}
    return sorted(nearest)


def stratified(reference: ClosedFormScore, n: int, t: float, streams: Streams) -> Tensor:
    """``n`` points of the law at time ``t``, each component as often as its weight says.

    From noise so large that it says nothing about the component, one exact reverse transition to
    the data whose components come by the inverse CDF at evenly spaced numbers with a common
    random shift: the mean of the points' laws is the law. No point is drawn from it on its own.
    """
    spread = math.sqrt(float(torch.diagonal(reference.moments()[1]).sum()))
    lifted = reference.under(VE.constant(a=1.0, horizon=(FAR * spread) ** 2))
    generator = streams.generator("restart")
    far = lifted.sample_marginal(n, lifted.process.horizon, generator=generator).double()
    shift = torch.rand((), generator=generator, dtype=torch.float64)
    even = (torch.arange(n, dtype=torch.float64) + shift) / n
    inner, outer = (normal_like(far, generator) for _ in range(2))  # fmt: skip
    x0 = lifted.reverse_transition(
        far, lifted.process.horizon, 0.0, noise=inner, uniform=even.to(far)
    )
    process = reference.process
    return float(process.alpha(t)) * x0 + float(process.sigma(t)) * outer


def assignment(x: Tensor, y: Tensor) -> tuple[Tensor, float]:
    """The order of ``x`` that is nearest to ``y`` in mean square, and that mean square."""
    if not (torch.isfinite(x).all() and torch.isfinite(y).all()):
        return torch.arange(len(x), device=x.device), math.inf
    cost = cdist(y.flatten(1).cpu().numpy(), x.flatten(1).cpu().numpy(), "sqeuclidean")
    rows, columns = linear_sum_assignment(cost)
    return torch.from_numpy(columns).to(x.device), float(cost[rows, columns].mean())


def _batch(coupling: Coupling, name: str) -> Coupling:
    return replace(coupling, streams=coupling.streams.child(f"restart/{name}"))


def _clouds(coupling: Coupling, rows: int, restarts: list[Restart]) -> dict[Restart, float]:
    """The squared W2 between the sampler's cloud and each restarted cloud of the reference."""
    grid, noise, path_noise = coupling.grid, coupling.noise(rows), coupling.path_noise(rows)
    path = ReversePath(coupling.reference, coupling.parts, coupling.streams)
    counts, advance = path.schedule(grid), coupling.sampler(coupling.score).stepper()
    own = getattr(coupling.score, "scaling", coupling.reference.scaling)
    last = max((r.step for r in restarts if not r.fresh), default=-1)
    # exact, so that nothing has to be added; how near it is matters little before a new pairing
    x = coupled_starts(coupling.reference, grid.start, "reference", coupling.streams, rows).x
    y = coupling.begin(noise) if coupling.start == "prior" else x.to(coupling.dtype)
    clouds: dict[Restart, Tensor] = {}
    for k, t, _ in grid.pairs():
        for restart in (r for r in restarts if r.step == k):
            new = x
            if restart.fresh:
                new = stratified(coupling.reference, rows, t, coupling.streams.child(str(k)))
            clouds[restart] = new[_order(coupling, new, in_data_units(own, y))]
        z = path_noise(k)
        clouds = {r: path.step(cloud, grid, k, z, counts[k]) for r, cloud in clouds.items()}
        x = path.step(x, grid, k, z, counts[k]) if k < last else x
        y = advance(k, y, noise(k))
    end = in_data_units(own, y).double()
    return {r: _cost(in_data_units(coupling.reference.scaling, cloud), end)
            for r, cloud in clouds.items()}  # fmt: skip


def _cost(x: Tensor, y: Tensor) -> float:
    """The mean square of the pairs as they are, or after assignment where that is smaller."""
    paired = (x - y).flatten(1).square().sum(1).mean().nan_to_num(math.inf, math.inf)
    return min(float(paired), assignment(x, y)[1])


def _order(coupling: Coupling, x: Tensor, y: Tensor) -> Tensor:
    return assignment(in_data_units(coupling.reference.scaling, x), y.double())[0]
