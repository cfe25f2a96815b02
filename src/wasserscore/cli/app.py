"""The application: what ``wasserscore`` says of itself, and its exit codes."""

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import wraps
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, NoReturn, ParamSpec

import typer

from wasserscore import __version__
from wasserscore.core.errors import AssumptionError, InputError
from wasserscore.core.memory import ran_out

RULE_FAILED, BAD_INPUT, NUMERICAL, BUG, INTERRUPTED, UNREAD = 1, 2, 3, 70, 130, 141
GRACE = 10.0
"""Seconds that a further process leaves the first one to say why both of them stop."""
LESS = {
    "n": "a smaller --n",
    "batch": "a smaller --batch",
    "models": "for a network a smaller network.batch_size by --set",
}
"""What needs less memory, in a command with this argument."""
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

**Exit codes:** 0 passed, 1 a --fail-if condition held, 2 bad input, or more than fits in memory,
3 numbers that are not finite, 70 a bug of ours, 130 interrupted, 141 nobody read the output.
""",
)


def exit_codes(command: Callable[P, None]) -> Callable[P, None]:
    """Turn every outcome of a command into one line on stderr and an exit code.

    Before the line of one that nobody foresaw goes its traceback.
    """

    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with _silent_beside_the_first():
                _print_anything()
                command(*args, **kwargs)
        except KeyboardInterrupt:
            _stop("interrupted; the same command continues a run", INTERRUPTED)
        except (InputError, AssumptionError) as error:
            _stop(str(error), BAD_INPUT)
        except ArithmeticError as error:
            _stop(str(error), NUMERICAL)
        except BrokenPipeError:
            _leave_unread()
        except typer.Exit:
            raise
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            _stop(f"{error.strerror or error}{where}", BAD_INPUT)
        except Exception as error:
            if ran_out(error):
                less = ["fewer rows", *(words for name, words in LESS.items() if name in kwargs)]
                _stop(f"there was not enough memory; take {' or '.join(less)}", BAD_INPUT)
            traceback.print_exc()
            _stop(f"a bug of ours, {type(error).__name__}; report it with the lines above", BUG)

    return guarded


def by_one(command: Callable[P, None]) -> Callable[P, None]:
    """Under ``torchrun``: the first process does it all, and the others leave at once."""

    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        if _beside_the_first():
            return
        from wasserscore.core.distributed import alone

        with alone():
            command(*args, **kwargs)

    return guarded


def _stop(message: str, code: int) -> NoReturn:
    if _beside_the_first():
        time.sleep(GRACE)  # torchrun ends all with the one that ends first
    else:
        typer.echo(f"wasserscore: {message}", err=True)
    raise typer.Exit(code)


def _print_anything() -> None:
    """What standard output has no letters for (``±`` in ASCII, bytes of a name) is escaped."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _leave_unread() -> NoReturn:
    """Whoever read the output is gone, as after ``| head``: end without a word, as others do."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still buffered
    raise typer.Exit(UNREAD)


def _beside_the_first() -> bool:
    """Whether this is a further process of a ``torchrun``; asked before torch is loaded."""
    return "WORLD_SIZE" in os.environ and os.environ.get("RANK", "0") != "0"


@contextmanager
def _silent_beside_the_first() -> Iterator[None]:
    """What every process would print, the first one prints."""
    if not _beside_the_first():
        yield
        return
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


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
