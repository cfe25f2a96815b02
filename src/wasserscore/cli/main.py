"""``wasserscore``: the console entry point, its commands and its exit codes.

Nothing heavy is imported here: a command imports the experiment room when it runs, so that
``--help`` answers at once.
"""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, NoReturn, ParamSpec

import typer

from wasserscore import __version__
from wasserscore.cli import options
from wasserscore.core.errors import InputError

RULE_FAILED, BAD_INPUT, NUMERICAL, INTERRUPTED = 1, 2, 3, 130
P = ParamSpec("P")

app = typer.Typer(
    name="wasserscore",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Score-based generative models with a Wasserstein certificate.

Fit, sample, measure the W2 distance beside its noise floor, bound it, plan the steps, and count
the copies.

**Start here:** `wasserscore run digits --out runs/digits`, then open `runs/digits/report.html`.

**Exit codes:** 0 passed, 1 a --fail-if rule failed, 2 bad input, 3 numbers that are not finite,
130 interrupted.
""",
)

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="digits, moons, wine, ... or a file (.npy .npz .csv .csv.gz .parquet), "
        "or a folder of PNG images.",
    ),
]
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
    typer.Option(help="Which models, comma-separated [empirical,proximal,network]; also one-step.",
                 show_default=False),
]  # fmt: skip
TableSchema = Annotated[
    str | None,
    typer.Option("--schema", show_default=False,
                 help="A TOML or JSON file that says what the columns of a table are."),
]  # fmt: skip
Force = Annotated[bool, typer.Option("--force", help="Start afresh over what is there.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
ModelName = Annotated[
    str | None,
    typer.Option("--model", "-m", help="empirical, proximal or network [the run's last].",
                 show_default=False),
]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def exit_codes(command: Callable[P, None]) -> Callable[P, None]:
    """Turn every foreseen outcome of a command into one line on stderr and an exit code."""

    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt:
            _stop("interrupted; the same command continues a run", INTERRUPTED)
        except InputError as error:
            _stop(str(error), BAD_INPUT)
        except ArithmeticError as error:
            _stop(str(error), NUMERICAL)
        except BrokenPipeError:
            raise
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            _stop(f"{error.strerror or error}{where}", BAD_INPUT)

    return guarded


def _stop(message: str, code: int) -> NoReturn:
    typer.echo(f"wasserscore: {message}", err=True)
    raise typer.Exit(code)


def _version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"wasserscore {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


@app.command()
@exit_codes
def run(
    source: Source,
    out: Out,
    seed: MaybeSeed = None,
    models: Models = None,
    schema: TableSchema = None,
    config: Config = None,
    settings: Settings = None,
    force: Force = False,
) -> None:
    """The whole journey: fit models, sample, measure, bound, audit, plan, write report.html.

    Half of the rows are held out. An interrupted run continues with the same command.

    **Examples**

        wasserscore run digits --out runs/digits

        wasserscore run my.csv --out runs/mine --models proximal --set resplits=5
    """
    from wasserscore.cli import commands

    wanted = commands.settings(source, seed, models, config, settings, schema)
    commands.run(wanted, out, force=force)


@app.command()
@exit_codes
def fit(
    source: Source,
    out: Out,
    seed: MaybeSeed = None,
    models: Models = None,
    schema: TableSchema = None,
    config: Config = None,
    settings: Settings = None,
    force: Force = False,
) -> None:
    """Only fit the models of a run; `wasserscore run` with the same settings does the rest.

    **Example**

        wasserscore fit my.csv --out runs/mine --models proximal
    """
    from wasserscore.cli import commands

    wanted = commands.settings(source, seed, models, config, settings, schema)
    commands.fit(wanted, out, force=force)


@app.command()
@exit_codes
def sample(
    folder: RunFolder,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="A new .csv, .csv.gz, .parquet or .npy file.", show_default=False
        ),
    ],
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="How many rows.")] = 1000,
    model: ModelName = None,
    where: Annotated[
        str | None,
        typer.Option(
            show_default=False,
            help='Conditions that every row obeys, such as "sex=F,age>40"; "city=" is missing.',
        ),
    ] = None,
    seed: Seed = 0,
    steps: Annotated[int, typer.Option(min=1, help="Sampling steps.")] = 18,
    solver: Annotated[str, typer.Option(help="Name of a solver.")] = "heun",
    force: Force = False,
) -> None:
    """Draw new rows from a fitted model, in the data's units, columns and range.

    Row i depends on the seed and on i only, not on how many are drawn. Under conditions the
    proximal model draws from its conditional law, without solver; others draw until rows fit.

    **Examples**

        wasserscore sample runs/mine --model proximal -n 500 --out synthetic.csv

        wasserscore sample runs/mine -m proximal --where "sex=F,age>40" --out older-women.csv
    """
    from wasserscore.cli import commands

    commands.sample(
        folder, out, n, model=model, where=where, seed=seed, steps=steps, solver=solver,
        force=force,
    )  # fmt: skip


@app.command()
@exit_codes
def certify(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN|MODEL", help="A run folder, or a saved model.")
    ],
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

    **Examples**

        wasserscore certify runs/digits --model network --steps 40 --level 0.99

        wasserscore certify runs/digits --reference proximal --solver exponential --eta 1
    """
    from wasserscore.cli import commands

    commands.certify(
        folder, model=model, reference=reference, n=n, steps=steps, solver=solver, eta=eta,
        grid=grid, stop=stop, start=start, target=target, constant=constant, level=level,
        bandwidth=bandwidth, seed=seed, json=json,
    )  # fmt: skip


@app.command()
@exit_codes
def plan(
    source: Source,
    target_w2: Annotated[
        float, typer.Option(help="The W2 the sampler may add, data units.", show_default=False)
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            show_default=False,
            help="A fitted model of the run SOURCE: plan for its own score.",
        ),
    ] = None,
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
            help="Folder for plan.json, plan.png and plan.svg [runs/plan-SOURCE].",
        ),
    ] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """How many steps, which process, solver and grid reach a target W2 on data like this.

    Prints the ranked table and writes it with a picture of W2 against evaluations. SOURCE may
    also be a run folder: then its training rows are used, and with --model its own score.

    **Examples**

        wasserscore plan digits --target-w2 0.1

        wasserscore plan runs/digits --model network --target-w2 0.3
    """  # fmt: skip
    from wasserscore.cli import commands

    commands.plan(
        source, target_w2, out=out, json=json, model=model, mode=mode, surrogate=surrogate,
        solver=solver, seed=seed,
    )  # fmt: skip


