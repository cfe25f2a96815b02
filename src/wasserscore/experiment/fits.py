"""The models of a run, each fitted as its configuration says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from wasserscore.data import Dataset
from wasserscore.experiment import models
from wasserscore.experiment.config import RunConfig
from wasserscore.experiment.model import Model
from wasserscore.experiment.one_step import fit_one_step

ONE_STEP = "one-step"
"""Folder of that model's checkpoints; the network's are in the run's own."""


def fit_named(
    name: str, train: Dataset, config: RunConfig, out: Path, told: Callable[[int, int], object]
) -> tuple[Model, Any]:
    """A model by its name, and the report of its fit where there is one.

    Args:
        name: One of ``config.models``.
        train: The training rows.
        config: Of the run.
        out: The run folder, for checkpoints.
        told: Told how far the fit has come.
    """
    seed = config.seed
    if name == "empirical":
        return models.fit_empirical(train), None
    if name == "proximal":
        options = config.proximal.model_dump()
        model = models.fit_kernel_mixture(train, seed=seed, callback=told, **options)
        return model, model.score.fit_report
    if name == "one-step":
        options = config.one_step.model_dump()
        return fit_one_step(train, seed=seed, out=out / ONE_STEP, callback=told, **options), None
    options = config.network.model_dump()
    return models.fit_network(train, seed=seed, out=out, callback=told, **options), None
