"""The fit of a run whose rows stay on disk: a network, which needs one batch at a time."""

from pathlib import Path
from typing import Any

from wasserscore.core.distributed import on_first
from wasserscore.core.errors import require
from wasserscore.core.results import plain
from wasserscore.experiment.config import RunConfig
from wasserscore.experiment.drawn import mapped
from wasserscore.experiment.folder import MODELS, SCHEMA_VERSION, RunFolder
from wasserscore.experiment.model import Model
from wasserscore.experiment.models import train_network
from wasserscore.experiment.progress import Progress, silent

ONLY = ("network",)


def fit_on_disk(
    config: RunConfig, out: str | Path, *, force: bool = False, progress: Progress = silent
) -> int:
    """Fit a network to files that may be larger than memory; returns how many rows they have.

    All rows train. Nothing here measures the model: sample it, and audit the samples against rows
    that were kept out of the files.

    Args:
        config: What to do; its source is one that :func:`wasserscore.data.on_disk` knows.
        out: The run folder.
        force: Start afresh in a folder that holds a run.
        progress: Told how far it has come.

    Raises:
        InputError: On a configuration, files or a folder that cannot be used.
    """
    require(config.models == ONLY, "rows on disk train a network only",
            got=", ".join(config.models), do="pass --models network")  # fmt: skip
    asked = {"group": config.group, "order": config.order, "schema": config.table_schema}
    named = [f"--{name}" for name, value in asked.items() if value is not None]
    require(not named, "rows on disk are numbers, and all of them train", got=", ".join(named),
            do="leave it out")  # fmt: skip
    name, data = mapped(config.source)  # float64, for the range; training rounds
    folder = RunFolder.create(out, plain({
        "schema_version": SCHEMA_VERSION,
        "config": config.model_dump(mode="json"),
        "data_sha256": data.sha256,
    }), force=force)  # fmt: skip

    def compute() -> dict[str, Any]:
        progress("scaling", 0, 1)
        layout = data.layout(name, f"{len(data)} rows of {name}")
        scaling = data.fit_scaling(layout.kind)
        progress("scaling", 1, 1)
        spread = (data.moments.variance / scaling.scale.square()).mean().sqrt()
        score = train_network(
            data.scaled(scaling), scaling, seed=config.seed, data_std=float(spread),
            out=folder.path, callback=lambda done, steps: progress("fit network", done, steps),
            **config.network.model_dump(),
        )  # fmt: skip
        on_first(lambda: Model(score, layout).save(folder.path / MODELS / "network"))
        return {"rows": len(data)}

    rows: int = folder.stage("fit-network", compute, together=True, makes=f"{MODELS}/network"
    )["rows"]  # fmt: skip
    return rows
