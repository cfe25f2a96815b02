"""Commands that make a run, and draw from it, bound it or write it up."""

from pathlib import Path
from typing import Annotated

import typer

from wasserscore.cli.app import app, by_one, exit_codes
from wasserscore.cli.arguments import (
    Config,
    Force,
    Group,
    Json,
    MaybeSeed,
    ModelName,
    Models,
    Order,
    Out,
    PipelineData,
    PipelineLabel,
    RunFolder,
    RunOrPipeline,
    Seed,
    Settings,
    Source,
    SourceToFit,
    TableSchema,
)


@app.command()
@exit_codes
def run(
    source: Source,
    out: Out,
    seed: MaybeSeed = None,
    models: Models = None,
    schema: TableSchema = None,
    group: Group = None,
    order: Order = None,
    config: Config = None,
    settings: Settings = None,
    force: Force = False,
) -> None:
    """The whole journey: fit models, sample, measure, bound, audit, plan, write report.html.

    Half of the rows are held out. An interrupted run continues with the same command. Rows that
    stay on disk have no run: fit, sample, certify, plan and audit take them one by one.

    **Examples**

        wasserscore run digits --out runs/digits

        wasserscore run my.csv --out runs/mine --models proximal --set resplits=5
    """
    from wasserscore.cli.doing import runs as commands

    wanted = commands.settings(
        source, seed, models, config, settings, table_schema=schema, group=group, order=order
    )
    commands.run(wanted, out, force=force)


@app.command()
@exit_codes
def fit(
    source: SourceToFit,
    out: Out,
    seed: MaybeSeed = None,
    models: Models = None,
    schema: TableSchema = None,
    group: Group = None,
    order: Order = None,
    config: Config = None,
    settings: Settings = None,
    force: Force = False,
) -> None:
    """Only fit the models of a run; `wasserscore run` with the same settings does the rest.

    Of a folder of Arrow or Parquet files, of any size, a network is fitted to all rows; they stay
    on disk.

    **Examples**

        wasserscore fit my.csv --out runs/mine --models proximal --group patient_id

        wasserscore fit my.csv --out runs/mine --models proximal --set proximal.per=sex

        wasserscore fit shards:image --out runs/images --models network
    """
    from wasserscore.cli.doing import runs as commands

    wanted = commands.settings(
        source, seed, models, config, settings, table_schema=schema, group=group, order=order
    )
    commands.fit(wanted, out, force=force)


@app.command()
@exit_codes
def sample(
    folder: RunOrPipeline,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="A new .csv, .tsv, .parquet or .npy file.", show_default=False
        ),
    ],
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="How many rows.")] = 1000,
    model: ModelName = None,
    where: Annotated[
        str | None,
        typer.Option(
            show_default=False,
            help='Conditions that every row obeys, such as "sex=F,age>40"; "city=" is missing. '
            "Names and values with commas, signs or quotes go into quotes, quotes doubled.",
        ),
    ] = None,
    balance: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            show_default=False,
            help="Equal shares of the levels of a column, however rare they are in the data.",
        ),
    ] = None,
    seed: Seed = 0,
    steps: Annotated[
        int | None, typer.Option(min=1, show_default=False, help="Sampling steps [18].")
    ] = None,
    solver: Annotated[
        str | None,
        typer.Option(
            show_default=False,
            help="Name of a solver [heun; the proximal model is drawn from exactly unless solver "
            "or steps are given].",
        ),
    ] = None,
    data: PipelineData = None,
    label: PipelineLabel = None,
    force: Force = False,
) -> None:
    """Draw new rows from a fitted model, in the data's units, columns and range.

    Row i depends on the seed and on i only, not on how many are drawn. The proximal model is
    drawn from exactly, unless a solver is named. Under conditions, rows are drawn until enough
    fit; an exact amount is given to the proximal model as known.

    **Examples**

        wasserscore sample runs/mine --model proximal -n 500 --out synthetic.csv

        wasserscore sample runs/mine -m proximal --where "sex=F,age>40" --out older-women.csv

        wasserscore sample runs/mine -m proximal --where 'size="3.5"" disk"' --out disks.csv

        wasserscore sample diffusers:my-ddpm --data images.npy --solver ddim --steps 50 -o new.npy
    """
    from wasserscore.cli.doing import runs as commands

    commands.sample(
        folder, out, n, model=model, where=where, balance=balance, seed=seed, steps=steps,
        solver=solver, data=data, label=label, force=force,
    )  # fmt: skip


@app.command()
@exit_codes
def certify(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN|MODEL",
            show_default=False,
            help="A run folder, a saved model, or diffusers:FOLDER, a saved pipeline (which may "
            "also be named with --model).",
        ),
    ] = None,
    model: ModelName = None,
    reference: Annotated[
        str,
        typer.Option(
            help="smoothed, proximal or gaussian (of the training rows), or the path of a saved "
            "closed-form model."
        ),
    ] = "smoothed",
    n: Annotated[int, typer.Option("--n", "-n", min=16, help="Coupled pairs.")] = 256,
    steps: Annotated[int, typer.Option(min=1, help="Sampling steps.")] = 18,
    solver: Annotated[str, typer.Option(help="Name of a solver.")] = "heun",
    eta: Annotated[
        float | None,
        typer.Option(
            help="Noise level, 0 flow to 1 reverse SDE [the solver's].", show_default=False
        ),
    ] = None,
    grid: Annotated[str, typer.Option(help="karras, logsnr or uniform.")] = "karras",
    stop: Annotated[
        float | None, typer.Option(help="Early stopping time.", show_default=False)
    ] = None,
    start: Annotated[
        str, typer.Option(help="prior, or reference (the noised reference itself).")
    ] = "prior",
    target: Annotated[
        str, typer.Option(help="reference, or data (the rows without their smoothing).")
    ] = "reference",
    constant: Annotated[
        str | None,
        typer.Option(
            show_default=False,
            help="Adds the theorem's bounds: estimated (never a bound), certified (the model's), "
            "reference (for the swapped form), or a number that you state.",
        ),
    ] = None,
    level: Annotated[float, typer.Option(min=0.5, max=0.9999, help="Confidence level.")] = 0.95,
    data: PipelineData = None,
    label: PipelineLabel = None,
    bandwidth: Annotated[
        float | None,
        typer.Option(
            help="Smoothing of the reference, in standard deviations [from the data].",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """An upper bound on W2 between a reference law and what the sampler returns.

    Where the training rows stay on disk, the reference is of up to 20,000 of them, drawn by the
    seed: the certificate speaks of these and says so.

    **Examples**

        wasserscore certify runs/digits --model network --steps 40 --level 0.99

        wasserscore certify runs/digits --reference proximal --solver exponential --eta 1

        wasserscore certify diffusers:my-ddpm --data images.npy --solver ddim --steps 50
    """
    from wasserscore.cli.doing import runs as commands

    commands.certify(
        folder, model=model, reference=reference, n=n, steps=steps, solver=solver, eta=eta,
        grid=grid, stop=stop, start=start, target=target, constant=constant, level=level,
        bandwidth=bandwidth, data=data, label=label, seed=seed, json=json,
    )  # fmt: skip


@app.command()
@exit_codes
@by_one
def report(folder: RunFolder) -> None:
    """Write report.html and the figures of a finished run again.

    **Example**

        wasserscore report runs/digits
    """
    from wasserscore.cli.doing import runs as commands

    commands.report(folder)
