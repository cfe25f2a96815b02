"""From one validated description to a run on its way: everything is checked, then begun."""

from pathlib import Path
from typing import Any

from wasserscore.core.errors import require
from wasserscore.core.results import plain
from wasserscore.data import load, on_disk
from wasserscore.experiment.columns import require_groups
from wasserscore.experiment.config import RunConfig
from wasserscore.experiment.folder import SCHEMA_VERSION, RunFolder
from wasserscore.experiment.holdout import ROWS_A_SIDE, divide
from wasserscore.experiment.journey import Journey
from wasserscore.experiment.progress import Progress, silent
from wasserscore.proximal.groups import FIT, differ
from wasserscore.sampling import solver as solver_named


def start(
    config: RunConfig, out: str | Path, *, force: bool = False, progress: Progress = silent
) -> Journey:
    """Load the data, check everything that can be checked, and only then touch the folder.

    Args:
        config: What to do.
        out: The run folder: new, empty, or an interrupted run with the same configuration.
        force: Start afresh in a folder that holds a run.
        progress: Told how far each stage has come.

    Raises:
        InputError: On data, a configuration or a folder that cannot be used; nothing is written.
    """
    solver_named(config.solver)  # an unknown name must not be found out after the fits
    require(on_disk(config.source) is None, "the whole journey holds its rows in memory",
            got=f"rows on disk, {config.source!r}",
            do="take its steps: wasserscore fit --models network, then sample, certify, plan and "
            "audit")  # fmt: skip
    data = load(config.source, schema=config.table_schema)
    require(data.n >= 2 * ROWS_A_SIDE, f"a run needs at least {2 * ROWS_A_SIDE} rows",
            got=data.n, do="half of them are held out; give more data")  # fmt: skip
    division = divide(data, config.source, config)
    known = data.points[division.train]
    if not differ(known):
        count = len(known.flatten(1).unique(dim=0))
        require(count >= FIT, f"a run needs at least {FIT} different training rows", got=count,
                do="give more columns, or columns of more values: what is drawn of so few "
                "rows is a copy")  # fmt: skip
    if config.proximal.per is not None and "proximal" in config.models:
        require_groups(data, config.proximal.per, division.train)
    description = plain({
        "schema_version": SCHEMA_VERSION,
        "config": config.model_dump(mode="json"),
        "data_sha256": data.sha256,
    })  # fmt: skip
    folder = RunFolder.create(out, description, force=force)
    return Journey(config, data, division, folder, progress)


def run(
    config: RunConfig, out: str | Path, *, force: bool = False, progress: Progress = silent
) -> dict[str, Any]:
    """Everything, from the data to ``report.html``; continues where an interruption left it.

    Args:
        config: What to do.
        out: The run folder.
        force: Start afresh in a folder that holds a run.
        progress: Told how far each stage has come.

    Returns:
        What ``results.json`` holds.

    Raises:
        InputError: On bad input; nothing is written then.
    """
    return start(config, out, force=force, progress=progress).travel()
