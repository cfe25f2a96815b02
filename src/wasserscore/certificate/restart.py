r"""Restarted transport: clouds paired late, by the modes they have come to, and driven together.

The synchronous coupling follows a pair from the horizon down, and most of what it pays for a noisy
sampler is paid where a pair decides for different modes. But the bound only needs clouds: for
random points with :math:`\frac1n \sum_i \mathrm{law}(X_i) = p` and
:math:`\frac1n \sum_j \mathrm{law}(Y_j) = q`, however dependent,

.. math:: E\,W_2^2(p_n, q_n) \ge W_2^2(p, q),

by convexity of :math:`W_2^2`. So at a time of the grid at which modes are chosen, the clouds of
the reference and of the sampler are paired by optimal assignment, and every pair goes on with
common noise that neither has seen. Later, pairs that have come to different modes are paired anew.

* From that time on a reference point knows its component, drawn from the posterior. Given it the
  point is Gaussian, and moves by the component's own process at the sampler's noise level: exact
  at every step size, at every eta above 0, and without one evaluation of the reference's score.
* A pairing looks at the past only and the noise to come is independent of it, so each reference
  point moves by the true transition whatever its partner: its law stays its component's.
* What is paired before the last noise shares that noise, where two finished clouds in the same
  mode would be two independent draws of it.
* The reference's cloud is either the one that came down with the sampler's on common noise, whose
  modes are counted like the sampler's where pairs agree; or a *new*, stratified one, which has
  each component as often as its weight says and costs next to nothing. A few small clouds choose.

The fluctuation of the modes' counts is what remains. It falls with the root of the number of
points, and new clouds of tens of thousands are affordable. Points of one batch depend on each
other; batches are independent and are the unit of the limit.

Source: :cite:p:`villani2009`, theorem 4.8 (convexity of the optimal cost).
"""

import math
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.known import Known, stratified
from wasserscore.certificate.pairing import DENSE, Side, assignment, paired
from wasserscore.certificate.path import ReversePath, clock
from wasserscore.certificate.reference import same_units
from wasserscore.certificate.start import coupled_starts
from wasserscore.core.distributed import shared
from wasserscore.core.errors import require
from wasserscore.data import in_data_units

OLD = 2**22
"""Clouds of more points times components are always new: coming down costs the most."""
RATIOS = (2.0, 1.4, 1.0, 0.7, 0.5, 0.35, 0.25, 0.15)
"""Noise-to-signal ratios at which clouds are paired, in widths of the reference."""
PILOT, PILOTS = 256, 4
"""Points of the pilot's clouds, at most, and their number."""


class Restart(NamedTuple):
    """Where the clouds are first paired, and whether the reference's is a new one."""

    step: int
    fresh: bool


@torch.no_grad()
def restarted_transport(coupling: Coupling, rows: int, batches: int) -> Tensor:
    """Squared W2 between a sampler's cloud and a restarted reference's, float64 ``(batches,)``.

    Args:
        coupling: What is coupled; its sampler must use noise.
        rows: Points of each cloud.
        batches: Independent pairs of clouds, which ranks share; a few small ones of their own
            choose the restart.

    Raises:
        InputError: If the sampler is deterministic or a cloud has fewer than two points.
    """
    require(coupling.eta > 0, "a restart needs a sampler with noise", got=coupling.eta)
    require(rows >= 2, "a cloud needs at least two points", got=rows)
    steps = pairings(coupling)
    kinds = (True, False) if rows * coupling.reference.components <= OLD else (True,)
    tried = [Restart(k, fresh) for k in steps[:-1] or steps for fresh in kinds]

    def costs(name: str, size: int, restarts: list[Restart]) -> Tensor:
        found = _clouds(_batch(coupling, name), size, restarts, steps)
        return torch.tensor([found[restart] for restart in restarts], dtype=torch.float64)

    pilots = [partial(costs, f"pilot/{b}", min(rows, PILOT), tried) for b in range(PILOTS)]
    best = tried[int(torch.stack(shared(pilots)).sum(0).argmin())]
    found = [partial(costs, str(b), rows, [best]) for b in range(batches)]
    return torch.cat(shared(found))


