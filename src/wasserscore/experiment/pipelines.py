"""Saved pipelines of diffusers beside data: ``diffusers:FOLDER`` where commands take a model."""

from dataclasses import replace
from pathlib import Path

import torch

from wasserscore.core.errors import InputError, explain, require
from wasserscore.data import Dataset, Scaling
from wasserscore.experiment.drawn import rows_of
from wasserscore.experiment.models import Model, nearest_scale
from wasserscore.score import EmpiricalScore, from_diffusers

PREFIX = "diffusers:"
RANGES = ((-1.0, 1.0), (0.0, 1.0), (0.0, 255.0))
"""What image data come in; such models see [-1, 1]."""


def is_pipeline(name: str | Path | None) -> bool:
    """Whether this names a pipeline."""
    return name is not None and str(name).startswith(PREFIX)


def pipeline_model(
    name: str | Path, source: str | None, *, seed: int = 0
) -> tuple[Model, Dataset]:
    """The model of a pipeline in the units of a data set, and that data set.

    Args:
        name: ``diffusers:FOLDER``.
        source: Images in [-1, 1], [0, 1] or [0, 255]; see :func:`rows_of`.
        seed: Of the rows drawn, where they are on disk; their range is then that of the data.

    Raises:
        InputError: Without data, or if pipeline and data do not fit.
    """
    if source is None:
        raise InputError(explain("a pipeline needs the data that it stands for", got="none",
                                 do="give --data images, a file or a folder"))  # fmt: skip
    score = from_diffusers(Path(str(name).removeprefix(PREFIX)))
    data = rows_of(source, seed=seed)
    ours = score.shape[1:] if score.shape[0] == 1 else score.shape
    require(data.shape in (ours, score.shape, (score.dim,)),
            f"the model makes points of shape {score.shape}: the data must have that shape",
            got=data.shape, do="put channels first and give the model's size")  # fmt: skip
    low, high = float(data.points.min()), float(data.points.max())
    fits = [(a, b) for a, b in RANGES if a <= low and high <= b]
    require(bool(fits) and low != high, "image values must lie in [-1, 1], [0, 1] or [0, 255]",
            got=f"{low:g} to {high:g}")  # fmt: skip
    a, b = next((r for r in fits if low >= 0 and r[0] == 0), fits[0])
    whole = replace(data.layout, constant=torch.zeros_like(data.constant),
                    constants=data.constants[:0])  # fmt: skip
    return Model(replace(score, scaling=Scaling.span(a, b, data.d)), whole), data


def rows_law(model: Model, data: Dataset, bandwidth: float | None = None) -> EmpiricalScore:
    """The rows of the data, smoothed, as a law under the model's process and in its units.

    Args:
        model: What :func:`pipeline_model` gave.
        data: The same.
        bandwidth: Smoothing in model units; from the data unless given.
    """
    points = model.score.scaling.apply(data.points)
    width = nearest_scale(points) if bandwidth is None else bandwidth
    shaped = points.reshape(len(points), *model.score.shape)
    return EmpiricalScore(shaped, model.score.process, bandwidth=width,
                          scaling=model.score.scaling)  # fmt: skip
