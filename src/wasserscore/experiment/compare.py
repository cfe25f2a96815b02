"""One score by many processes, solvers and numbers of steps: the W2 of each, kept as it goes."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from wasserscore.experiment.compare_bench import Bench
from wasserscore.experiment.compare_config import (
    PROCESSES,
    SOLVERS,
    STEPS,
    CompareConfig,
)
from wasserscore.experiment.compare_records import Cell, means_of
from wasserscore.experiment.compare_result import Comparison
from wasserscore.experiment.compare_subject import Subject, fingerprint, subject_of
from wasserscore.experiment.compare_tables import write_comparison
from wasserscore.experiment.config import validate
from wasserscore.experiment.folder import COMPARISON, MODELS, SCHEMA_VERSION, RunFolder
from wasserscore.experiment.model import Model
from wasserscore.experiment.progress import Progress, silent
from wasserscore.experiment.sections import versions
from wasserscore.sampling import time_grid
from wasserscore.score import NetworkScore


def compare(
    source: Any,
    *,
    out: str | Path | None = None,
    holdout: Any = None,
    schema: str | Path | None = None,
    group: str | None = None,
    order: str | None = None,
    model: Any = None,
    processes: Any = PROCESSES,
    solvers: Any = SOLVERS,
    steps: Any = STEPS,
    seeds: int = 3,
    grid: str = "karras",
    n: int | None = None,
    resplits: int = 10,
    seed: int = 0,
    force: bool = False,
    progress: Progress = silent,
) -> Comparison:
    """Sample one score by every process, solver and number of steps, and measure each in W2.

    All cells share the score (the same law, moved exactly to each process), the noise of their
    seed, the held-out rows and the number of points, so that nothing but the sampler differs.
    The best of them is told by the energy distance: see :class:`Comparison`.

    Args:
        source: Data (a name, a path, an array), dealt into a training and a held-out half; or a
            run folder, with its own halves and fitted models.
        out: Folder for the cells and for ``compare.csv``, ``.tex``, ``.png``, ``.svg``,
            ``.json``. Only cells that are not in it are computed.
        holdout: Held-out rows; ``source`` then holds the training rows only.
        schema: Of a table: the TOML or JSON file that says what its columns are.
        group: A column of a table; rows of one value are on one side of the hold-out.
        order: A column of dates or numbers; the latest rows are held out.
        model: "proximal" (the default), "empirical" or "gaussian", fitted on the training rows;
            for a run folder the name of one of its models (the last by default); or a score of
            ours, fitted on ``source`` (then give ``holdout``).
        processes: Names such as "edm", calls such as "VP.linear(a=19.9, b=0.1)", processes, or a
            mapping from labels to processes.
        solvers: Names of :func:`~wasserscore.sampling.solvers`; "ddim:0.5" sets eta to 0.5.
        steps: Numbers of steps.
        seeds: How many sampling seeds, from ``seed`` on; error bars are over them.
        grid: "karras", "logsnr" or "uniform".
        n: Points in every cloud; by default as many as both halves have, at most 512.
        resplits: Resplits behind the floor's error bar.
        seed: Of the split, the fit and the floor; the first of the sampling seeds.
        force: Throw away the comparison that is in ``out``.
        progress: Told how far each stage has come.

    Raises:
        InputError: On bad input; nothing is written then.
    """
    own = None if isinstance(model, str) else model
    config = validate({
        "processes": processes, "solvers": solvers, "steps": steps, "seeds": seeds, "grid": grid,
        "n": n, "resplits": resplits, "seed": seed, "model": model if own is None else None,
        "table_schema": None if schema is None else str(schema), "group": group, "order": order,
    }, CompareConfig)  # fmt: skip
    return run_comparison(
        source, config, out=out, holdout=holdout, score=own, force=force, progress=progress
    )


def run_comparison(
    source: Any,
    config: CompareConfig,
    *,
    out: str | Path | None = None,
    holdout: Any = None,
    score: Any = None,
    force: bool = False,
    progress: Progress = silent,
) -> Comparison:
    """:func:`compare` with its settings validated; ``score`` is a score of the caller's own."""
    subject = subject_of(source, holdout, score, config)
    _check_cells(subject, config)
    folder = None if out is None else _folder(subject, config, out, force=force)
    progress("fit", 0, 1)
    bench = Bench(_fitted(subject, config.seed, folder), config.grid, folder)
    progress("fit", 1, 1)
    progress("floor", 0, 1)
    w2, energy = bench.yardsticks(config.resplits, config.seed, config.sampling_seeds)
    progress("floor", 1, 1)
    cells = _cells(bench, config, progress)
    found = Comparison(
        data=_data(subject), model=subject.name, n=subject.holdout.n, grid=config.grid,
        w2=w2, energy=energy, cells=cells,
        means=means_of(cells, bench.spread_error), notes=tuple(_notes(subject, config)),
        provenance={
            "command": _command(source, holdout, score, config),
            "settings": config.describe(), "versions": versions(),
        },
    )  # fmt: skip
    if folder is not None:
        progress("tables", 0, 1)
        write_comparison(found, folder.path)
        progress("tables", 1, 1)
    return found


