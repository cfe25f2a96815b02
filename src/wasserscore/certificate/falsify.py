"""Trying to prove a one-sided constant wrong: one pair of points is enough."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.certificate.base import Assumption
from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.jacobian import DENSE, extremes
from wasserscore.certificate.search import highest, segments
from wasserscore.core.results import Record
from wasserscore.core.typing import PerPoint, Points, ScoreFn, Vector

LOOK = 8
"""Pairs per time, those with the largest slopes, whose segments are searched."""
ROUNDING = 1e-6
"""Relative excess that may be rounding, at the precision of float64."""


@dataclass(frozen=True)
class Witness(Record):
    """Points at which a score expands more than its constant allows.

    Args:
        time: When.
        found: The slope or eigenvalue there.
        constant: What the constant says at that time.
        how: "slope" between ``x`` and ``y``, or "eigenvalue" at ``x``.
        x: A point, flat, scaled units.
        y: The other point of a slope.
    """

    time: float
    found: float
    constant: float
    how: str
    x: Vector
    y: Vector | None = None

    def __str__(self) -> str:
        where = ", ".join(f"{v:.3g}" for v in self.x[:4].tolist()) + (", ..." * (len(self.x) > 4))
        return (
            f"{self.how} {self.found:.4g} > {self.constant:.4g} at t = {self.time:.3g}, "
            f"x = ({where})"
        )


def falsify(
    constant: OneSided,
    score: ScoreFn,
    pairs: Iterable[tuple[float, Tensor, Tensor]],
    *,
    steps: int = 0,
) -> Witness | None:
    r"""The worst violation of a constant along pairs of points; None if there is none.

    Looks at the slopes :math:`(s(x) - s(y)) \cdot (x - y) / |x - y|^2` of all pairs, and at the
    top eigenvalue of the symmetrised Jacobian at and between the pairs of the largest slopes
    (beyond 256 coordinates, where one costs a whole Krylov space: of the one largest). Time 0,
    where a score need not exist, is left out. To find nothing proves nothing.

    Args:
        constant: The constant of ``score``.
        score: The score it is said to belong to.
        pairs: Times, each with points ``x`` and ``y`` whose rows belong together, however many.
        steps: Steps of a gradient ascent from the best points of every time.
    """
    worst: Witness | None = None
    largest: tuple[float, tuple[float, Points, Points, float] | None] = (-torch.inf, None)
    for t, x, y in pairs:
        finite = torch.isfinite(x + y).flatten(1).all(1)
        if t == 0 or not bool(finite.any()):
            continue
        x, y = x[finite], y[finite]
        allowed = float(constant.value(torch.tensor([t], dtype=torch.float64)))
        slopes, noise = _slopes(score, t, x, y)
        top = int((slopes - noise).argmax())
        if float(slopes[top] - allowed) > largest[0]:
            largest = float(slopes[top] - allowed), (t, x[[top]], y[[top]], allowed)
        found = [_steepest(t, x[top], y[top], slopes[top], noise[top], allowed)]
        if x[0].numel() <= DENSE:
            some = slopes.topk(min(LOOK, len(x))).indices
            found.append(_between(score, t, x[some], y[some], allowed, steps))
        worst = max([worst, *found], key=_excess)
    if largest[1] is not None and largest[1][1][0].numel() > DENSE:
        t, x, y, allowed = largest[1]
        worst = max(worst, _between(score, t, x, y, allowed, 0), key=_excess)
    return worst


def falsified(
    constant: OneSided, witness: Witness | None, score: object, whose: str = "score"
) -> Assumption:
    """What the search says about a constant, as an assumption of a certificate."""
    name = f"the {whose}'s one-sided constant holds everywhere"
    detail = constant.kind + (f": {constant.detail}" if constant.detail else "")
    if witness is not None:
        return Assumption(name, "violated", f"{detail}; {witness}")
    return Assumption(name, constant.status(score), f"{detail}; no violation along the coupling")


def _excess(witness: Witness | None) -> float:
    return -torch.inf if witness is None else witness.found - witness.constant


def _steepest(
    t: float, x: Tensor, y: Tensor, slope: Tensor, noise: Tensor, allowed: float
) -> Witness | None:
    """The pair as a witness, if its slope is more than the constant and rounding allow."""
    if float(slope - noise) - allowed <= ROUNDING * abs(allowed):
        return None
    return Witness(t, float(slope), allowed, "slope", x.flatten(), y.flatten())


def _between(
    score: ScoreFn, t: float, x: Points, y: Points, allowed: float, steps: int
) -> Witness | None:
    """The largest eigenvalue at and between pairs as a witness."""
    peak = highest(score, segments(x, y, 2), t, steps=steps)
    size = float(extremes(score, peak.point[None], t).abs().max())
    if peak.value - allowed <= _precision(x) * max(abs(allowed), size):
        return None
    return Witness(t, peak.value, allowed, "eigenvalue", peak.point.flatten())


@torch.no_grad()
def _slopes(score: ScoreFn, t: float, x: Points, y: Points) -> tuple[PerPoint, PerPoint]:
    """Slopes of matching rows, and what rounding may add to them; -inf where rows coincide."""
    gap = (x - y).flatten(1)
    s_x, s_y = score(x, t).flatten(1), score(y, t).flatten(1)
    length = gap.norm(dim=1)
    slopes = ((s_x - s_y) * gap).sum(1) / length.square()
    noise = _precision(x) * (s_x.norm(dim=1) + s_y.norm(dim=1)) / length
    off = (length == 0) | ~torch.isfinite(slopes)
    return slopes.masked_fill(off, -torch.inf), noise.masked_fill(off, 0.0)


def _precision(x: Tensor) -> float:
    return ROUNDING * torch.finfo(x.dtype).eps / torch.finfo(torch.float64).eps
