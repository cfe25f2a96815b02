"""Commands that ask how to sample: plan, compare."""

from pathlib import Path
from typing import Annotated

import typer

from wasserscore.cli import options
from wasserscore.cli.app import app, by_one, exit_codes
from wasserscore.cli.arguments import (
    Config,
    Force,
    Group,
    Json,
    MaybeSeed,
    Order,
    PipelineData,
    PipelineLabel,
    Seed,
    SourceOrRun,
    SourceToPlan,
    TableSchema,
)


@app.command()
@exit_codes
@by_one
def plan(
    target_w2: Annotated[
        float, typer.Option(help="The W2 the sampler may add, data units.", show_default=False)
    ],
    source: SourceToPlan = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            show_default=False,
            help="A fitted model of the run SOURCE, or diffusers:FOLDER: plan for its own score.",
        ),
    ] = None,
    data: PipelineData = None,
    label: PipelineLabel = None,
    mode: Annotated[
        str | None,
        typer.Option(
            show_default=False,
            help="calibrated, model (needs a run) or theorem [calibrated; with --model: model].",
        ),
    ] = None,
    surrogate: Annotated[
        str | None,
        typer.Option(
            show_default=False,
            help="What stands in for the data in calibrated mode: gaussian or mixture [gaussian].",
        ),
    ] = None,
    solver: Annotated[
        list[str] | None,
        typer.Option(help="Plan for this solver; repeatable [all].", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            show_default=False,
            help="Folder for plan.json, plan.png and plan.svg [RUN/plan or runs/plan-SOURCE].",
        ),
    ] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """How many steps, which process, solver and grid reach a target W2 on data like this.

    Prints the ranked table, and always writes it too, with a picture of W2 against evaluations:
    into --out, or into runs/plan-SOURCE here; -MODEL follows. SOURCE may also be a run folder:
    then its training rows are used, with --model its own score, and the plan goes into RUN/plan.
    Of rows on disk up to 20,000 are drawn by the seed, and the plan says so.

    **Examples**

        wasserscore plan digits --target-w2 0.1

        wasserscore plan runs/digits --model network --target-w2 0.3

        wasserscore plan --model diffusers:my-ddpm --data images.npy --target-w2 500
    """  # fmt: skip
    from wasserscore.cli.doing import studies as commands

    commands.plan(
        source, target_w2, model=model, data=data, out=out, json=json, label=label, mode=mode,
        surrogate=surrogate, solver=solver, seed=seed,
    )  # fmt: skip


@app.command()
@exit_codes
@by_one
def compare(
    source: SourceOrRun,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the results.", show_default=False)
    ],
    processes: options.Processes = None,
    solvers: options.Solvers = None,
    steps: options.Steps = None,
    seeds: options.Seeds = None,
    model: options.WhoseScore = None,
    grid: options.Grid = None,
    n: options.Points = None,
    holdout: options.Holdout = None,
    schema: TableSchema = None,
    group: Group = None,
    order: Order = None,
    seed: MaybeSeed = None,
    config: Config = None,
    settings: options.Settings = None,
    force: Force = False,
) -> None:
    """Which process, solver and number of steps samples one score best: W2 and energy distance.

    Every cell shares the score, the noise of its seed and the held-out rows; noise floor and
    bootstrap stand beside. Writes compare.csv, .tex, .png, .svg and .json into --out. Every cell
    is kept there: Ctrl-C loses nothing, and asking for more solvers, steps or seeds computes only
    the new cells. SOURCE may also be a run folder: then its own models and halves are used.

    **Examples**

        wasserscore compare digits --out runs/compare

        wasserscore compare runs/digits --model network --steps 5,10,20,40,80 --out runs/network
    """  # fmt: skip
    from wasserscore.cli.doing import studies as commands

    commands.compare(
        source, out, holdout=holdout, config=config, overrides=settings, force=force,
        processes=processes, solvers=solvers, steps=steps, seeds=seeds, model=model, grid=grid,
        n=n, table_schema=schema, group=group, order=order, seed=seed,
    )  # fmt: skip
