"""Generators in scikit-learn's manner: ``fit(X)``, ``sample(n)``, ``score_samples(X)``."""

from typing import Any

from sklearn.base import DensityMixin
from sklearn.utils.metaestimators import available_if
from torch import Tensor

from wasserscore.core.typing import Array
from wasserscore.data import Dataset
from wasserscore.experiment.generator import Generator
from wasserscore.experiment.model import Model
from wasserscore.experiment.models import fit_empirical, fit_kernel_mixture, fit_network
from wasserscore.experiment.one_step import fit_one_step
from wasserscore.experiment.where import sample_where


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
        per: A column of a DataFrame; the rows of each of its values are fitted by themselves.
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
        per: Any = None,
        scaling: Any = "columns",
        solver: Any = None,
        steps: Any = None,
        random_state: Any = 0,
    ) -> None:
        self.method = method
        self.latent = latent
        self.per = per
        self.scaling = scaling
        self.solver = solver
        self.steps = steps
        self.random_state = random_state

    def _fit_model(self, data: Dataset, seed: int) -> Model:
        return fit_kernel_mixture(data, seed=seed, method=self.method, latent=self.latent,
                                  per=self.per)  # fmt: skip

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
