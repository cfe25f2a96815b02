"""Data sets that come with the package or with scikit-learn: no download, fixed size and seed."""

from collections.abc import Callable

import torch

from wasserscore.core.random import Streams
from wasserscore.data import targets
from wasserscore.data.dataset import Dataset

ROWS = 2000
"""Points of every analytic set."""


def digits() -> Dataset:
    """1797 handwritten digits of 8 x 8 pixels; grey levels 0..16 scaled to [-1, 1]."""
    from sklearn.datasets import load_digits

    images = torch.from_numpy(load_digits().images) / 8 - 1
    return Dataset.build(images, name="digits", kind="image",
                         source="scikit-learn's digits, grey levels 0..16 scaled to [-1, 1]",
                         units="grey scale from -1 (blank) to 1 (ink)")  # fmt: skip


def _table(name: str) -> Dataset:
    from sklearn import datasets

    options = {"scaled": False} if name == "diabetes" else {}
    bunch = getattr(datasets, f"load_{name}")(**options)
    columns = tuple(str(c) for c in bunch.feature_names)
    return Dataset.build(torch.from_numpy(bunch.data), name=name, kind="table", columns=columns,
                         source=f"scikit-learn's {name}, features only")  # fmt: skip


def _planar(name: str, draw: Callable[[torch.Generator], torch.Tensor]) -> Dataset:
    points = draw(Streams(0).generator(f"data/{name}"))
    return Dataset.build(points, name=name, kind="vectors", columns=("x", "y"),
                         source=f"{ROWS} draws from the analytic target {name!r}")  # fmt: skip


EMBEDDED: dict[str, Callable[[], Dataset]] = {
    "digits": digits,
    "wine": lambda: _table("wine"),
    "breast_cancer": lambda: _table("breast_cancer"),
    "diabetes": lambda: _table("diabetes"),
    "moons": lambda: _planar("moons", lambda g: targets.two_moons(ROWS, generator=g)),
    "spiral": lambda: _planar("spiral", lambda g: targets.spiral(ROWS, generator=g)),
    "swissroll": lambda: _planar("swissroll", lambda g: targets.swiss_roll(ROWS, generator=g)),
    "checkerboard": lambda: _planar(
        "checkerboard", lambda g: targets.checkerboard(ROWS, generator=g)
    ),
    "8gaussians": lambda: _planar(
        "8gaussians",
        lambda g: targets.sample_mixture(targets.eight_gaussians(), ROWS, generator=g),
    ),
    "25gaussians": lambda: _planar(
        "25gaussians",
        lambda g: targets.sample_mixture(targets.twenty_five_gaussians(), ROWS, generator=g),
    ),
}
