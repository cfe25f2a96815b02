"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

_MEMORY = (
    "digits, moons, wine, ... or a file (.npy .npz .csv .csv.gz .tsv .parquet), or a folder of "
    "images"
)
_DISK = "FOLDER[:COLUMNS] of Arrow or Parquet files or .tar shards of images, which stay on disk"


def _source(what: str) -> Any:
    return typer.Argument(metavar="SOURCE", show_default=False, help=f"{what}.")


Source = Annotated[str, _source(_MEMORY)]
SourceToFit = Annotated[str, _source(f"{_MEMORY}; for a network also {_DISK}")]
SourceOrRun = Annotated[str, _source(f"{_MEMORY}; or a run folder")]
SourceToPlan = Annotated[str | None, _source(f"{_MEMORY}; or a run folder, or {_DISK}")]
Out = Annotated[Path, typer.Option("--out", "-o", help="The run folder.", show_default=False)]
Seed = Annotated[int, typer.Option(help="Seed of everything drawn.")]
MaybeSeed = Annotated[
    int | None, typer.Option(help="Seed of everything drawn [0].", show_default=False)
]
Config = Annotated[
    Path | None, typer.Option("--config", help="A TOML file of settings.", show_default=False)
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="One setting, such as network.steps=500.", metavar="KEY=VALUE",
                 show_default=False),
]  # fmt: skip
Models = Annotated[
    str | None,
    typer.Option("--models", "--model", "-m",
                 help="Which models, comma-separated [empirical,proximal,network]; also one-step.",
                 show_default=False),
]  # fmt: skip
TableSchema = Annotated[
    str | None,
    typer.Option("--schema", show_default=False,
                 help="A TOML or JSON file that says what the columns of a table are, and how its "
                 "CSV files are written."),
]  # fmt: skip
Group = Annotated[
    str | None,
    typer.Option("--group", metavar="COLUMN", show_default=False,
                 help="Rows of one value, such as one patient, are on one side of the hold-out."),
]  # fmt: skip
Order = Annotated[
    str | None,
    typer.Option("--order", metavar="COLUMN", show_default=False,
                 help="Hold out the latest rows by this column of dates or numbers."),
]  # fmt: skip
Force = Annotated[bool, typer.Option("--force", help="Start afresh over what is there.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
RunOrPipeline = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="A run folder, or diffusers:FOLDER, a saved pipeline."),
]
ROWS, SOLVER, STEPS = 1000, "heun", 18
"""How rows of a pipeline are drawn where nothing else is asked for."""
PipelineData = Annotated[
    str | None,
    typer.Option("--data", metavar="SOURCE", show_default=False,
                 help="Of a pipeline only: images of its size, channels first or last: a file, a "
                 "folder of images, or FOLDER:COLUMN of Arrow or Parquet files (up to 20,000 "
                 "rows are drawn)."),
]  # fmt: skip
PipelineLabel = Annotated[
    int | None,
    typer.Option("--label", show_default=False,
                 help="Of a pipeline that knows classes: the class, by number; data are of it."),
]  # fmt: skip
ModelName = Annotated[
    str | None,
    typer.Option("--model", "-m", help="empirical, proximal or network [the run's last].",
                 show_default=False),
]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
