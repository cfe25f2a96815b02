"""A plan for a data set or a run, printed and drawn."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from wasserscore.core.errors import require
from wasserscore.core.files import write_atomically, write_json
from wasserscore.data import Dataset
from wasserscore.experiment import revisit
from wasserscore.experiment.drawn import about, rows_of
from wasserscore.experiment.folder import is_run
from wasserscore.experiment.models import fit_empirical
from wasserscore.experiment.pipelines import (
    PREFIX,
    is_pipeline,
    pipeline_model,
    require_no_pipeline,
    rows_law,
)
from wasserscore.planner import Plan, plan
from wasserscore.report import figure_bytes, plan_figure

FILES = ("plan.json", "plan.png", "plan.svg")


def plan_steps(
    source: str, target_w2: float, *, model: str | None = None, label: int | None = None,
    mode: str | None = None, seed: int = 0, **options: Any,
) -> Plan:  # fmt: skip
    """A plan for a data set, for the training rows of a run folder, or for one of its models.

    Args:
        source: A data set or a run folder; of rows on disk, some are drawn by the seed.
        target_w2: W2 that sampling may add, data units.
        model: A fitted model of the run, or ``diffusers:FOLDER`` beside a data set: only its own
            process is then planned for.
        label: Of a pipeline only: the class to ask for, where the model knows classes.
        mode: Of ``plan``; with a model ``"model"``, else ``"calibrated"`` by default.
        seed: Of everything drawn.
        **options: Of ``plan``: solver, surrogate, callback.

    Raises:
        InputError: If a model is asked of something that is no run, or the plan is impossible.
    """
    options |= {"seed": seed, "curves": True}
    if is_pipeline(model):
        made, data = pipeline_model(str(model), source, label=label, seed=seed)
        return _about(data, plan(rows_law(made, data, 0.0), target_w2, score=made.score,
                                 mode=mode or "model", **options))  # fmt: skip
    require_no_pipeline(None, label)
    asked = model is not None or mode == "model"
    require(is_run(source) or not asked, "only a run folder has a model to plan for",
            got=repr(source), do="make one: wasserscore fit DATA --out DIR")  # fmt: skip
    rows = (revisit.training_rows if is_run(source) else rows_of)(source, seed=seed)
    score = revisit.scored(source, model)[1].score if asked else None
    law = fit_empirical(rows, scaling=None if score is None else score.scaling).score
    chosen = mode or ("model" if asked else "calibrated")
    return _about(rows, plan(law, target_w2, score=score, mode=chosen, **options))


def _about(rows: Dataset, found: Plan) -> Plan:
    return replace(found, source=about(found.source, rows))


def folder_of(source: str, model: str | None) -> Path:
    """Where a plan goes unless told: into the run itself, or under ``runs/``, by its data's name.

    A run and its data often share their name, and so do ``my.csv`` and ``my.parquet``; the plan of
    one would take the place of the other's.

    Args:
        source: A data set or a run folder.
        model: As :func:`plan_steps` takes it; its name follows.
    """
    of = "" if model is None else f"-{Path(model.removeprefix(PREFIX)).resolve().name}"
    if is_run(source):
        return Path(source) / f"plan{of}"
    return Path("runs") / f"plan-{Path(source).resolve().name}{of}"


def write_plan(found: Plan, out: Path) -> list[Path]:
    """``plan.json``, ``plan.png`` and ``plan.svg`` in ``out``; returns their paths."""
    plain = found.to_dict()
    write_json(out / FILES[0], plain)
    for name in FILES[1:]:
        picture = figure_bytes(plan_figure(json.loads(json.dumps(plain))), Path(name).suffix[1:])
        write_atomically(out / name, picture)
    return [out / name for name in FILES]
