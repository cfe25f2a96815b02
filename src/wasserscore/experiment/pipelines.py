"""Saved pipelines of diffusers beside data: ``diffusers:FOLDER`` where commands take a model."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.typing import Cloud, Points
from wasserscore.data import Dataset, Scaling
from wasserscore.experiment.drawn import rows_of
from wasserscore.experiment.model import Model
from wasserscore.experiment.models import nearest_scale
from wasserscore.score import EmpiricalScore, from_diffusers

PREFIX = "diffusers:"
RANGES = ((-1.0, 1.0), (0.0, 1.0), (0.0, 255.0))
"""What image data come in; such models see [-1, 1]."""


def is_pipeline(name: str | Path | None) -> bool:
    """Whether this names a pipeline."""
    return name is not None and str(name).startswith(PREFIX)


def require_no_pipeline(data: str | None, label: int | None) -> None:
    """Refuse what only a pipeline needs: a run has its own data.

    Raises:
        InputError: If either is given.
    """
    options = {"--data": data, "--label": label}
    given = [name for name, value in options.items() if value is not None]
    require(not given, "only a pipeline needs data or a label", got=" and ".join(given),
            do="leave it out, or name a pipeline as diffusers:FOLDER")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Pipeline(Model):
    """The model of a pipeline: its images have channels first, those of the data perhaps last."""

    @property
    def _channels_last(self) -> bool:
        shape, (channels, *size) = self.layout.shape, self.score.shape
        return shape != self.score.shape and shape == (*size, channels)

    def flat(self, points: Points) -> Cloud:
        """Images ``(n, c, h, w)`` as rows ``(n, d)`` like those of the data."""
        return self.layout.rows(points) if self._channels_last else points.flatten(1)

    def shaped(self, rows: Cloud) -> Points:
        """The inverse of :meth:`flat`."""
        if self._channels_last:
            return self.layout.images(rows)
        return rows.reshape(len(rows), *self.score.shape)


def pipeline_model(
    name: str | Path, source: str | None, *, label: int | None = None, seed: int = 0
) -> tuple[Pipeline, Dataset]:
    """The model of a pipeline in the units of a data set, and that data set.

    Args:
        name: ``diffusers:FOLDER``.
        source: Images in [-1, 1], [0, 1] or [0, 255], channels first or last; see
            :func:`rows_of`.
        label: The class to ask for, where the model knows classes; the data are to be of it.
        seed: Of the rows drawn, where they are on disk; their range is then that of the data.

    Raises:
        InputError: Without data, or if pipeline and data do not fit.
    """
    if source is None:
        raise InputError(explain("a pipeline needs the data that it stands for", got="none",
                                 do="give --data images, a file or a folder"))  # fmt: skip
    score = from_diffusers(Path(str(name).removeprefix(PREFIX)), label=label)
    data = rows_of(source, seed=seed)
    channels, *size = score.shape
    # rows of numbers do not tell where their channels are
    grey = [tuple(size), (score.dim,)] if channels == 1 else []
    require(data.shape in (score.shape, (*size, channels), *grey),
            f"the model makes points of shape {score.shape}: the data must have that shape",
            got=data.shape, do="give images of the model's channels and size")  # fmt: skip
    low, high = float(data.points.min()), float(data.points.max())
    fits = [(a, b) for a, b in RANGES if a <= low and high <= b]
    require(bool(fits) and low != high, "image values must lie in [-1, 1], [0, 1] or [0, 255]",
            got=f"{low:g} to {high:g}")  # fmt: skip
    a, b = next((r for r in fits if low >= 0 and r[0] == 0), fits[0])
    whole = replace(data.layout, constant=torch.zeros_like(data.constant),
                    constants=data.constants[:0])  # fmt: skip
    return Pipeline(replace(score, scaling=Scaling.span(a, b, data.d)), whole), data


def rows_law(model: Pipeline, data: Dataset, bandwidth: float | None = None) -> EmpiricalScore:
    """The rows of the data, smoothed, as a law under the model's process and in its units.

    Args:
        model: What :func:`pipeline_model` gave.
        data: The same.
        bandwidth: Smoothing in model units; from the data unless given.
    """
    points = model.score.scaling.apply(data.points)
    width = nearest_scale(points) if bandwidth is None else bandwidth
    return EmpiricalScore(model.shaped(points), model.score.process, bandwidth=width,
                          scaling=model.score.scaling)  # fmt: skip
