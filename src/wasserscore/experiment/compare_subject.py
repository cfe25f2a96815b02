"""Whose score is compared, and on which rows: a law for the data at hand, or a fitted model."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.random import Streams
from wasserscore.core.typing import Cloud
from wasserscore.data import Dataset, load, read_overrides
from wasserscore.data.tables import Codec
from wasserscore.experiment import revisit
from wasserscore.experiment.alike import rows_like
from wasserscore.experiment.baselines import fit_baseline
from wasserscore.experiment.compare_config import CompareConfig
from wasserscore.experiment.folder import is_run
from wasserscore.experiment.holdout import ROWS_A_SIDE, divide
from wasserscore.experiment.model import Model
from wasserscore.experiment.models import fit_empirical, fit_kernel_mixture
from wasserscore.process import Process

LARGEST = 512
"""Points per cloud unless told: a first answer within minutes, sharp enough for the energy."""


@dataclass(frozen=True, eq=False)
class Subject:
    """The law that all cells sample, and the rows they are measured with.

    Args:
        name: Of the model, for tables.
        train: The rows it is, or will be, fitted on.
        holdout: Rows it does not see; every cell is measured against all of these.
        score: The score; None until :meth:`fit`.
    """

    name: str
    train: Dataset
    holdout: Dataset
    score: Any = None

    def fit(self, seed: int) -> Model:
        """The model by its name, fitted on the training rows."""
        if self.name == "gaussian":
            return fit_baseline("gaussian", self.train, seed=seed)
        if self.name == "empirical":
            return fit_empirical(self.train)
        return fit_kernel_mixture(self.train, seed=seed)

    def under(self, process: Process) -> Any:
        """The same law under another process.

        Raises:
            InputError: If the score is tied to its own process.
        """
        return self.score if self.score.process == process else self.score.under(process)

    def rows(self, points: torch.Tensor) -> Cloud:
        """Points of the score in data units as rows with all columns, float64, not clipped.

        Cutting to the range of the data would hide what a coarse sampler does.
        """
        flat = points.reshape(len(points), -1).double()
        return flat if flat.shape[1] == self.train.d else self.train.restore(flat)

    def cut(self, n: int | None, seed: int) -> "Subject":
        """The same with ``n`` held-out rows, drawn without replacement.

        Raises:
            InputError: If there are not so many rows on both sides.
        """
        most = min(self.train.n, self.holdout.n)
        wanted = min(most, LARGEST) if n is None else n
        require(wanted <= most, f"n must be at most {most}, the rows of either half", got=wanted)
        if wanted == self.holdout.n:
            return self
        chosen = Streams(seed).subset("compare/holdout", self.holdout.n, wanted)
        return replace(self, holdout=self.holdout.take(chosen))


def subject_of(source: Any, holdout: Any, model: Any, config: CompareConfig) -> Subject:
    """Find the rows and the law, and check that they fit.

    Args:
        source: Data, or a run folder.
        holdout: Held-out data; None deals the source into halves.
        model: A score of ours, or None for the model that ``config`` names.
        config: What is compared.

    Raises:
        InputError: On data or a model that cannot be used.
    """
    if isinstance(source, str | Path) and is_run(source):
        given = {"holdout": holdout, "schema": config.table_schema, "group": config.group,
                 "order": config.order}  # fmt: skip
        named = [name for name, value in given.items() if value is not None]
        require(not named, "a run folder has its own held-out rows", got=", ".join(named),
                do="leave it out, or give the data instead")  # fmt: skip
        made = revisit.journey(source)
        name, fitted = revisit.scored(source, config.model)
        subject = Subject(name, made.train, made.holdout, fitted.score)
    else:
        train, rest = _rows(source, holdout, config)
        subject = Subject(config.model or "proximal", train, rest)
    if model is not None:
        require(holdout is not None, "a score of your own needs rows it has not seen", got=None,
                do="pass its training rows first, and holdout=")  # fmt: skip
        subject = replace(subject, name=type(model).__name__, score=_checked(model, subject.train))
    elif subject.score is None and subject.name == "network":
        raise InputError(explain("a network must be trained before it is compared", got="data",
                                 do="wasserscore fit SOURCE --models network --out RUN, then "
                                 "wasserscore compare RUN"))  # fmt: skip
    for half in (subject.train, subject.holdout):
        require(half.n >= ROWS_A_SIDE, f"a comparison needs at least {ROWS_A_SIDE} rows on "
                "either side", got=half.n, do="give more data")  # fmt: skip
    return subject.cut(config.n, config.seed)


def fingerprint(score: Any) -> str:
    """SHA-256 of the numbers and settings of a score, whatever its process."""
    tensors, settings = score.state()
    rest = {key: value for key, value in settings.items() if key != "process"}
    digest = hashlib.sha256(json.dumps([type(score).__name__, rest], sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _rows(source: Any, holdout: Any, config: CompareConfig) -> tuple[Dataset, Dataset]:
    data = source if isinstance(source, Dataset) else load(source, schema=config.table_schema)
    if holdout is None:
        train, rest, _ = divide(data, source, config)
        return (data.take(train, f"{data.name}, training rows"),
                data.take(rest, f"{data.name}, held-out rows"))  # fmt: skip
    by = config.group or config.order
    require(by is None, "held-out rows of your own need no split", got=f"holdout and {by!r}",
            do="leave one of them out")  # fmt: skip
    if data.codec is not None:
        return data, _in_the_metric_of(data, data.codec, holdout, config.table_schema)
    other = holdout if isinstance(holdout, Dataset) else load(holdout)
    require(other.columns == data.columns, "train and holdout must have the same columns",
            got=f"{data.d} and {other.d} columns, or other names")  # fmt: skip
    return data, other


def _in_the_metric_of(data: Dataset, codec: Codec, holdout: Any, schema: str | None) -> Dataset:
    """Held-out rows through the codec of the others: one of their own has other units."""
    if isinstance(holdout, str | Path):
        overrides = None if schema is None else read_overrides(schema)
        points, name, *_ = rows_like(data, str(holdout), overrides=overrides)
    else:
        other = holdout if isinstance(holdout, Dataset) else load(holdout)
        points, name = codec.encode(other.frame(other.points), exact=False), other.name
    return Dataset.build(points, name=name, kind=data.kind, source=str(name), units=data.units,
                         columns=data.columns, codec=codec)  # fmt: skip


def _checked(score: Any, train: Dataset) -> Any:
    ours = all(hasattr(score, name) for name in ("process", "shape", "under", "state"))
    require(ours, "model must be a name or a score of ours", got=type(score).__name__,
            do="wrap a network in ws.NetworkScore")  # fmt: skip
    sizes = {train.d, train.varying.shape[1]}
    require(score.dim in sizes, f"the score must have points of {train.d} columns, like the data",
            got=score.dim)  # fmt: skip
    return score
