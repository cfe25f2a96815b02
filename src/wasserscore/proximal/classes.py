r"""Classes in a fitted mixture: every component holds its share of each class.

.. math:: p(x, c) = \sum_i w_i\, \pi_{ic}\, N(x; z_i, \Sigma_i), \qquad \sum_c \pi_{ic} = 1

The law of the points given their class is again a mixture with the same components and weights
:math:`w_i \pi_{ic}`; at every noise level the class of a point has the probabilities that Bayes'
rule gives. The shares are one step of expectation-maximisation from labelled points: a component
holds of a class what it explains of its points,

.. math:: \pi_{ic} \propto \sum_{j : c_j = c} r_i(x_j).
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.tensors import as_points, tiles
from wasserscore.core.typing import Points
from wasserscore.score.grouped import Member
from wasserscore.score.latent import LatentScore
from wasserscore.score.proximal import ProximalScore

TILE = 2**22
"""Responsibilities held at a time."""


@dataclass(frozen=True, eq=False)
class ClassMixtures:
    r"""A mixture whose components know their classes.

    Args:
        score: The law of all points.
        classes: The names of the classes.
        shares: :math:`\pi`, ``(components, classes)``, rows sum to one.
    """

    score: Member
    classes: tuple[Hashable, ...]
    shares: Float[Tensor, "n c"]

    @property
    def prior(self) -> Float[Tensor, " c"]:
        """The share of every class in the law of all points."""
        return _components(self.score).law.weights @ self.shares

    def given(self, name: Hashable) -> Member:
        """The law of the points of one class.

        Raises:
            InputError: If there is no class of this name.
        """
        require(name in self.classes, f"the class must be one of {list(self.classes)}",
                got=repr(name))  # fmt: skip
        law = _components(self.score)
        weights = law.law.weights * self.shares[:, self.classes.index(name)]
        kept = weights > torch.finfo(weights.dtype).tiny
        part = replace(law, centres=law.centres[kept], covariance=law.covariance.rows(kept),
                       weights=weights[kept], fit_report=None)  # fmt: skip
        return replace(self.score, latent=part) if isinstance(self.score, LatentScore) else part

    def probabilities(self, x: Points, t: float = 0.0) -> Float[Tensor, "b c"]:
        """The probability of every class at points ``(b, *shape)`` noised to time ``t``."""
        found = [part @ self.shares for part in responsibilities(self.score, x, t)]
        return torch.cat(found) if found else self.shares[:0]


def fit_classes(score: Member, points: Any, labels: Any) -> ClassMixtures:
    """Classes for a fitted mixture, from labelled points.

    Args:
        score: What :func:`fit_proximal` gave for all points together.
        points: ``(m, *shape)`` in the units of the score, best those that it was fitted on.
        labels: The class of every point, ``(m,)``: numbers or names.

    Raises:
        InputError: If there is not one label for every point, or a label is missing.
    """
    x = as_points(points, "points")
    given = np.asarray(labels)
    require(given.shape == (len(x),), "labels must hold one class per point",
            got=f"shape {given.shape} for {len(x)} points")  # fmt: skip
    require(all(name == name and name is not None for name in given.tolist()),  # NaN is not itself
            "every point needs a class", got="a missing label",
            do="drop these points, or give them a class of their own")  # fmt: skip
    classes, which = np.unique(given, return_inverse=True)
    law = _components(score)
    members = law.centres.new_zeros(len(x), len(classes))
    members[torch.arange(len(x)), torch.from_numpy(which)] = 1.0
    explained, start = law.centres.new_zeros(law.components, len(classes)), 0
    for part in responsibilities(score, x):
        explained += part.mT @ members[start : start + len(part)]
        start += len(part)
    explained += torch.finfo(explained.dtype).tiny * members.mean(0)  # for idle components
    return ClassMixtures(score, tuple(classes.tolist()), explained / explained.sum(1, True))


def responsibilities(
    score: Member, x: Points, t: float = 0.0
) -> Iterator[Float[Tensor, "rows n"]]:
    """The posterior of the components at every point, some rows at a time."""
    law = _components(score)
    y = x.flatten(1).to(law.centres) / score.process.alpha(t)
    if isinstance(score, LatentScore):  # across its axes all components are the same
        y = (y - score.middle) @ score.axes
    tau = float(score.process.noise_to_signal(t))
    for rows in tiles(len(y), max(1, TILE // law.components)):
        yield law.law.log_joint(y[rows], tau).softmax(1)


def _components(score: Member) -> ProximalScore:
    return score.latent if isinstance(score, LatentScore) else score
