"""The models of a run: what they are called, and how each is fitted to the training rows."""

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

from wasserscore.core.random import Streams
from wasserscore.core.typing import Cloud, Points
from wasserscore.data import Dataset, Mapped, Scaling, dequantise
from wasserscore.experiment.columns import cells_of, numbered
from wasserscore.experiment.model import Model
from wasserscore.experiment.shares import is_table
from wasserscore.kernel import nearest
from wasserscore.network import MLP
from wasserscore.process import EDM
from wasserscore.proximal import fit_correlated, fit_groups, fit_proximal
from wasserscore.score import EmpiricalScore, NetworkScore, ProximalLaw
from wasserscore.training import train_score

TITLES = {
    "one-step": "One-step generator",
    "empirical": "Empirical score",
    "proximal": "Wasserstein-proximal kernel",
    "network": "Network",
}
DESCRIPTIONS = {
    "one-step": "a perceptron from noise to rows, trained by following a drift towards the "
    "training rows; it has no score, so no certificate and no likelihood",
    "empirical": "the exact score of the noised training rows, sampled down to no noise: "
    "what perfect memorization looks like",
    "proximal": "a mixture of Gaussians on the training rows with locally learned covariances, "
    "chosen by cross-validation",
    "network": "a residual perceptron trained by denoising score matching",
}


def forward_process() -> EDM:
    """The forward process of every model here: noise up to 80 times the spread of the data."""
    return EDM(sigma_max=80.0)


def model_units(train: Dataset) -> Scaling:
    """The scaling all models of a run share: from the training rows as they are."""
    return Scaling.fit(train.varying, train.kind)


def smooth_rows(data: Dataset, part: str, seed: int) -> Cloud:
    """All columns of ``data``, dequantised with the noise of one seed; the same for all models."""
    return dequantise(data, data.points, Streams(seed).generator(f"dequantise/{part}"))


def fit_empirical(
    train: Dataset, *, bandwidth: float = 0.0, scaling: Scaling | None = None
) -> Model:
    """The empirical score of the training rows.

    Args:
        train: The training rows.
        bandwidth: Smoothing in model units (standard deviations of the data); 0 memorizes.
        scaling: To model units; from the rows where None.
    """
    scaling = scaling or model_units(train)
    points = scaling.apply(train.varying)
    score = EmpiricalScore(points, forward_process(), bandwidth=bandwidth, scaling=scaling)
    return Model(score, train.layout)


def fit_kernel_mixture(
    train: Dataset,
    *,
    seed: int,
    method: str = "auto",
    latent: int | float | None = None,
    per: str | None = None,
    scaling: Scaling | None = None,
    callback: Callable[[int, int], object] | None = None,
) -> Model:
    """The proximal kernel, fitted on dequantised rows: a density must not sit on a lattice.

    Args:
        train: The training rows.
        seed: Of the noise and the folds.
        method: See :func:`fit_proximal`.
        latent: Fit on principal axes, see :func:`fit_proximal`.
        per: A column of a table; the rows of each of its values are fitted by themselves.
        scaling: To model units; from the rows where None.
        callback: Told how many of these fits are done, of how many.
    """
    scaling = scaling or model_units(train)
    points = scaling.apply(train.vary(smooth_rows(train, "train", seed)))
    options: dict[str, Any] = {} if latent is None else {"latent": latent}
    options |= {"method": method, "seed": seed, "scaling": scaling}
    if per is None and latent is None and method == "auto" and is_table(train):
        score: ProximalLaw = fit_correlated(points, forward_process(), seed=seed, scaling=scaling)
    elif per is None:
        score = fit_proximal(points, forward_process(), **options)
    else:
        groups = numbered(cells_of(train, per, role="per"))
        score = fit_groups(points, groups, forward_process(), told=callback or (lambda *_: None),
                           **options)  # fmt: skip
    return Model(score, train.layout).shared(train, seed=seed)


def fit_network(train: Dataset, *, seed: int, **options: Any) -> Model:
    """A network trained by denoising score matching; resumes if it was interrupted.

    Args:
        train: The training rows.
        seed: Of everything drawn.
        **options: Of :func:`train_network`.
    """
    scaling = model_units(train)
    points = scaling.apply(train.varying).float()
    score = train_network(points, scaling, seed=seed, **options)
    return Model(score, train.layout).shared(train, seed=seed)


def train_network(
    points: Points | Mapped,
    scaling: Scaling,
    *,
    seed: int,
    data_std: float | None = None,
    width: int = 256,
    depth: int = 4,
    steps: int = 800,
    batch_size: int = 256,
    learning_rate: float = 3e-3,
    out: Path | None = None,
    callback: Callable[[int, int], object] | None = None,
) -> NetworkScore:
    """A perceptron's score of points in model units; resumes from ``out`` if interrupted.

    Args:
        points: The training points ``(n, *shape)``, in memory or on disk.
        scaling: How they came from data units.
        seed: Of the initial weights, the batches and the noise.
        data_std: Root mean square of the points' entries; measured where None.
        width: Units of a layer.
        depth: Residual blocks.
        steps: Training steps.
        batch_size: Rows per step.
        learning_rate: Peak learning rate.
        out: Folder for checkpoints, or None.
        callback: Told (step, steps) after every step.
    """
    dim = prod(points.shape[1:])
    network = MLP(dim, width, depth, seed=Streams(seed).key("network") % 2**31)
    told = (lambda step, logs: callback(step, steps),) if callback else ()
    return train_score(
        network, points, forward_process(), steps=steps, batch_size=batch_size,
        learning_rate=learning_rate, data_std=data_std, scaling=scaling, callbacks=told, out=out,
        seed=seed,
    )  # fmt: skip


def nearest_scale(points: Cloud) -> float:
    """Half the median nearest-neighbour distance per square root of the dimension.

    The bandwidth at which smoothing fills about half of the gap between a row and its neighbour.
    """
    distances, _ = nearest(points, points, 1, exclude_self=True)
    positive = distances[distances > 0]
    if not len(positive):
        return 0.1
    return float(positive.median() / (2 * points.shape[1] ** 0.5))
