r"""The swapped form from a time in the middle: coupled above it, its inequality below.

.. math:: \|X_0 - Y_0\| \le \int_0^{t_1} I\,w\,\bigl(E|\nabla\log p - \hat s|^2\bigr)^{1/2} d\tau
          + I(t_1)\,D(t_1),

with :math:`D(t_1)` the upper limit of the coupled distance where the sampler *is* at one of its
own times. Above it no constant is needed; below it only the constant's values there count. A pilot
of its own chooses the time.

Source: docs/theory/certificate.md; restart of :cite:p:`kwon2022`, Theorem 1.
"""

import math
from dataclasses import replace

import torch

from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.meetings import meetings
from wasserscore.certificate.proposal import Bound, Proposal, Run, squares
from wasserscore.certificate.statistics import mean_limit
from wasserscore.certificate.swapped import PILOT, swapped_bound, swapped_plan
from wasserscore.certificate.swapped_rung import as_bound, obstacle
from wasserscore.dynamics import TimeGrid


def swapped_restarted(run: Run) -> list[Proposal]:
    """The swapped form below the best time to restart; needs a constant of the reference."""
    constant, coupling = run.constant, run.coupling
    if constant is None or not constant.belongs_to("reference", coupling.reference):
        return []

    def prove(level: float) -> Bound:
        k = restart_step(coupling, constant)
        here = coupled_limit(coupling, k, n=run.n, level=level)
        found = swapped_bound(coupling, constant, n=run.n, level=level, first=k, start=here)
        time = float(coupling.grid.times[k])
        words = f"coupled down to t = {time:.3g}, {constant.kind} constant of the reference below"
        return as_bound(run, found, constant, words, f"{found.offset:.3g} of it from above")

    single = "" if coupling.grid.steps > 1 else "one step leaves no time in the middle"
    return [Proposal("theorem, restarted", prove, limits=2 + run.limits,
                     obstacle=obstacle(run) or single)]  # fmt: skip


@torch.no_grad()
def restart_step(coupling: Coupling, constant: OneSided) -> int:
    """The step at whose beginning a pilot would restart."""
    pilot = replace(coupling, streams=coupling.streams.child("restarted pilot"))
    errors, log_growth = swapped_plan(pilot, constant)
    met = meetings(pilot, PILOT)[:-1]
    alpha = coupling.reference.process.alpha(coupling.grid.times[:-1])
    apart = torch.stack([squares(m.x, m.y.double()).mean().sqrt() for m in met]).cpu() / alpha
    below = errors.flip(0).cumsum(0).flip(0)
    return 1 + int((below + log_growth[:-1].exp() * apart)[1:].argmin())


def coupled_limit(coupling: Coupling, k: int, *, n: int, level: float) -> float:
    """Upper limit of the coupled distance where step ``k`` begins, scaled units.

    Args:
        coupling: What is coupled.
        k: The step, at least 1.
        n: Number of pairs.
        level: Level of each limit.
    """
    above = replace(coupling, grid=TimeGrid(coupling.grid.times[: k + 1]))
    ends, scaling = above.run(n), coupling.reference.scaling
    x, y = ends.reference.flatten(1), ends.model.flatten(1)
    if scaling is not None:
        x, y = x / scaling.scale.to(x), y / scaling.scale.to(y)
    solved = ends.start_shift
    if ends.path_error is not None:
        solved += math.sqrt(mean_limit(ends.path_error.square(), level))
    return math.sqrt(mean_limit(squares(x, y), level)) + solved / above.unit
