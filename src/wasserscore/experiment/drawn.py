"""Rows drawn at random from files that stay on disk, for what needs its rows in memory."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from wasserscore.core.random import Streams
from wasserscore.data import Dataset, Mapped, load, on_disk

MOST_ROWS, MOST_BYTES = 20_000, 2**29
"""Of the rows drawn, the bytes as float64: a certificate and a plan hold them several times."""


@dataclass(frozen=True, eq=False)
class Drawn(Dataset):
    """A uniform subset of rows on disk; ``source`` says how many of how many.

    Columns that never change here may do so in other rows, so none is constant.
    """


def mapped(source: str) -> tuple[str, Mapped]:
    """The name of files of rows on disk, and their rows as float64.

    Args:
        source: One that :func:`wasserscore.data.on_disk` knows.
    """
    files, columns = on_disk(source) or (Path(source), None)
    return files.name, Mapped.open(files, columns).to(torch.float64)


def draw(name: str, rows: Mapped, *, seed: int) -> Dataset:
    """At most :data:`MOST_ROWS` rows and :data:`MOST_BYTES`, drawn without replacement.

    Args:
        name: What to call them.
        rows: All rows.
        seed: The same seed draws the same rows.
    """
    most = max(2, min(MOST_ROWS, MOST_BYTES // (8 * math.prod(rows.shape[1:]))))
    chosen = Streams(seed).subset("rows on disk", len(rows), most)
    some = f"all {len(rows)}" if len(chosen) == len(rows) else f"{len(chosen)} of {len(rows)}"
    found = Drawn.build(
        rows[chosen], name=name, kind=rows.kind, columns=rows.names,
        source=f"{some} rows of {name}" + f", drawn with seed {seed}" * (len(chosen) < len(rows)),
    )  # fmt: skip
    return replace(found, constant=torch.zeros_like(found.constant), constants=found.constants[:0])


def rows_of(source: str, *, seed: int) -> Dataset:
    """The data set of a name; of files on disk, rows drawn from them.

    Args:
        source: See :func:`wasserscore.data.load` and :func:`wasserscore.data.on_disk`.
        seed: Of the rows drawn.
    """
    return load(source) if on_disk(source) is None else draw(*mapped(source), seed=seed)


def about(words: str, rows: Dataset) -> str:
    """What a result speaks of, in words; where rows were drawn, which."""
    return f"{words} ({rows.source})" if isinstance(rows, Drawn) else words
