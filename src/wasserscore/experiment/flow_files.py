"""Rows that flow from one file to another: what ``wasserscore flow`` does."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from wasserscore.core.errors import require
from wasserscore.core.files import write_json
from wasserscore.core.random import Streams
from wasserscore.core.typing import Cloud
from wasserscore.data import Dataset, Scaling, load
from wasserscore.data.tables import read_overrides
from wasserscore.experiment.alike import left_out, rows_like
from wasserscore.experiment.frames import Frames
from wasserscore.experiment.write import write_rows
from wasserscore.flow import FlowRecord, ScoreDifferenceFlow
from wasserscore.flow.particles import Observer
from wasserscore.report import Motion
from wasserscore.report import write_flow as write_flow_page

NORMAL = "normal"
"""The source that is drawn: a Gaussian with the target's mean and spread."""


RECORD = "flow.json"
"""The record in a folder, which says that a flow is there."""


class Flown(NamedTuple):
    """Rows at the end of a flow, data units, and how they came there."""

    rows: Cloud
    record: FlowRecord
    target: Dataset
    settings: dict[str, Any]
    motion: Motion


def flow_files(
    source: str,
    target: str,
    flow: ScoreDifferenceFlow,
    *,
    schema: str | None = None,
    n: int | None = None,
    seed: int = 0,
    observe: Observer | None = None,
) -> Flown:
    """Carry the rows of ``source`` to the law of the rows of ``target``.

    The columns of a table of numbers are standardised by the target's first, so that units do not
    decide what is near; a mixed table moves in the metric of the target's codec, and its particles
    end on the nearest rows that may come; images and vectors are taken as they are. Columns that
    never change in the target keep its value, and rows are cut to the target's range.

    Args:
        source: Name or path of the rows to move, with the target's columns; or ``"normal"``.
        target: Name or path of the rows to move them to.
        flow: The flow.
        schema: A file that says what the columns of a table are.
        n: Rows to draw for ``"normal"``; as many as the target has by default.
        seed: Of everything drawn.
        observe: Told of every step.

    Raises:
        InputError: On files that cannot be used or do not fit each other.
    """
    overrides = None if schema is None else read_overrides(schema)
    known = load(target, schema=overrides)
    notes = left_out(known)
    y = known.varying
    scaling = Scaling.per_column(y) if known.kind == "table" else None
    if source == NORMAL:
        natural = scaling or Scaling.scalar(y)
        z = Streams(seed).normal("source", 0, n or known.n, (y.shape[1],), y)
        x = natural.undo(z)
    else:
        require(n is None, "--n is for the source 'normal'", got=f"{n} beside {source}")
        found = rows_like(known, source, overrides=overrides)
        x, notes = known.vary(found.points), notes + found.notes
    scaled = lambda a: a if scaling is None else scaling.apply(a)
    names = [name for name in known.columns if name not in known.constant_columns]
    frames = Frames(scaled(x), scaled(y), tuple(names), observe)
    record = flow.run(scaled(x), scaled(y), seed=seed, observe=frames)
    end = record.particles if scaling is None else scaling.undo(record.particles)
    units = "standard deviations of the columns" if scaling else known.units
    settings = {"source": source, "target": known.source, "target_sha256": known.sha256,
                "kernel": flow.kernel, "step": flow.step, "batch": flow.batch,
                "units": units}  # fmt: skip
    rows = known.snap(known.clip(known.restore(end)))
    record = replace(record, notes=notes + record.notes)
    return Flown(rows, record, known, settings, frames.motion())


def write_flow(out: Path, flown: Flown) -> list[Path]:
    """The rows and their record; in a folder, with a page and an animation.

    All of them are written elsewhere first: where the disk is full, none is there.

    Args:
        out: A ``.npy`` or table file, which gets the record beside it as ``.json``; or a folder
            for ``rows.csv`` (``rows.npy`` where there are no columns to name), ``flow.json``,
            ``flow.html`` and ``flow.gif``.
        flown: What :func:`flow_files` gave.

    Returns:
        Every file to look at: rows, record and, in a folder, page and animation.
    """
    whole = is_folder(out)
    home = out if whole else out.parent
    home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"{out.name}.", suffix=".part", dir=home) as part:
        made = (_write_folder if whole else _write_files)(Path(part), out.name, flown)
        for path in sorted(Path(part).rglob("*"), key=lambda path: path.name == made.marker):
            if path.is_file():
                there = home / path.relative_to(part)
                there.parent.mkdir(parents=True, exist_ok=True)
                path.replace(there)
    return [home / name for name in made.names]


class _Made(NamedTuple):
    """Files of a flow: those to look at, and the one that says that a flow is there."""

    names: tuple[str, ...]
    marker: str


def _write_files(folder: Path, name: str, flown: Flown) -> _Made:
    record = Path(name).with_suffix(".json").name
    write_rows(folder / name, flown.rows, flown.target.layout)
    write_json(folder / record, flown.settings | flown.record.to_dict())
    return _Made((name, record), name)


def _write_folder(folder: Path, _: str, flown: Flown) -> _Made:
    rows = "rows.csv" if flown.target.kind in ("table", "mixed") else "rows.npy"
    found = flown.settings | flown.record.to_dict()
    write_rows(folder / rows, flown.rows, flown.target.layout)
    write_json(folder / RECORD, found)
    title = f"{Path(flown.settings['source']).stem} to {flown.target.name}"
    page = write_flow_page(found | {"rows": rows, "title": title}, flown.motion, folder)
    return _Made((rows, RECORD, page.name, "flow.gif"), RECORD)


def is_folder(out: Path) -> bool:
    """Whether the end of ``out`` is no ending of a file."""
    return not out.suffix