def pairings(coupling: Coupling) -> list[int]:
    """The steps at whose beginning clouds are paired, the last step always among them."""
    width = math.sqrt(float(coupling.reference.column_moments()[1].mean()))
    process, times = coupling.reference.process, coupling.grid.times[:-1].tolist()
    noise = torch.tensor([math.sqrt(clock(process, t)[1]) for t in times], dtype=torch.float64)
    near = {int((noise - ratio * width).abs().argmin()) for ratio in RATIOS}
    return sorted(near | {len(times) - 1})


def _batch(coupling: Coupling, name: str) -> Coupling:
    return replace(coupling, streams=coupling.streams.child(f"restart/{name}"))


def _clouds(
    coupling: Coupling, rows: int, restarts: list[Restart], steps: list[int]
) -> dict[Restart, float]:
    """The squared W2 between the sampler's cloud and each restarted cloud of the reference."""
    grid, noise, path_noise = coupling.grid, coupling.noise(rows), coupling.path_noise(rows)
    advance, reference = coupling.sampler(coupling.score).stepper(), coupling.reference
    last = max((r.step for r in restarts if not r.fresh), default=-1)
    path = ReversePath(reference, coupling.parts, coupling.streams)
    counts = path.schedule(grid) if last > 0 else []
    # exact, so that nothing has to be added; how near it is matters little before a new pairing
    x = coupled_starts(reference, grid.start, "reference", coupling.streams, rows).x
    y = coupling.begin(noise) if coupling.start == "prior" else x.to(coupling.dtype)
    clouds: dict[Restart, Known] = {}
    for k, t, s in grid.pairs():
        z = path_noise(k)
        for restart in (r for r in restarts if r.step == k):
            clouds[restart] = _known(coupling, x, k, restart.fresh)
        if clouds and k in steps:
            there = _side(coupling, y, k)
            clouds = {r: c.rows(paired(c.side(t), there)) for r, c in clouds.items()}
        clouds = {r: c.move(t, s, z, coupling.eta) for r, c in clouds.items()}
        x = path.step(x, grid, k, z, counts[k]) if k < last else x
        y = advance(k, y, noise(k))
    own = getattr(coupling.score, "scaling", reference.scaling)
    end = in_data_units(own, y).double().flatten(1)
    return {r: _cost(in_data_units(reference.scaling, c.x).flatten(1), end)
            for r, c in clouds.items()}  # fmt: skip


def _known(coupling: Coupling, x: Tensor, k: int, fresh: bool) -> Known:
    """A new cloud at step ``k``, or the one that came down, with its components."""
    reference, t, streams = coupling.reference, float(coupling.grid.times[k]), coupling.streams
    if fresh:
        return stratified(reference, len(x), t, streams.child(str(k)))
    uniform = streams.uniform(f"component/{k}/0", 0, len(x), x)
    return Known(reference, x, reference.component(x, t, uniform))


def _side(coupling: Coupling, y: Tensor, k: int) -> Side:
    """Where the sampler's points are going, as the reference sees it, in its own units."""
    reference, t, x = coupling.reference, float(coupling.grid.times[k]), y.double()
    own = getattr(coupling.score, "scaling", reference.scaling)
    if not same_units(coupling.score, reference):
        alpha = clock(reference.process, t)[0]
        x = in_data_units(own, x / alpha)
        x = alpha * (x if reference.scaling is None else reference.scaling.apply(x))
    uniform = coupling.streams.uniform(f"mode/{k}", 0, len(x), x)
    return Side(reference.denoise(x, t).flatten(1), reference.component(x, t, uniform))


def _cost(x: Tensor, y: Tensor) -> float:
    """The mean square of the pairs, small clouds assigned once more."""
    if len(x) <= DENSE:
        x = x[assignment(x, y)]
    return float((x - y).square().sum(1).mean().nan_to_num(math.inf, math.inf))
