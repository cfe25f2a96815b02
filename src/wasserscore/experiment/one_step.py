"""A one-step generator as a model of a run."""

from collections.abc import Callable
from pathlib import Path

from wasserscore.core.random import Streams
from wasserscore.data import Dataset
from wasserscore.experiment.model import Model
from wasserscore.experiment.models import model_units
from wasserscore.flow import train_generator
from wasserscore.network import LatentMLP


def fit_one_step(
    train: Dataset,
    *,
    seed: int,
    drift: str = "drifting",
    bandwidth: float | None = None,
    latent: int = 16,
    width: int = 256,
    depth: int = 4,
    steps: int = 2000,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    out: Path | None = None,
    callback: Callable[[int, int], object] | None = None,
) -> Model:
    """A generator trained by following a drift; resumes from ``out`` if it was interrupted.

    Args:
        train: The training rows.
        seed: Of the initial weights, the batches and the noise.
        drift: A name of :func:`~wasserscore.flow.train_generator`; the default, unlike there, is
            the one that keeps its detail in many dimensions (``benchmarks/one_step.md``).
        bandwidth: One width for all steps, model units; None anneals. On digits the Sinkhorn drift
            at 1.5 to 2 beats both (``benchmarks/one_step.md``). Drifting has its own.
        latent: Coordinates of a latent.
        width: Units of a layer.
        depth: Residual blocks.
        steps: Training steps.
        batch_size: Rows per step.
        learning_rate: Peak learning rate.
        out: Folder for checkpoints, or None.
        callback: Told (step, steps) after every step.
    """
    scaling = model_units(train)
    points = scaling.apply(train.varying).float()
    seed_of_weights = Streams(seed).key("one-step") % 2**31
    network = LatentMLP(latent, points.shape[1], width, depth, seed=seed_of_weights)
    told = (lambda step, logs: callback(step, steps),) if callback else ()
    law = train_generator(
        network, points, drift=drift, bandwidths="geometric" if bandwidth is None else bandwidth,
        steps=steps, batch_size=batch_size, learning_rate=learning_rate, scaling=scaling,
        callbacks=told, out=out, seed=seed,
    )  # fmt: skip
    return Model(law, train.layout).shared(train, seed=seed)
