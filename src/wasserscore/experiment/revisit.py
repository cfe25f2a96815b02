"""What can be asked of a run folder after (or while) it was made."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from wasserscore.certificate import Certificate, certify
from wasserscore.core.claim import Claim
from wasserscore.core.errors import InputError, explain, require
from wasserscore.data import EMBEDDED, Dataset, load, on_disk
from wasserscore.experiment.config import RunConfig, validate
from wasserscore.experiment.drawn import about, draw, mapped
from wasserscore.experiment.folder import MODELS, RESULTS, RunFolder, is_run
from wasserscore.experiment.holdout import divide
from wasserscore.experiment.journey import Journey
from wasserscore.experiment.model import Model
from wasserscore.experiment.models import (
    TITLES,
    fit_empirical,
    fit_kernel_mixture,
    forward_process,
    nearest_scale,
)
from wasserscore.experiment.pipelines import (
    is_pipeline,
    pipeline_model,
    require_no_pipeline,
    rows_law,
)
from wasserscore.report import write_report
from wasserscore.score import GaussianScore
from wasserscore.score import load as load_model
from wasserscore.score.base import ClosedFormScore

REFERENCES = ("smoothed", "proximal", "gaussian")
"""Laws that training rows can stand for."""


def journey(folder: str | Path) -> Journey:
    """The run of a folder, with its data loaded again and compared.

    Raises:
        InputError: If it is no run folder, or the data are no longer what they were.
    """
    found = RunFolder.open(folder)
    config = _config(found)
    require(on_disk(config.source) is None, "this needs a run whose rows are held in memory",
            got=f"one of rows on disk, {config.source!r}", do="name these rows instead of the run",
            )  # fmt: skip
    _require_there(found, config)
    data = load(config.source, schema=config.table_schema)
    _require_same(found, config, data.sha256)
    return Journey(config, data, divide(data, config.source, config), found)


def training_rows(folder: str | Path, *, seed: int) -> Dataset:
    """The rows a run was fitted to; of rows on disk, some drawn at random.

    Raises:
        InputError: If it is no run folder, or the data are no longer what they were.
    """
    found = RunFolder.open(folder)
    config = _config(found)
    if on_disk(config.source) is None:
        return journey(folder).train
    name, data = mapped(config.source)
    _require_same(found, config, data.sha256)
    return draw(name, data, seed=seed)


def fitted(folder: str | Path, name: str | None) -> tuple[str, Model]:
    """A fitted model of a run; its last one unless named.

    Raises:
        InputError: If it is no run folder or has no such model.
    """
    found = RunFolder.open(folder)
    there = [m for m in TITLES if (found.path / MODELS / m / "model.safetensors").is_file()]
    require(bool(there), f"{folder} must have a fitted model", got="none",
            do="continue it with the same command that began it")  # fmt: skip
    chosen = name or there[-1]
    require(chosen in there, f"{folder} has the fitted models {', '.join(there)}",
            got=repr(chosen), do="name one of them, or fit it first")  # fmt: skip
    return chosen, Model.load(found.path / MODELS / chosen)


def scored(folder: str | Path, name: str | None) -> tuple[str, Model]:
    """A fitted model that has a score; the run's last one unless named.

    Raises:
        InputError: As :func:`fitted`, and for a model that has samples only.
    """
    chosen, model = fitted(folder, name)
    require(model.has_score, "a model must have a score for this", got=chosen,
            do="name another; samples of this one can be audited")  # fmt: skip
    return chosen, model


def certify_model(
    folder: str | Path,
    name: str | None,
    *,
    reference: str = "smoothed",
    bandwidth: float | None = None,
    data: str | None = None,
    label: int | None = None,
    seed: int = 0,
    **options: Any,
) -> Certificate:
    """A certificate for a fitted model of a run, for any saved model, or for a pipeline.

    Where the rows are on disk, the reference is a law of some of them, drawn by the seed; the
    certificate speaks of that law and says so.

    Args:
        folder: The run, a saved model (which needs ``reference`` to be a saved model as well), or
            ``diffusers:FOLDER`` (which needs ``data``).
        name: The model of the run; its last unless given.
        reference: "smoothed" (the training rows), "proximal" or "gaussian" (fitted to them), or
            the path of a saved closed-form model.
        bandwidth: Smoothing in model units; from the data unless given.
        data: Of a pipeline only: the rows whose smoothed law is the reference.
        label: Of a pipeline only: the class to ask for, where the model knows classes.
        seed: Of everything drawn.
        **options: Of ``certify``: solver, steps, grid, eta, stop, start, n, level, target,
            constant.
    """
    if is_pipeline(folder):
        require(reference == REFERENCES[0], "the reference of a pipeline is smoothed rows",
                got=reference, do="give them with --data")  # fmt: skip
        made, rows = pipeline_model(folder, data, label=label, seed=seed)
        found = certify(made.score, rows_law(made, rows, bandwidth), seed=seed, **options)
        return replace(found, reference=about(found.reference, rows))
    require_no_pipeline(data, label)
    score = scored(folder, name)[1].score if is_run(folder) else load_model(folder)
    require(is_run(folder) or reference not in REFERENCES, "a saved model needs a saved reference",
            got=reference, do="give --reference the path of a closed-form model")  # fmt: skip
    if reference in REFERENCES:
        train = training_rows(folder, seed=seed)
        law = reference_law(train, reference, score, bandwidth)
        found = certify(score, law.under(score.process), seed=seed, **options)
        return replace(found, reference=about(found.reference, train))
    law = load_model(reference)
    require(isinstance(law, ClosedFormScore), "the reference must have a closed-form score",
            got=type(law).__name__)  # fmt: skip
    return certify(score, law.under(score.process), seed=seed, **options)


def reference_law(
    train: Dataset, kind: str, score: Any, bandwidth: float | None = None
) -> ClosedFormScore:
    """The law that the training rows stand for.

    Args:
        train: The training rows.
        kind: "smoothed", "proximal" or "gaussian".
        score: Of a model fitted to them, whose units and shape of a point are taken.
        bandwidth: Smoothing in model units; from the data unless given.
    """
    scaling = score.scaling
    points = scaling.apply(train.varying)
    law: Any
    if kind == "proximal":
        law = fit_kernel_mixture(train, seed=0, scaling=scaling).score
    elif kind == "gaussian":
        law = GaussianScore(points.mean(0), points.mT.cov(correction=0), forward_process(),
                            scaling=scaling)  # fmt: skip
    else:
        width = nearest_scale(points) if bandwidth is None else bandwidth
        law = fit_empirical(train, bandwidth=width, scaling=scaling).score
    shaped: ClosedFormScore = law if law.shape == score.shape else replace(law, shape=score.shape)
    return shaped


def rewrite_report(folder: str | Path) -> Path:
    """``report.html`` and the figures of a finished run, from ``results.json`` and the samples.

    Raises:
        InputError: If the run is not finished, or another process is at work in it.
    """
    made = journey(folder)
    require(made.folder.finished, f"{folder} must be a finished run", got="no results.json",
            do="continue it with the same wasserscore run")  # fmt: skip
    results = made.folder.read(RESULTS)
    rows = {TITLES[name]: made.folder.samples(name) for name in made.config.models}
    with Claim(made.folder.path):
        return write_report(
            results, {"training rows": made.train.points, **rows}, made.folder.path
        )


def _require_there(folder: RunFolder, config: RunConfig) -> None:
    """Refuse paths that are seen from where the run was made, and not from here."""
    for name in (config.source, config.table_schema or ""):
        found = name in EMBEDDED or any(Path(n).exists() for n in (name, name.rsplit(":", 1)[0]))
        require(found, f"{folder.path} was made of {name!r}, which must still be there",
                got="no such file or folder, as seen from here",
                do="restore it, or go to where the run was made")  # fmt: skip


def _require_same(folder: RunFolder, config: RunConfig, sha256: str) -> None:
    require(sha256 == folder.description.get("data_sha256"),
            f"the data of {folder.path} must be what the run was made with",
            got=f"another content in {config.source!r}", do="restore it, or run anew")  # fmt: skip


def _config(folder: RunFolder) -> RunConfig:
    config = folder.description.get("config")
    if not isinstance(config, dict):
        raise InputError(explain(f"{folder.path}/config.json must describe a run",
                                 got="something else"))  # fmt: skip
    return validate(config)
