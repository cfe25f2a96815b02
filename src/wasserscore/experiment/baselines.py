"""What any model must beat: a Gaussian, three kernel densities, the training rows themselves."""

import torch

from wasserscore.core.random import Streams
from wasserscore.core.typing import Cloud
from wasserscore.data import Dataset
from wasserscore.experiment.model import Model
from wasserscore.experiment.models import forward_process, model_units, smooth_rows
from wasserscore.proximal import fit_gaussian, fit_kernel

KERNELS = {
    "isotropic": "Kernel density (isotropic)",
    "columns": "Kernel density (per column)",
    "full": "Kernel density (full covariance)",
}
TITLES = {"bootstrap": "Bootstrap of train", "gaussian": "Fitted Gaussian", **KERNELS}


def names_for(train: Dataset) -> list[str]:
    """Those of :data:`TITLES` that these rows can be held against.

    A kernel of full covariance is left out where there are no more different rows than columns
    that vary: it would have next to no density beyond their span, where fresh rows lie.
    """
    wide = len(train.varying.unique(dim=0)) <= train.varying.shape[1]
    return [name for name in TITLES if not (wide and name == "full")]


def fit_baseline(name: str, train: Dataset, *, seed: int) -> Model:
    """A baseline with a density, fitted on the same dequantised rows as the models.

    Args:
        name: "gaussian", or a kernel density of :data:`KERNELS`, its bandwidth cross-validated
            inside the training rows.
        train: The training rows.
        seed: Of the dequantisation and the folds.
    """
    scaling = model_units(train)
    points = scaling.apply(train.vary(smooth_rows(train, "train", seed)))
    if name == "gaussian":
        score = fit_gaussian(points, forward_process(), scaling=scaling)
        return Model(score, train.layout)
    kernel = fit_kernel(points, forward_process(), kind=name, seed=seed, scaling=scaling)
    return Model(kernel, train.layout)


def draw(model: Model, n: int, *, seed: int, purpose: str) -> Cloud:
    """``n`` exact draws of a law in closed form, data units, constants back, not clipped.

    Those of a mixed table are rows that exist, like a model's.
    """
    generator = Streams(seed).generator(f"baseline/{purpose}")
    rows = model.score.scaling.undo(model.score.sample_marginal(n, generator=generator))
    return model.layout.snap(model.layout.restore(rows.reshape(n, -1).double()))


def bootstrap_rows(train: Dataset, n: int, *, seed: int) -> Cloud:
    """``n`` training rows drawn with replacement."""
    generator = Streams(seed).generator("baseline/bootstrap")
    return train.points[torch.randint(train.n, (n,), generator=generator)]
