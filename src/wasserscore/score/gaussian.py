"""The score of a Gaussian law, at every noise level."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.integers import as_shape
from wasserscore.core.tensors import as_floats
from wasserscore.core.typing import Matrix, Vector
from wasserscore.data import Scaling
from wasserscore.process.base import Process
from wasserscore.score.components import Components
from wasserscore.score.conditioning import conditioned_scaling, partly_known
from wasserscore.score.mixture import ComponentScore

Covariance = Float[Tensor, "d d"] | Float[Tensor, " d"] | Float[Tensor, ""]
"""A matrix, a diagonal, or one variance."""


@dataclass(frozen=True, eq=False, repr=False)
class GaussianScore(ComponentScore):
    r"""The law :math:`N(m, C)` along a forward process.

    .. math:: x_t \sim N(\alpha_t m, \alpha_t^2 C + \sigma_t^2 I), \qquad
              \nabla \log p_t(x) = -(\alpha_t^2 C + \sigma_t^2 I)^{-1} (x - \alpha_t m)

    Args:
        mean: ``(d,)``.
        covariance: ``(d, d)``, ``(d,)`` (diagonal) or ``()`` (isotropic); may be singular.
        process: The forward process.
        shape: The shape of one point; ``(d,)`` by default.
        scaling: How the points came from data units.
        axes: ``(d, d)``, orthonormal columns along which ``covariance`` is a diagonal; the
            coordinate axes by default.
    """

    mean: Vector
    covariance: Covariance
    process: Process
    shape: tuple[int, ...] = ()
    scaling: Scaling | None = None
    axes: Matrix | None = None
    law: Components = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("mean", "covariance"):
            object.__setattr__(self, name, as_floats(getattr(self, name), name))
        object.__setattr__(self, "shape", as_shape(self.shape or self.mean.shape))
        require(self.dim == len(self.mean), "shape must fit the mean", got=self.shape)
        one = torch.ones(1, dtype=self.mean.dtype, device=self.mean.device)
        axes = None if self.axes is None else as_floats(self.axes, "axes")
        object.__setattr__(self, "axes", axes)
        law = Components(one, self.mean[None], self.covariance[None],
                         None if axes is None else axes[None])  # fmt: skip
        object.__setattr__(self, "law", law)

    def conditioned(self, y: Vector) -> "GaussianScore":
        """The law of the coordinates that are NaN in ``y``, given the others.

        Args:
            y: ``(d,)``, NaN where a coordinate is unknown; scaled units.

        Raises:
            InputError: If every coordinate is known, or none, or ``y`` is no such vector.
        """
        y = partly_known(y, self.dim)
        law, scaling = self.law.conditioned(y), conditioned_scaling(self.scaling, y)
        return GaussianScore(law.means[0], law.covariances[0], self.process, scaling=scaling)