@app.command()
@exit_codes
def audit(
    real: Annotated[
        str, typer.Argument(metavar="REAL", help="The rows the model was trained on.")
    ],
    fake: Annotated[str, typer.Argument(metavar="FAKE", help="The generated rows.")],
    holdout: Annotated[
        str | None,
        typer.Option(
            help="Real rows the model has not seen; needed for a verdict.", show_default=False
        ),
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if",
            metavar="RULE",
            show_default=False,
            help="Exit with 1 when this holds, such as 'copies>0.1%'; repeatable. "
            "Quantities: copies, near_copies, repeats, excess_near_copies, flagged.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for audit.html and audit.json.", show_default=False
        ),
    ] = None,
    schema: TableSchema = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Are generated rows copies of the training rows? Two files in, a verdict out.

    **Example**

        wasserscore audit train.csv synthetic.csv --holdout test.csv --fail-if 'copies>0.1%'
    """  # fmt: skip
    from wasserscore.cli import commands

    passed = commands.audit(real, fake, holdout=holdout, out=out, schema=schema,
                            rules=fail_if or [], seed=seed, json=json)  # fmt: skip
    if not passed:
        raise typer.Exit(RULE_FAILED)


@app.command()
@exit_codes
def flow(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="The rows to move, with TARGET's columns; or: normal."
        ),
    ],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The rows to move them to.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="A new .npy or .csv file.", show_default=False)
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
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Carry rows from one file to the law of another along the score difference; no training.

    Writes the rows with TARGET's columns, and beside them a .json record: the settings and the
    diagnostics of every step. Columns of a table are standardised first. Audit the rows before
    you pass them on: fine bandwidths lead to copies.

    **Examples**

        wasserscore flow normal digits --out digits.npy

        wasserscore flow last_year.csv this_year.csv --out moved.csv --steps 200
    """  # fmt: skip
    from wasserscore.cli import commands

    annealing = {
        "shape": schedule, "steps": steps, "sigma_max": sigma_max, "sigma_min": sigma_min,
    }  # fmt: skip
    commands.flow(
        source, target, out, annealing=annealing, n=n, seed=seed, force=force, kernel=kernel,
        self_interaction=self_interaction, step=step, batch=batch,
    )  # fmt: skip


@app.command()
@exit_codes
def compare(
    source: Source,
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
    seed: MaybeSeed = None,
    config: Config = None,
    settings: options.Settings = None,
    force: Force = False,
) -> None:
    """Which process, solver and number of steps gets one score closest to held-out rows in W2.

    Every cell shares the score, the noise of its seed and the held-out rows; noise floor and
    bootstrap stand beside. Writes compare.csv, .tex, .png, .svg and .json into --out. Every cell
    is kept there: Ctrl-C loses nothing, and asking for more solvers, steps or seeds computes only
    the new cells. SOURCE may also be a run folder: then its own models and halves are used.

    **Examples**

        wasserscore compare digits --out runs/compare

        wasserscore compare runs/digits --model network --steps 5,10,20,40,80 --out runs/network
    """  # fmt: skip
    from wasserscore.cli import commands

    commands.compare(
        source, out, holdout=holdout, config=config, overrides=settings, force=force,
        processes=processes, solvers=solvers, steps=steps, seeds=seeds, model=model, grid=grid,
        n=n, seed=seed,
    )  # fmt: skip


@app.command()
@exit_codes
def report(folder: RunFolder) -> None:
    """Write report.html and the figures of a finished run again.

    **Example**

        wasserscore report runs/digits
    """
    from wasserscore.cli import commands

    commands.report(folder)


def main() -> None:
    """Run the command line."""
    # Threads that wait for work must not spin: beside one other busy process, spinning made
    # training ten times slower on two cores. Read when torch loads, so set before.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    app()


if __name__ == "__main__":
    main()
