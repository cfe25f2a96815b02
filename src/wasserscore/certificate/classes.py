r"""A certificate for every class of a conditional model, and one for all classes together.

With classes k of weight :math:`p_k`, data laws :math:`P_k` and generated laws :math:`Q_k`,

.. math:: W_2^2\Bigl(\sum_k p_k P_k,\ \sum_k p_k Q_k\Bigr) \le \sum_k p_k W_2^2(P_k, Q_k).

Proof: let :math:`\gamma_k` be an optimal coupling of :math:`P_k` and :math:`Q_k`. Then
:math:`\gamma = \sum_k p_k \gamma_k` has the marginals of the left side, so it is a coupling of
the two mixtures, and its cost :math:`\int |x - y|^2 d\gamma` is the right side. Equality holds
where the best transport keeps to its class; the converse is false: a model that has two classes
the wrong way round makes all points together, and none of either class, right.
"""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from wasserscore.certificate.base import Certificate, Limit
from wasserscore.certificate.certify import certify
from wasserscore.core.errors import require
from wasserscore.core.results import Record
from wasserscore.score.base import ClosedFormScore

_WEAKEST = ("asymptotic", "finite_sample", "deterministic")


@dataclass(frozen=True)
class ClassCertificates(Record):
    """A certificate per class; all of them and the combined one hold together at ``level``.

    Args:
        classes: The names of the classes.
        weights: Their shares, which add up to one.
        certificates: One per class.
        upper: Limit of W2 between the mixtures of all classes, data and generated.
        level: Confidence level of all these limits at once.
    """

    classes: tuple[Any, ...]
    weights: tuple[float, ...]
    certificates: tuple[Certificate, ...]
    upper: Limit
    level: float

    def __getitem__(self, name: Hashable) -> Certificate:
        require(name in self.classes, f"the class must be one of {list(self.classes)}",
                got=repr(name))  # fmt: skip
        return self.certificates[self.classes.index(name)]

    def __repr__(self) -> str:
        lines = [f"all classes: W2 {self.upper!r}"]
        lines.append(f"  {'class':<12} {'share':>7} {'W2 below':>10} {'spread':>8}  by")
        for name, weight, found in zip(self.classes, self.weights, self.certificates, strict=True):
            marks = "  vacuous" * found.vacuous + "  NOT VALID" * bool(found.violated)
            lines.append(
                f"  {name!s:<12} {weight:>7.3g} {found.upper.value:>10.4g} {found.spread:>8.4g}"
                f"  {found.best().name}{marks}"
            )
        return "\n".join(lines)


def certify_classes(
    score: Any,
    references: Mapping[Any, ClosedFormScore],
    *,
    weights: Mapping[Any, float] | None = None,
    level: float = 0.95,
    **settings: Any,
) -> ClassCertificates:
    """Certify a class-conditional model, class by class and altogether.

    Args:
        score: With ``conditioned(y)`` for every class, or a mapping from classes to scores.
        references: The law of each class, for example
            ``{name: classes.given(name) for name in classes.classes}`` of
            :func:`~wasserscore.proximal.fit_classes`.
        weights: The share of each class, of data and generated points alike; normalised here,
            None for equal shares. They must be known: an error in them is in no limit.
        level: Confidence level of all limits together; each class has its part of the error.
        settings: Of :func:`certify`.

    Raises:
        InputError: If scores or weights do not name the classes, before any is certified, or for
            what :func:`certify` refuses.
    """
    classes = tuple(references)
    require(len(classes) > 0, "there must be a class", got="no references")
    scores = [_score_of(score, name) for name in classes]
    given = dict.fromkeys(classes, 1.0) if weights is None else dict(weights)
    require(set(given) == set(classes), f"weights must name the classes {list(classes)}",
            got=list(given))  # fmt: skip
    total = sum(given.values())
    require(min(given.values()) >= 0 and 0 < total < math.inf,
            "weights must be non-negative, some positive", got=list(given.values()))  # fmt: skip
    require(0 < level < 1, "level must lie in (0, 1)", got=level)
    shares = tuple(float(given[name]) / total for name in classes)
    each = 1 - (1 - level) / len(classes)
    found = tuple(
        certify(tested, references[name], level=each, **settings)
        for name, tested in zip(classes, scores, strict=True)
    )
    squared = sum(p * c.upper.value**2 for p, c in zip(shares, found, strict=True) if p > 0)
    kind = min((c.upper.kind for c in found), key=_WEAKEST.index)
    upper = Limit(math.sqrt(squared), n=sum(c.n for c in found), level=level, kind=kind)
    return ClassCertificates(classes, shares, found, upper, level)


def _score_of(score: Any, name: Hashable) -> Any:
    """The score of one class."""
    if isinstance(score, Mapping):
        require(name in score, f"there must be a score of the class {name!r}", got=list(score))
        return score[name]
    require(hasattr(score, "conditioned"), "the score must know classes", got=repr(score)[:80],
            do="give one with conditioned(y), or a score for each class")  # fmt: skip
    return score.conditioned(name)
