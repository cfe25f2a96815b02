"""How many steps: W2 measured against the number of steps, and what the planner says."""

from collections.abc import Callable
from typing import Any

from wasserscore.core.errors import InputError
from wasserscore.core.typing import Cloud
from wasserscore.distance import w2
from wasserscore.experiment.model import Model
from wasserscore.planner import Plan, Surrogate, plan
from wasserscore.planner.split import split
from wasserscore.sampling import solver as solver_named
from wasserscore.sampling import time_grid
from wasserscore.score.base import ClosedFormScore

GRID = "karras"
OPTIONS = 8
"""Plans listed, the cheapest first."""


def steps_section(
    model: Model,
    title: str,
    reference: ClosedFormScore,
    holdout: Cloud,
    *,
    counts: tuple[int, ...],
    solver: str,
    target_w2: float,
    seed: int,
    told: Callable[[int, int], object],
) -> dict[str, Any]:
    """The curve of a model, the steps planned for its own sampler, and cheaper ways to sample.

    Args:
        model: The model that is sampled.
        title: Its name for people.
        reference: A law with the moments of the training rows, for the planner.
        holdout: Rows to measure against.
        counts: Numbers of steps.
        solver: The sampler.
        target_w2: What sampling may add to W2, data units.
        seed: Of the samples.
        told: Told (done, total).
    """
    method, process = solver_named(solver), model.score.process
    surrogate, curve = Surrogate.of(reference), []
    for done, steps in enumerate(counts):
        told(done, len(counts) + 1)
        grid = time_grid(process, steps, GRID)
        rows = model.sample(len(holdout), seed=seed, solver=solver, steps=steps)
        curve.append({
            "steps": steps,
            "evaluations": method.evaluations(grid),
            "w2": w2(rows, holdout),
            "predicted": split(surrogate, process, method, grid).w2,
        })  # fmt: skip
    told(len(counts), len(counts) + 1)
    own = _plan(surrogate, target_w2, score=model.score, solver=solver, grids=(GRID,))
    every = _plan(surrogate, target_w2)
    return {
        "model": title,
        "solver": solver,
        "grid": GRID,
        "curve": curve,
        "planned": own and own.steps,
        "target_w2": target_w2,
        "sentence": _sentence(own, title, solver, target_w2),
        "options": _options(every),
    }


def _plan(surrogate: Surrogate, target_w2: float, **options: Any) -> Plan | None:
    try:
        return plan(surrogate, target_w2, **options)
    except InputError:  # no candidate reaches the target: an answer, not a reason to stop
        return None


def _sentence(found: Plan | None, title: str, solver: str, target_w2: float) -> str:
    if found is None:
        return (
            f"No number of steps of {solver} is planned to bring sampling below {target_w2:.2g}."
        )
    return (
        f"For sampling to add at most {target_w2:.2g} to W2, the planner asks for {found.steps} "
        f"steps of {solver} ({found.evaluations} evaluations); the curve is measured on {title}."
    )


def _options(found: Plan | None) -> list[dict[str, Any]]:
    if found is None:
        return []
    return [
        {
            "process": option.process.name,
            "solver": option.solver,
            "grid": option.grid_kind,
            "steps": option.steps,
            "evaluations": option.evaluations,
            "predicted": option.predicted.w2,
        }
        for option in found.options[:OPTIONS]
        if option.predicted is not None
    ]
