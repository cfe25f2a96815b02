"""Generators in scikit-learn's manner: ``fit(X)``, ``sample(n)``, ``score_samples(X)``."""

import json
import secrets
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.files import write_json
from wasserscore.core.typing import Array
from wasserscore.data import Dataset
from wasserscore.data.tables import Codec
from wasserscore.data.tables.codec import SPECIAL
from wasserscore.data.tables.dataset import from_frame
from wasserscore.experiment.models import Model, fit_empirical, fit_kernel_mixture, fit_network
from wasserscore.experiment.one_step import fit_one_step
from wasserscore.experiment.where import sample_where

FILE = "estimator.json"
G = TypeVar("G", bound="Generator")
KINDS = {"columns": "table", "scalar": "vectors"}


class Generator(BaseEstimator):
    """What all generators share; a subclass says how it is fitted.

    Columns that never change are left out of the model and come back in the samples; samples are
    cut to the range of the training data. ``__init__`` accepts anything and ``fit`` checks it, as
    scikit-learn's conventions ask.

    An array in, arrays out; a pandas DataFrame in, DataFrames with its columns and dtypes out. One
    with text, dates, booleans or missing cells goes through its codec
    (:mod:`wasserscore.data.tables`), whose metric stands in for ``scaling``.
    """

    def fit(self: G, X: Any, y: Any = None) -> G:
        """Fit the model to the rows of ``X``.

        Args:
            X: Array or DataFrame (n, d), at least two rows.
            y: Ignored.

        Raises:
            InputError: On cells that cannot be used, by column.
        """
        require(self.scaling in KINDS, f"scaling must be one of {', '.join(KINDS)}",
                got=repr(self.scaling))  # fmt: skip
        dtypes = tuple(map(str, X.dtypes)) if isinstance(X, pd.DataFrame) else None
        if _needs_codec(X):
            validate_data(self, X, skip_check_array=True)  # notes the names of the columns
            data = from_frame(X, name="X", source="a DataFrame")
        else:
            X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
            names = getattr(self, "feature_names_in_", None)
            data = Dataset.build(
                torch.tensor(X), name="X", kind=KINDS[self.scaling],  # type: ignore[arg-type]
                columns=None if names is None else tuple(map(str, names)),
                dtypes=None if names is None else dtypes,
            )  # fmt: skip
        self.model_: Model = self._fit_model(data, _seed(self.random_state))
        self.score_model_ = self.model_.score
        return self

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Array | pd.DataFrame:
        """New rows (n_samples, d) in the units, columns and range of the training data.

        An array, or after a DataFrame with text as column names a DataFrame with its dtypes
        (integers are rounded).

        Args:
            n_samples: How many.
            random_state: Seed; the estimator's own if None. Row i depends on it and on i only.
        """
        check_is_fitted(self)
        seed = _seed(self.random_state if random_state is None else random_state)
        rows, layout = self._draw(n_samples, seed), self.model_.layout
        bare = layout.codec is None and layout.dtypes is None
        return rows.numpy() if bare else layout.frame(rows)

    def save(self, path: str | Path) -> Path:
        """Write the fitted estimator into a folder: safetensors and JSON, no pickle."""
        check_is_fitted(self)
        folder = Path(path)
        write_json(folder / FILE, {
            "class": type(self).__name__,
            "parameters": self.get_params(),
            "n_features_in_": self.n_features_in_,
            "feature_names_in_": getattr(self, "feature_names_in_", None),
        })  # fmt: skip
        self.model_.save(folder)
        return folder

    @classmethod
    def load(cls: type[G], path: str | Path) -> G:
        """The estimator that :meth:`save` wrote.

        Raises:
            InputError: If the folder holds something else.
        """
        file = Path(path) / FILE
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            own = cls(**found["parameters"]) if found["class"] == cls.__name__ else None
            features, names = int(found["n_features_in_"]), found["feature_names_in_"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(explain(f"{file} cannot be read", got=repr(error)[:200],
                                     do="save the estimator again")) from None  # fmt: skip
        if own is None:
            raise InputError(explain(f"{file} must describe a {cls.__name__}", got=found["class"],
                                     do="load it with its own class"))  # fmt: skip
        own.model_ = Model.load(Path(path))
        own.score_model_ = own.model_.score
        own.n_features_in_ = features
        if names is not None:
            own.feature_names_in_ = np.asarray(names, dtype=object)
        return own

    def _fit_model(self, data: Dataset, seed: int) -> Model:
        raise NotImplementedError

    def _draw(self, n: int, seed: int) -> Tensor:
        return self.model_.sample(n, seed=seed, solver=self.solver, steps=self.steps)

    def _log_density(self, X: Any) -> Array:
        check_is_fitted(self)
        require(self.model_.layout.codec is None, "only rows of numbers have a density",
                got="a model of a table with text, dates, booleans, missing cells or numbers that "
                "come again and again",
                do="compare samples instead, with wasserscore.audit")  # fmt: skip
        X = validate_data(self, X, dtype=np.float64, reset=False)
        out: Array = self.model_.log_density(torch.tensor(X)).numpy()
        return out


class KernelGenerator(DensityMixin, Generator):
    """The empirical score: the training rows, smoothed by a Gaussian of width ``bandwidth``.

    With ``bandwidth=0`` it memorizes: sampled down to no noise it returns training rows. It is
    the baseline that an audit must recognise, and it has no density.

    Args:
        bandwidth: Smoothing in standard deviations of the data.
        scaling: "columns" (standardise each) or "scalar" (one factor for all).
        solver: Name of the sampler.
        steps: Its steps.
        random_state: Seed of everything drawn.
    """

    def __init__(
        self,
        bandwidth: Any = 0.0,
        *,
        scaling: Any = "columns",
        solver: Any = "heun",
        steps: Any = 18,
        random_state: Any = 0,
    ) -> None:
        self.bandwidth = bandwidth
        self.scaling = scaling
        self.solver = solver
        self.steps = steps
        self.random_state = random_state

    def _fit_model(self, data: Dataset, seed: int) -> Model:
        return fit_empirical(data, bandwidth=self.bandwidth)

    @available_if(lambda self: self.bandwidth > 0)  # type: ignore[untyped-decorator]
    def score_samples(self, X: Any) -> Array:
        """Log density of each row, nats; constant columns do not count. Needs a bandwidth."""
        return self._log_density(X)

    @available_if(lambda self: self.bandwidth > 0)  # type: ignore[untyped-decorator]
    def score(self, X: Any, y: Any = None) -> float:
        """The mean log density of the rows, in nats."""
        return float(self.score_samples(X).mean())


class ProximalGenerator(DensityMixin, Generator):
    """The Wasserstein-proximal kernel: local covariances chosen by cross-validation.

    Trains in seconds, has a density, and does not memorize. Columns on a lattice (counts, rounded
    numbers) are dequantised for the fit.

    Args:
        method: "auto", or one candidate of ``fit_proximal``.
        latent: How many principal axes to fit on, or the share of the variance they hold, for
            many columns; None fits all columns.
        scaling: "columns" (standardise each) or "scalar" (one factor for all).
        solver: Name of the sampler; None draws exactly, unless steps are given.
        steps: Its steps; None is exact, or 18 of the solver.
        random_state: Seed of everything drawn.
    """

    def __init__(
        self,
        method: Any = "auto",
        *,
        latent: Any = None,
        scaling: Any = "columns",
        solver: Any = None,
        steps: Any = None,
        random_state: Any = 0,
    ) -> None:
        self.method = method
        self.latent = latent
        self.scaling = scaling
        self.solver = solver
        self.steps = steps
        self.random_state = random_state

    def _fit_model(self, data: Dataset, seed: int) -> Model:
        return fit_kernel_mixture(data, seed=seed, method=self.method, latent=self.latent)

    def _draw(self, n: int, seed: int) -> Tensor:
        if self.solver is None and self.steps is None:
            return sample_where(self.model_, n, (), seed=seed)
        return self.model_.sample(n, seed=seed, solver=self.solver or "heun",
                                  steps=self.steps or 18)  # fmt: skip

    def score_samples(self, X: Any) -> Array:
        """Log density of each row, in nats; constant columns do not count."""
        return self._log_density(X)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean log density of the rows, in nats."""
        return float(self.score_samples(X).mean())


class NetworkGenerator(Generator):
    """A residual perceptron trained by denoising score matching.

    Args:
        max_iter: Training steps.
        width: Units of a layer.
        depth: Residual blocks.
        batch_size: Rows per training step.
        learning_rate: Peak learning rate.
        scaling: "columns" (standardise each) or "scalar" (one factor for all).
        solver: Name of the sampler.
        steps: Its steps.
        random_state: Seed of everything drawn.
    """

    def __init__(
        self,
        max_iter: Any = 800,
        *,
        width: Any = 256,
        depth: Any = 4,
        batch_size: Any = 256,
        learning_rate: Any = 3e-3,
        scaling: Any = "columns",
        solver: Any = "heun",
        steps: Any = 18,
        random_state: Any = 0,
    ) -> None:
        self.max_iter = max_iter
        self.width = width
        self.depth = depth
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.scaling = scaling
        self.solver = solver
        self.steps = steps
        self.random_state = random_state

    def _fit_model(self, data: Dataset, seed: int) -> Model:
        self.n_iter_ = self.max_iter
        return fit_network(
            data, seed=seed, width=self.width, depth=self.depth, steps=self.max_iter,
            batch_size=self.batch_size, learning_rate=self.learning_rate,
        )  # fmt: skip


class OneStepGenerator(Generator):
    """A residual perceptron from noise to rows: one evaluation per sample, and no density.

    Trained by following a drift from its own samples to the data (``ws.train_generator``).

    Args:
        max_iter: Training steps.
        drift: ``"drifting"``, ``"score_difference"`` or ``"sinkhorn"``.
        bandwidth: Of the drift at all steps, model units; None anneals.
        latent: Coordinates of a latent.
        width: Units of a layer.
        depth: Residual blocks.
        batch_size: Rows per training step.
        learning_rate: Peak learning rate.
        scaling: "columns" (standardise each) or "scalar" (one factor for all).
        random_state: Seed of everything drawn.
    """

    def __init__(
        self,
        max_iter: Any = 2000,
        *,
        drift: Any = "drifting",
        bandwidth: Any = None,
        latent: Any = 16,
        width: Any = 256,
        depth: Any = 4,
        batch_size: Any = 256,
        learning_rate: Any = 1e-3,
        scaling: Any = "columns",
        random_state: Any = 0,
    ) -> None:
        self.max_iter = max_iter
        self.drift = drift
        self.bandwidth = bandwidth
        self.latent = latent
        self.width = width
        self.depth = depth
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.scaling = scaling
        self.random_state = random_state

    def _fit_model(self, data: Dataset, seed: int) -> Model:
        self.n_iter_ = self.max_iter
        return fit_one_step(
            data, seed=seed, drift=self.drift, bandwidth=self.bandwidth, latent=self.latent,
            width=self.width, depth=self.depth, steps=self.max_iter, batch_size=self.batch_size,
            learning_rate=self.learning_rate,
        )  # fmt: skip

    def _draw(self, n: int, seed: int) -> Tensor:
        return self.model_.sample(n, seed=seed)


def _needs_codec(X: Any) -> bool:
    """Whether a table has other cells than numbers, or numbers that are not taken as they are."""
    if not isinstance(X, pd.DataFrame):
        return False
    numbers = [pd.api.types.is_numeric_dtype(t) and not pd.api.types.is_bool_dtype(t)
               for t in X.dtypes]  # fmt: skip
    if not all(numbers) or bool(X.isna().to_numpy().any()):
        return True
    named = X.shape[0] > 0 and all(isinstance(name, str) for name in X.columns)
    return named and any(column.kind in SPECIAL for column in Codec.infer(X).columns)


def _seed(random_state: Any) -> int:
    """An integer seed: itself, one drawn from a generator, or fresh entropy for None."""
    if random_state is None:
        return secrets.randbits(62)
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))