def _check_cells(subject: Subject, config: CompareConfig) -> None:
    """Everything that can be refused is refused before the first cell."""
    for forward in config.processes:
        if subject.score is not None:
            subject.under(forward.process)
        for steps in config.steps:
            time_grid(forward.process, steps, config.grid)


def _folder(subject: Subject, config: CompareConfig, out: str | Path, *, force: bool) -> RunFolder:
    """The folder of this law on these rows; which cells are asked for does not bind it."""
    for forward in config.processes:
        forward.process.to_dict()  # a process of Python functions cannot be told from another
    mark = None if subject.score is None else fingerprint(subject.score)
    description = {
        "schema_version": SCHEMA_VERSION,
        "kind": COMPARISON,
        "model": {"name": subject.name, "sha256": mark},
        "train_sha256": subject.train.sha256,
        "seed": config.seed,
    }
    return RunFolder.create(out, description, force=force)


def _fitted(subject: Subject, seed: int, folder: RunFolder | None) -> Subject:
    """The subject with its score, fitted once per folder."""
    if subject.score is not None:
        return subject
    if folder is None:
        return replace(subject, score=subject.fit(seed).score)
    made = f"{MODELS}/{subject.name}"
    path = folder.path / made
    folder.stage(f"fit-{subject.name}", lambda: subject.fit(seed).save(path), makes=made)
    return replace(subject, score=Model.load(path).score)


def _cells(bench: Bench, config: CompareConfig, progress: Progress) -> tuple[Cell, ...]:
    wanted = list(product(config.processes, config.solvers, config.steps, config.sampling_seeds))
    cells = []
    for done, place in enumerate(wanted):
        progress("cells", done, len(wanted))
        cells.append(bench.cell(*place))
    progress("cells", len(wanted), len(wanted))
    return tuple(cells)


def _command(source: Any, holdout: Any, score: Any, config: CompareConfig) -> str | None:
    """The command line that makes the same cells; None where objects came in from Python."""
    named = all(isinstance(x, str | Path | None) for x in (source, holdout))
    return config.command(source, holdout) if named and score is None else None


def _data(subject: Subject) -> dict[str, Any]:
    train, holdout = subject.train, subject.holdout
    return {
        "name": train.name.removesuffix(", training rows"), "source": train.source,
        "n_train": train.n, "n_holdout": holdout.n, "d": train.d, "units": train.units,
        "train_sha256": train.sha256, "holdout_sha256": holdout.sha256,
    }  # fmt: skip


def _notes(subject: Subject, config: CompareConfig) -> Iterator[str]:
    """A network is only asked what it has learned, up to the noise of its own process."""
    if not isinstance(subject.score, NetworkScore):
        return
    own = subject.score.process
    known = float(own.noise_to_signal(own.horizon)) ** 0.5
    for forward in config.processes:
        start = float(forward.process.noise_to_signal(forward.process.horizon)) ** 0.5
        if start > known * (1 + 1e-6):
            yield (f"{forward.label} starts at {start:.3g} times the signal, more noise than the "
                   f"{known:.3g} the network was trained with")  # fmt: skip
