r"""Precision and recall, density and coverage: fidelity and variety, apart.

With :math:`B_k(p)` the open ball around p up to its k-th neighbour in its own cloud (itself not
counted), for generated q in Q (m points) and reference p in P (n points):

precision = share of q inside some :math:`B_k(p)`; recall = share of p inside some
:math:`B_k(q)`; density = :math:`\frac{1}{k m} \sum_q \#\{p : q \in B_k(p)\}`;
coverage = share of p with some q in :math:`B_k(p)`.
"""

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.numbers import spelled
from wasserscore.core.results import Estimate, Record, share_error
from wasserscore.distance.clouds import as_clouds, in_unit
from wasserscore.kernel import in_balls, nearest

TIE = 1e-9
"""A point this close to a sphere, relatively, lies on it, and so outside the open ball.

Of rows on a lattice many do, and where its step is no binary fraction (tenths, cents) their
distances differ by rounding: by 1e-9 of a step at a million steps from zero.
"""


@dataclass(frozen=True)
class PRDC(Record):
    """The four numbers; each with its standard error over the points counted, balls fixed.

    precision, recall and coverage lie in [0, 1]; density is about 1 for a perfect generator and
    may exceed it. Higher is better for all four.
    """

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate


def prdc(generated: Any, reference: Any, k: int = 5) -> PRDC:
    """Precision, recall, density and coverage of generated points against a reference.

    The reference should be held-out data (training data rewards copies) and of the same size as
    the generated set: all four numbers move with the sizes, and the status says so.

    Source: :cite:p:`kynkaanniemi2019`, eq. (1)-(2); :cite:p:`naeem2020`, eq. (3)-(4).

    Args:
        generated: Points ``(m, *shape)``, data units or features.
        reference: Points ``(n, *shape)``.
        k: The neighbour that sets the radius.

    Raises:
        InputError: On bad clouds, or one with no more than k points.
    """
    require(k >= 1, "k must be at least 1", got=k)
    q, p = as_clouds(generated, reference, minimum=k + 1, names=("generated", "reference"))
    _, (q, p) = in_unit(spelled(q), spelled(p))
    inside_p, covered = in_balls(q, p, _radii(p, k))
    inside_q, _ = in_balls(p, q, _radii(q, k))
    status = "ok" if len(q) == len(p) else f"sizes differ: {len(q)} generated, {len(p)} reference"
    return PRDC(
        precision=_share(inside_p > 0, status),
        recall=_share(inside_q > 0, status),
        density=_mean(inside_p, status, k),
        coverage=_share(covered, status),
    )


def _radii(points: Tensor, k: int) -> Tensor:
    """Distances to the k-th neighbour, a little less so that what lies on a sphere is outside."""
    return nearest(points, points, k, exclude_self=True)[0][:, -1] * (1 - TIE)


def _share(which: Tensor, status: str) -> Estimate:
    value, n = float(which.double().mean()), len(which)
    return Estimate(value, stderr=share_error(value, n), n=n, status=status, units="")


def _mean(values: Tensor, status: str, unit: int) -> Estimate:
    """The mean of counts, in units of ``unit``."""
    values, n = values.double(), len(values)
    stderr = float(values.std()) / math.sqrt(n) / unit if n > 1 else None
    return Estimate(float(values.mean()) / unit, stderr=stderr, n=n, status=status, units="")
