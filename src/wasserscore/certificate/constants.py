r"""One-sided Lipschitz constants: of which score, and how they are known.

.. math:: L(t) = \sup_{x \ne y} \frac{(s(x) - s(y)) \cdot (x - y)}{|x - y|^2}
               = \sup_x \lambda_{\max}\bigl(\tfrac12 (\nabla s + \nabla s^T)\bigr),

often negative. A bound is only as good as its constant, so two facts travel with it. *Which
score* it belongs to: the theorem needs the model's, its swapped form the reference's, and one is
no bound on the other. *How* it is known: ``stated`` (the user's word), ``analytic`` (closed form
from stated facts about a law), ``certified`` (proved here, for one score object) or ``estimated``
(a maximum over finitely many points: a *lower* estimate of a supremum, which never makes a bound).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.certificate.concavity import Concavity
from wasserscore.certificate.search import highest
from wasserscore.core.errors import require
from wasserscore.core.typing import Points, ScoreFn, Vector
from wasserscore.process import Process

KINDS = ("stated", "analytic", "certified", "estimated")
OWNERS = ("model", "reference")


@dataclass(frozen=True)
class OneSided:
    """A one-sided constant as a function of time, whose it is, and how it is known.

    Args:
        value: ``value(t)`` for times of shape (m,), in inverse squared units of the points.
        kind: "stated", "analytic", "certified" or "estimated".
        detail: Where it comes from.
        of: The score it belongs to: "model", "reference", or the score itself. A certified
            constant names the score it was proved for.
    """

    value: Callable[[Tensor], Tensor]
    kind: str
    detail: str = ""
    of: object = "model"

    def __post_init__(self) -> None:
        require(self.kind in KINDS, "kind must be one of " + ", ".join(KINDS), got=repr(self.kind))
        named = isinstance(self.of, str)
        require(not named or self.of in OWNERS, "of must be 'model', 'reference' or a score",
                got=repr(self.of))  # fmt: skip
        require(self.kind != "certified" or not named,
                "a certified constant belongs to one score", got=f"of={self.of!r}",
                do="use certified(score), or kind='stated' for what you know")  # fmt: skip

    @property
    def bounding(self) -> bool:
        """Whether a bound may rest on it."""
        return self.kind != "estimated"

    def belongs_to(self, role: str, score: object) -> bool:
        """Whether it is the constant of this score, which plays this role.

        Args:
            role: "model" or "reference".
            score: The score in that role.
        """
        return self.of == role if isinstance(self.of, str) else self.of is score

    def status(self, score: object) -> str:
        """A bound's status: "checked" where proved for this very score, otherwise "assumed"."""
        return "checked" if self.kind == "certified" and self.of is score else "assumed"


def from_concavity(law: Concavity, process: Process, *, of: object = "reference") -> OneSided:
    r"""The constant of a *true* score, from bounds on the law's log density.

    .. math:: L_p(t) = -a(S_t) / \alpha_t^2

    Args:
        law: What is known of the law: log-concave, bounded and smoothed, ...
        process: The forward process.
        of: Whose law it is; "reference" unless the *model* is known to be the score of this law.
    """
    return OneSided(
        lambda t: -law.concavity(process.noise_to_signal(t)) / process.alpha(t) ** 2,
        "analytic",
        type(law).__name__,
        of,
    )


def tabulated(
    times: Vector,
    values: Vector,
    kind: str,
    detail: str = "",
    *,
    of: object = "model",
    modulus: float | None = None,
) -> OneSided:
    """A constant known at some times: the larger of its two neighbours in between.

    A straight line between two known values is no bound. The larger one is, where the constant is
    monotone from one time to the next; with a ``modulus`` M nothing is assumed of its shape, and
    it is the lower envelope of the cones ``values + M |t - times|``. Outside the table nothing is
    known: the constant is infinite there without a modulus, except an estimate, which stays flat.

    Args:
        times: Increasing, shape (m,).
        values: Shape (m,).
        kind: How the values are known.
        detail: Where they come from.
        of: The score they belong to.
        modulus: Largest rate of change of the constant in time, if known.
    """
    require(modulus is not None or kind != "certified",
            "a certified table needs a modulus between its times", got="modulus=None",
            do="give a bound on the constant's rate of change")  # fmt: skip

    def envelope(t: Tensor) -> Tensor:
        cones = values + float(modulus or 0.0) * (t.to(times)[:, None] - times).abs()
        return cones.min(1).values

    def neighbours(t: Tensor) -> Tensor:
        right = torch.searchsorted(times, t.to(times)).clamp(0, len(times) - 1)
        left = torch.searchsorted(times, t.to(times), right=True).sub(1).clamp(0, len(times) - 1)
        found = torch.maximum(values[left], values[right])
        outside = (t < times[0]) | (t > times[-1])
        return found if kind == "estimated" else found.masked_fill(outside, torch.inf)

    return OneSided(neighbours if modulus is None else envelope, kind, detail, of)


def estimate(
    score: ScoreFn,
    clouds: Sequence[tuple[float, Points]],
    *,
    of: object = "model",
    steps: int = 12,
) -> OneSided:
    """The largest local constant found near clouds of points, by gradient ascent.

    Starts from the points and from the midpoints of random pairs, which reach into the valleys
    between modes, where a score expands most, and climbs from the best of them. A lower estimate
    of the supremum, whatever the number of points and steps.

    Args:
        score: Any differentiable callable ``(x, t)``.
        clouds: Times, increasing, each with its points (n, *shape).
        of: The score's role, or the score itself.
        steps: Steps of the ascent; 0 only looks at the starting points.
    """
    values = [
        highest(score, torch.cat([x, (x + x.roll(1, 0)) / 2]), t, steps=steps).value
        for t, x in clouds
    ]
    times = torch.tensor([t for t, _ in clouds], dtype=torch.float64)
    detail = f"largest near {2 * len(clouds[0][1])} points per time"
    return tabulated(times, torch.tensor(values, dtype=torch.float64), "estimated", detail, of=of)
