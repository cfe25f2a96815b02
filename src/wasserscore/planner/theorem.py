r"""Steps that a theorem guarantees on the Gaussian stand-in: always enough, and far too many.

For a share of the target given to the start, the horizon follows from
:math:`E_0 = \|x_0\| / (1 + m_0 S_T)`, the step from the leading order of E1,

.. math:: e^{M_1 \eta G(T)} \bigl[ \sqrt{\eta d}\,I_1 + \eta (M_1 (1 + c + c_2) I_2 + I_3) \bigr]
          = \varepsilon - E_0 - M I_2 ,

cut at what assumption A4 allows; then the whole theorem is evaluated at that horizon and number of
steps, and the step is shrunk until the evaluated bound, not its leading order, meets the target.

Source: :cite:p:`gao2025`, Theorem 2; the planning is our derivation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wasserscore.certificate.base import Assumption
from wasserscore.certificate.concavity import LogConcave
from wasserscore.certificate.convergence import (
    ConvergenceBound,
    DataLaw,
    convergence_bound,
    gaussian_time_lipschitz,
    step_limit,
)
from wasserscore.certificate.convergence_limits import Limits, sde_limits
from wasserscore.core.errors import require
from wasserscore.core.results import Record
from wasserscore.dynamics import TimeGrid
from wasserscore.planner.problem import Problem
from wasserscore.planner.result import Option
from wasserscore.planner.split import Split
from wasserscore.planner.surrogate import Surrogate
from wasserscore.process import EDM, Process
from wasserscore.process.scheduled import Scheduled
from wasserscore.sampling import time_grid

SHARES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7)
"""Parts of the target given to the start; the best is taken."""
SHRINK = 0.9
SOLVER = "integrated_euler"
"""The scheme that the theorem is about."""
CONDITION = 1e8
"""Largest ratio of variances: beyond it the smoothness of the score means nothing in float64."""


@dataclass(frozen=True)
class Guarantee(Record):
    """A process with a horizon and a number of steps for which the theorem meets the target.

    Args:
        process: With the horizon to use.
        steps: K uniform steps of ``integrated_euler``.
        bound: The theorem, evaluated there.
        largest_score_error: The largest M that still meets the target with these steps.
    """

    process: Process
    steps: int
    bound: ConvergenceBound
    largest_score_error: float


def theorem_options(
    problem: Problem, processes: Sequence[Process], most: int, *, own: bool
) -> tuple[list[Option], list[TimeGrid | None], list[tuple[Assumption, ...]]]:
    """Every process with the steps that the theorem asks for, its grid and its assumptions.

    Args:
        problem: The surrogate and the target.
        processes: To compare; no horizon longer than theirs is used.
        most: Give up on a process beyond so many steps.
        own: Whether a process is handed over as it is, or with the horizon chosen.

    Raises:
        InputError: If the covariance is singular: the score then has no Lipschitz constant.
    """
    surrogate, scale = problem.surrogate, problem.surrogate.stretch
    values = surrogate.eigenvalues
    require(float(values.min()) * CONDITION > float(values.max()),
            "the theorem needs a covariance of full rank",
            got=f"variances from {float(values.min()):.3g} to {float(values.max()):.3g}",
            do='leave out constant directions, or use mode="calibrated"')  # fmt: skip
    options: list[Option] = []
    grids: list[TimeGrid | None] = []
    grounds: list[tuple[Assumption, ...]] = []
    for process in processes:
        found = guaranteed_steps(surrogate, process, problem.target / scale,
                                 score_error=problem.score_error, most=most)  # fmt: skip
        if found is None:
            note = "not reached" if admits_steps(surrogate, process) else "A4 allows no step"
            options.append(Option(process, SOLVER, 1.0, "uniform", None, None, None, note))
            grids.append(None)
            grounds.append(())
            continue
        bound = found.bound
        parts = Split(scale * bound.start, scale * bound.steps, scale * bound.score,
                      scale * bound.total)  # fmt: skip
        handed = process if own else found.process
        options.append(Option(handed, SOLVER, 1.0, "uniform", found.steps, found.steps, parts, ""))
        grids.append(time_grid(found.process, found.steps, "uniform"))
        grounds.append(_assumptions(found))
    return options, grids, grounds


def _assumptions(found: Guarantee) -> tuple[Assumption, ...]:
    spare = f"up to {found.largest_score_error:.3g} would still meet the target"
    return (
        Assumption("Gaussian surrogate", "assumed",
                   "m0 and L0 are those of a Gaussian, optimistic for any other law"),
        *(replace(a, detail=f"{a.detail}; {spare}") if a.name.startswith("A3") else a
          for a in found.bound.assumptions),
    )  # fmt: skip


def data_law(surrogate: Surrogate, score_error: float = 0.0) -> DataLaw:
    """The stand-in as the theorem sees it; its time constant depends on the process and is 0 here.

    Assumes: m0 and L0 are those of the Gaussian. A log-concave law that is not Gaussian has a
    smaller m0 and a larger L0, so for it they are optimistic.
    """
    values = surrogate.eigenvalues
    rms = float((values + surrogate.mean**2).sum().sqrt())
    shape = LogConcave(1 / float(values.max()), 1 / float(values.min().clamp_min(1e-300)))
    return DataLaw(shape, surrogate.dim, rms, 0.0, score_error)


def admits_steps(surrogate: Surrogate, process: Process) -> bool:
    """Whether assumption A4 holds for small enough steps (never for sub-VP; VP needs m0 > 1/2)."""
    m1 = gaussian_time_lipschitz(process, surrogate.mean, surrogate.eigenvalues)
    return step_limit(process, replace(data_law(surrogate), time_lipschitz=m1)) > 0


def guaranteed_steps(
    surrogate: Surrogate, process: Process, target: float, *, score_error: float, most: int
) -> Guarantee | None:
    """The fewest steps found for which E0 + E1 + E2 is at most ``target``; None if there are none.

    Args:
        surrogate: The data's Gaussian stand-in.
        process: Gives the family and the longest horizon; the horizon is chosen.
        target: W2 to stay below, in the coordinates of the process.
        score_error: M, the L2 error of the score along the generated path.
        most: Give up beyond so many steps.
    """
    best: Guarantee | None = None
    for share in SHARES:
        limit = most if best is None else best.steps - 1
        best = _with_start(surrogate, process, target, share, score_error, limit) or best
    return best


def _with_start(
    surrogate: Surrogate, process: Process, target: float, share: float, error: float, most: int
) -> Guarantee | None:
    law = data_law(surrogate, error)
    assert isinstance(law.concavity, LogConcave)
    ratio = (law.rms / (share * target) - 1) / law.concavity.m0
    if ratio <= 0:
        return None
    longest = float(process.noise_to_signal(process.horizon))
    end = process.horizon if ratio >= longest else float(process.time_at(ratio))
    here = with_horizon(process, min(end, process.horizon))
    m1 = gaussian_time_lipschitz(here, surrogate.mean, surrogate.eigenvalues)
    law = replace(law, time_lipschitz=m1)
    limits, largest = sde_limits(here, law), step_limit(here, law)
    left = target - limits.start - limits.score_gain * error
    if left <= 0 or largest <= 0:
        return None
    growth = m1 * float(here.integrated_g2(here.horizon))
    step = min(_step(limits, growth, left), largest)
    while here.horizon / step <= most:
        steps = math.ceil(here.horizon / step)
        bound = convergence_bound(here, law, steps)
        if bound.total <= target:
            spare = (target - bound.start - bound.steps) / limits.score_gain
            return Guarantee(here, steps, bound, spare)
        step *= SHRINK
    return None


def _step(limits: Limits, growth: float, left: float) -> float:
    """Where exp(growth eta) (root sqrt(eta) + linear eta) = left, by bisection in log eta."""
    low, high = -60.0, 20.0
    for _ in range(100):
        middle = (low + high) / 2
        eta = math.exp(middle)
        size = limits.root * math.sqrt(eta) + limits.linear * eta
        above = size == 0 or growth * eta + math.log(size) > math.log(left)
        low, high = (low, middle) if above else (middle, high)
    return math.exp(low)


def with_horizon(process: Process, horizon: float) -> Process:
    """The same process, cut off at another horizon."""
    if isinstance(process, EDM):
        return replace(process, sigma_max=horizon)
    if isinstance(
        process, Scheduled
    ):  # not through its factory, where a schedule may depend on it
        cut: Process = replace(process, horizon=horizon)
        return cut
    return type(process)(**{**process.parameters, "horizon": horizon})
