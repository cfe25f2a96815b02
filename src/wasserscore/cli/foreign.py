"""Commands that name a saved pipeline with ``--model``, and its data with ``--data``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from wasserscore.cli.arguments import ROWS, SOLVER, STEPS
from wasserscore.core.errors import InputError, explain, require
from wasserscore.experiment.pipelines import (
    PREFIX,
    is_pipeline,
    pipeline_model,
    require_no_pipeline,
)
from wasserscore.experiment.write import write_rows

DRAWN = "generated.npy"


def source_of(source: str | None, data: str | None, model: str | None, name: str) -> str:
    """The rows that a command is about, given in its place or, beside a pipeline, as ``--data``.

    Args:
        source: In its place.
        data: With ``--data``.
        model: With ``--model``.
        name: Of the place.

    Raises:
        InputError: If both or neither are given, or data without a pipeline.
    """
    require(data is None or is_pipeline(model), "--data goes with --model diffusers:FOLDER",
            got=f"--data {data}", do=f"give it as {name}")  # fmt: skip
    if source is not None and data is None:
        return source
    if data is not None and source is None:
        return data
    got = "none" if source is None else f"{name} {source} and --data {data}"
    raise InputError(explain(f"{name} must be given once", got=got,
                             do="name it, or beside --model diffusers:FOLDER give --data")
    )  # fmt: skip


def subject_of(folder: Path | None, model: str | None) -> tuple[Path, str | None]:
    """What is certified, a run's model among them: ``--model diffusers:FOLDER`` alone will do.

    Raises:
        InputError: If nothing is named, or a pipeline beside something else.
    """
    if folder is None and is_pipeline(model):
        return Path(str(model)), None
    if folder is None:
        given = "none" if model is None else f"--model {model} without RUN"
        raise InputError(explain("a run folder or a pipeline must be named", got=given,
                                 do="give RUN, or --model diffusers:FOLDER and --data")
        )  # fmt: skip
    require(not (is_pipeline(model) or (is_pipeline(folder) and model)),
            "one model is certified at a time", got=f"{folder} and --model {model}",
            do="leave one of them out")  # fmt: skip
    return folder, model


@contextmanager
def sides_of(
    real: str | None,
    fake: str | None,
    *,
    model: str | None,
    data: str | None,
    label: int | None,
    n: int | None,
    solver: str | None,
    steps: int | None,
    out: Path | None,
    seed: int,
) -> Iterator[tuple[str, Callable[[], tuple[str, str | None]]]]:
    """The real rows of an audit, and what gives the file of the generated ones when it is called.

    Beside the latter comes what to call them, where the file's name says too little. Of a pipeline
    rows are drawn then, which takes long, and stay where there is ``out``.

    Raises:
        InputError: If the generated rows are not given once, or the model is no pipeline.
    """
    real = source_of(real, data, model, "REAL")
    if model is None:
        require_no_pipeline(data, label)
        require(fake is not None, "FAKE must be given", got="none",
                do="name a file of generated rows, or --model diffusers:FOLDER")  # fmt: skip
        asked = {"--n": n, "--solver": solver, "--steps": steps}
        useless = [name for name, given in asked.items() if given is not None]
        require(not useless, "rows of files are not drawn", got=", ".join(useless),
                do="leave it out, or name a pipeline by --model")  # fmt: skip
        yield real, lambda: (str(fake), None)
        return
    require(is_pipeline(model), "a model to audit is a saved pipeline", got=repr(model),
            do="name it diffusers:FOLDER, or audit what wasserscore sample writes")  # fmt: skip
    require(fake is None, "rows come from a file or from a model", got=f"{fake} and {model}",
            do="leave one of them out")  # fmt: skip
    n, solver, steps = n or ROWS, solver or SOLVER, steps or STEPS
    made, _ = pipeline_model(model, real, label=label, seed=seed)
    whose = Path(str(model).removeprefix(PREFIX)).resolve().name
    told = "" if label is None else f", label {label}"
    with TemporaryDirectory() as passing:
        path = (out or Path(passing)) / DRAWN

        def draw() -> tuple[str, str | None]:
            rows = made.sample(n, seed=seed, solver=solver, steps=steps)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_rows(path, rows, made.layout)
            return str(path), f"{whose}{told} ({solver}, {steps} steps)"

        yield real, draw
