"""The score of a Gaussian mixture, at every noise level."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.integers import as_shape
from wasserscore.core.tensors import as_floats
from wasserscore.core.typing import Cloud, Matrix, PerPoint, Vector
from wasserscore.data import Scaling
from wasserscore.process.base import Process
from wasserscore.score.base import ClosedFormScore, Tau
from wasserscore.score.components import Components, Covariances
from wasserscore.score.conditioning import conditioned_scaling, partly_known


class ComponentScore(ClosedFormScore):
    """A closed-form score whose law is a :class:`Components` record in the field ``law``."""

    law: Components

    @property
    def components(self) -> int:
        """Number of components."""
        return len(self.law.means)

    @property
    def least_variance(self) -> float:
        """Smallest variance of any component in any direction."""
        return self.law.least_variance

    def moments(self) -> tuple[Vector, Matrix]:
        """Mean and covariance of the law, float64."""
        return self.law.moments()

    def _score(self, y: Cloud, tau: Tau) -> Cloud:
        return self.law.score(y, tau)

    def _log_density(self, y: Cloud, tau: Tau) -> PerPoint:
        return self.law.log_density(y, tau)

    def _posterior_mean(self, y: Cloud, tau: Tau) -> Cloud:
        return self.law.posterior_mean(y, tau)

    def _component(self, y: Cloud, tau: Tau, uniform: PerPoint) -> Int[Tensor, " b"]:
        return self.law.pick(y, tau, uniform)

    def _bridge(
        self,
        y: Cloud,
        index: Int[Tensor, " b"],
        tau: Tau,
        lower: Tau,
        noise: Cloud,
        eta: float = 1.0,
    ) -> Cloud:
        return self.law.bridge(y, index, tau, lower, noise, eta)

    def _draw(self, n: int, generator: torch.Generator) -> Cloud:
        return self.law.draw(n, generator)


@dataclass(frozen=True, eq=False, repr=False)
class MixtureScore(ComponentScore):
    r"""A Gaussian mixture :math:`\sum_i w_i N(m_i, C_i)` along a forward process.

    .. math:: p_\tau = \sum_i w_i N(m_i, C_i + \tau I), \qquad
              \nabla \log p_\tau(y) = -\sum_i r_i(y) (C_i + \tau I)^{-1} (y - m_i),

    with :math:`r` the posterior of the components. Covariances may be singular: then the law has
    no density without noise.

    Args:
        weights: Non-negative, ``(k,)``; normalised here.
        means: ``(k, d)``.
        covariances: ``(k, d, d)``, ``(k, d)`` (diagonals) or ``(k,)`` (isotropic).
        process: The forward process.
        shape: The shape of one point; ``(d,)`` by default.
        scaling: How the points came from data units.
    """

    weights: Float[Tensor, " k"]
    means: Float[Tensor, "k d"]
    covariances: Covariances
    process: Process
    shape: tuple[int, ...] = ()
    scaling: Scaling | None = None
    law: Components = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("weights", "means", "covariances"):
            object.__setattr__(self, name, as_floats(getattr(self, name), name))
        object.__setattr__(self, "shape", as_shape(self.shape or self.means.shape[1:]))
        require(self.dim == self.means.shape[1], "shape must fit the means", got=self.shape)
        object.__setattr__(self, "law", Components(self.weights, self.means, self.covariances))

    def conditioned(self, y: Vector) -> "MixtureScore":
        """The law of the coordinates that are NaN in ``y``, given the others.

        Args:
            y: ``(d,)``, NaN where a coordinate is unknown; scaled units.

        Raises:
            InputError: If every coordinate is known, or none, or ``y`` is no such vector.
        """
        y = partly_known(y, self.dim)
        law, scaling = self.law.conditioned(y), conditioned_scaling(self.scaling, y)
        return MixtureScore(law.weights, law.means, law.covariances, self.process, scaling=scaling)
