"""What can be asked of a run folder after (or while) it was made."""

from pathlib import Path
from typing import Any

from wasserscore.certificate import Certificate, certify
from wasserscore.core.errors import InputError, explain, require
from wasserscore.data import load
from wasserscore.experiment.config import RunConfig, validate
from wasserscore.experiment.folder import MODELS, RESULTS, RunFolder
from wasserscore.experiment.journey import Journey
from wasserscore.experiment.models import TITLES, Model, fit_empirical, model_units, nearest_scale
from wasserscore.report import write_report


def journey(folder: str | Path) -> Journey:
    """The run of a folder, with its data loaded again and compared.

    Raises:
        InputError: If it is no run folder, or the data are no longer what they were.
    """
    found = RunFolder.open(folder)
    config = _config(found)
    data = load(config.source)
    require(data.sha256 == found.description.get("data_sha256"),
            f"the data of {folder} must be what the run was made with",
            got=f"another content in {config.source!r}", do="restore it, or run anew")  # fmt: skip
    return Journey(config, data, found)


def fitted(folder: str | Path, name: str | None) -> tuple[str, Model]:
    """A fitted model of a run; its last one unless named.

    Raises:
        InputError: If it is no run folder or has no such model.
    """
    found = RunFolder.open(folder)
    there = [m for m in TITLES if (found.path / MODELS / m / "model.safetensors").is_file()]
    chosen = name or (there[-1] if there else None)
    if chosen is None or chosen not in there:
        what = f"{folder} has the fitted models {', '.join(there) or 'none'}"
        raise InputError(explain(what, got=repr(chosen), do="name one of them, or fit it first"))
    return chosen, Model.load(found.path / MODELS / chosen)


def certify_model(
    folder: str | Path, name: str | None, *, bandwidth: float | None = None, **options: Any
) -> Certificate:
    """A certificate for a fitted model against the smoothed training rows.

    Args:
        folder: The run.
        name: The model; the run's last unless given.
        bandwidth: Smoothing in model units; from the data unless given.
        **options: Of ``certify``: solver, steps, n, level, seed.
    """
    _, model = fitted(folder, name)
    train = journey(folder).train
    width = bandwidth or nearest_scale(model_units(train).apply(train.varying))
    return certify(model.score, fit_empirical(train, bandwidth=width).score, **options)


def rewrite_report(folder: str | Path) -> Path:
    """``report.html`` and the figures of a finished run, from ``results.json`` and the samples.

    Raises:
        InputError: If the run is not finished.
    """
    made = journey(folder)
    require(made.folder.finished, f"{folder} must be a finished run", got="no results.json",
            do="continue it with the same wasserscore run")  # fmt: skip
    results = made.folder.read(RESULTS)
    rows = {TITLES[name]: made.folder.samples(name) for name in made.config.models}
    return write_report(results, {"training rows": made.train.points, **rows}, made.folder.path)


def _config(folder: RunFolder) -> RunConfig:
    config = folder.description.get("config")
    if not isinstance(config, dict):
        raise InputError(explain(f"{folder.path}/config.json must describe a run",
                                 got="something else"))  # fmt: skip
    return validate(config)
