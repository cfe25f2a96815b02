"""Rows that flow from one file to another: what ``wasserscore flow`` does."""

from dataclasses import replace
from pathlib import Path
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

    Args:
        out: A ``.npy`` or table file, which gets the record beside it as ``.json``; or a folder
            for ``rows.csv`` (``rows.npy`` where there are no columns to name), ``flow.json``,
            ``flow.html`` and ``flow.gif``.
        flown: What :func:`flow_files` gave.

    Returns:
        Every file to look at: rows, record and, in a folder, page and animation.
    """
    found = flown.settings | flown.record.to_dict()
    whole = is_folder(out)
    rows, record = out, out.with_suffix(".json")
    if whole:
        named = flown.target.kind in ("table", "mixed")
        rows, record = out / ("rows.csv" if named else "rows.npy"), out / "flow.json"
    write_rows(rows, flown.rows, flown.target.layout)
    write_json(record, found)
    if not whole:
        return [rows, record]
    title = f"{Path(flown.settings['source']).stem} to {flown.target.name}"
    page = write_flow_page(found | {"rows": rows.name, "title": title}, flown.motion, out)
    return [rows, record, page, out / "flow.gif"]


def is_folder(out: Path) -> bool:
    """Whether the end of ``out`` is no ending of a file."""
    return not out.suffix
