"""Commands on two files: audit, flow."""

from pathlib import Path
from typing import Annotated

import typer

from wasserscore.cli.app import RULE_FAILED, app, by_one, exit_codes
from wasserscore.cli.arguments import (
    ROWS,
    SOLVER,
    STEPS,
    Force,
    Json,
    PipelineData,
    PipelineLabel,
    Seed,
    TableSchema,
)


@app.command()
@exit_codes
@by_one
def audit(
    real: Annotated[
        str | None,
        typer.Argument(
            metavar="REAL",
            help="The rows the model was trained on, or a run folder.",
            show_default=False,
        ),
    ] = None,
    fake: Annotated[
        str | None,
        typer.Argument(metavar="FAKE", help="The generated rows.", show_default=False),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            show_default=False,
            help="diffusers:FOLDER, a saved pipeline: audit rows that are drawn from it.",
        ),
    ] = None,
    data: PipelineData = None,
    label: PipelineLabel = None,
    n: Annotated[
        int | None,
        typer.Option("--n", "-n", min=1, help="Of a pipeline: rows.", show_default=str(ROWS)),
    ] = None,
    solver: Annotated[
        str | None,
        typer.Option(help="Of a pipeline: name of a solver.", show_default=SOLVER),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Of a pipeline: sampling steps.", show_default=str(STEPS)),
    ] = None,
    holdout: Annotated[
        str | None,
        typer.Option(
            help="Real rows the model has not seen; needed for a verdict.",
            show_default=False,
        ),
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if",
            metavar="RULE",
            show_default=False,
            help="Exit with 1 when this holds, such as 'flagged>0' or 'copies>0.1%'; repeatable. "
            "Shares of rows: copies (exact ones), near_copies, repeats, excess_near_copies; and "
            "flagged (1 where the verdict is memorized or suspicious).",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for audit.html and audit.json.", show_default=False
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            show_default=False,
            help="Say how well COLUMN is predicted after learning from FAKE, and from REAL; in "
            "the page of --out it is the last column of 2 to 20 levels, or of numbers.",
        ),
    ] = None,
    schema: TableSchema = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Are generated rows copies of the training rows? Two files in, a verdict out.

    Of a run folder, REAL is the rows that its models were fitted to, and the hold-out is the rows
    that it held out. REAL may be FOLDER[:COLUMNS] of Arrow or Parquet files: all of their rows are
    searched where they are. Of a hold-out in such files up to 20,000 rows are drawn by the seed.
    With --model FAKE is drawn from a pipeline, and kept as generated.npy in the folder --out.

    **Examples**

        wasserscore audit runs/mine synthetic.csv --out runs/mine/audit

        wasserscore audit train.csv synthetic.csv --holdout test.csv --fail-if 'flagged>0'

        wasserscore audit shards:image new.npy --holdout kept-out:image

        wasserscore audit --model diffusers:my-ddpm --data images.npy --holdout unseen.npy -o page
    """  # fmt: skip
    from wasserscore.cli.doing import two_files as commands

    passed = commands.audit(
        real, fake, model=model, data=data, label=label, n=n, solver=solver, steps=steps,
        holdout=holdout, out=out, schema=schema, target=target, rules=fail_if or [], seed=seed,
        json=json,
    )  # fmt: skip
    if not passed:
        raise typer.Exit(RULE_FAILED)


@app.command()
@exit_codes
@by_one
def flow(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="The rows to move, with TARGET's columns; or: normal."
        ),
    ],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The rows to move them to.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            show_default=False,
            help="A new .npy or .csv file; or a folder, which gets a page and an animation too.",
        ),
    ],
    n: Annotated[
        int | None,
        typer.Option(
            "--n",
            "-n",
            min=1,
            help="Rows to draw for SOURCE normal [as TARGET].",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=2, help="Steps.")] = 300,
    schedule: Annotated[
        str, typer.Option(help="How bandwidths fall: geometric, cosine, karras or random.")
    ] = "geometric",
    sigma_max: Annotated[
        float | None, typer.Option(help="First bandwidth [from the data].", show_default=False)
    ] = None,
    sigma_min: Annotated[
        float | None, typer.Option(help="Last bandwidth [from the data].", show_default=False)
    ] = None,
    kernel: Annotated[
        str, typer.Option(help="gaussian, inverse_multiquadric, laplace or student_t.")
    ] = "gaussian",
    self_interaction: Annotated[
        str | None,
        typer.Option(
            help="keep, leave_one_out, noised or independent [chosen, and said].",
            show_default=False,
        ),
    ] = None,
    step: Annotated[float, typer.Option(help="Step size, in squared bandwidths.")] = 1.0,
    batch: Annotated[
        int | None, typer.Option(help="Target rows per step [all].", show_default=False)
    ] = None,
    schema: TableSchema = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Carry rows from one file to the law of another along the score difference; no training.

    Writes the rows with TARGET's columns, and beside them a .json record: the settings and the
    diagnostics of every step. A folder as --out also gets flow.html, with a slider over the
    steps, and flow.gif. Columns of numbers are standardised first; a table with text moves
    in its own metric. Audit the rows before you pass them on: fine bandwidths lead to copies.

    **Examples**

        wasserscore flow normal digits --out digits.npy

        wasserscore flow normal moons --out runs/moons-flow

        wasserscore flow last_year.csv this_year.csv --out moved.csv --steps 200
    """  # fmt: skip
    from wasserscore.cli.doing import two_files as commands

    annealing = {
        "shape": schedule, "steps": steps, "sigma_max": sigma_max, "sigma_min": sigma_min,
    }  # fmt: skip
    commands.flow(
        source, target, out, annealing=annealing, schema=schema, n=n, seed=seed, force=force,
        kernel=kernel, self_interaction=self_interaction, step=step, batch=batch,
    )  # fmt: skip
