r"""Extrapolation: away from a score that knows less, towards one that knows more.

Source: Ho and Salimans, "Classifier-free diffusion guidance" (2021), eq. (6), whose w is our
``scale - 1``; :cite:p:`karras2024bad` eq. (4), autoguidance.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.numbers import is_number
from wasserscore.core.typing import Points, Times
from wasserscore.score.base import ClosedFormScore
from wasserscore.score.guidance.derived import Derived


@dataclass(frozen=True, eq=False)
class Guided(Derived):
    r"""Two scores, extrapolated: :math:`s = s_0 + c\,(s_1 - s_0)`.

    Where both are gradients it is that of :math:`\log p_0 + c\,(\log p_1 - \log p_0)` at every
    noise level apart, so it is the score of no noised law unless c is 0 or 1: samples are sharper
    than the law of :math:`s_1`, and no certificate speaks of it. Two centred Gaussians of
    variance :math:`v_0, v_1` give samples of variance :math:`v_0^{1 - c} v_1^c`.

    With a smaller or less trained version of the same model as ``poor`` it is autoguidance, which
    moves away from the errors that both make, the poor one more of them.

    Args:
        poor: :math:`s_0`: a score of all classes, or of a smaller or less trained network.
        good: :math:`s_1`, of the same process, shape and scaling.
        scale: :math:`c`, non-negative; 1 is ``good`` alone.

    Raises:
        InputError: If the two scores do not fit together.
    """

    poor: Any
    good: Any
    scale: float

    def __post_init__(self) -> None:
        good = is_number(self.scale) and 0 <= self.scale < float("inf")
        require(good, "the scale of a guidance must be finite and non-negative", got=self.scale)
        known = all(hasattr(s, "process") and hasattr(s, "shape") for s in (self.poor, self.good))
        require(known, "scores of a guidance need a process and a shape",
                got=f"{type(self.poor).__name__} and {type(self.good).__name__}",
                do="wrap functions in ws.DenoiserScore")  # fmt: skip
        for name in ("process", "shape"):
            mine, other = getattr(self.good, name), getattr(self.poor, name)
            require(mine == other, f"both scores of a guidance must have the same {name}",
                    got=f"{mine} and {other}")  # fmt: skip
        scalings = (getattr(s, "scaling", None) for s in (self.good, self.poor))
        one, two = (None if scaling is None else scaling.to_dict() for scaling in scalings)
        require(one == two, "both scores of a guidance must have the same scaling", got="two",
                do="train both on points in the same units")  # fmt: skip

    @property
    def origin(self) -> Any:
        """The better score."""
        return self.good

    def __call__(self, x: Points, t: Times) -> Points:
        """The guided score, shaped like ``x``."""
        leaned: Tensor = torch.lerp(self.poor(x, t), self.good(x, t), self.scale)
        return leaned


class ClassifierFree(Guided):
    r"""Classifier-free guidance: :math:`s(x) + c\,(s(x | y) - s(x))`.

    Args:
        score: A score with ``conditioned(y)``, for example a :class:`NetworkScore` trained with
            ``labels=``; without a label it is that of all classes together.
        y: The class.
        scale: :math:`c`; 0 ignores the class, 1 is its score, larger is sharper.

    Raises:
        InputError: If the score does not know the class, as no law in closed form does (their
            ``conditioned`` fixes coordinates), or the scale is negative.
    """

    def __init__(self, score: Any, y: Any, scale: float) -> None:
        known = not isinstance(score, ClosedFormScore) and hasattr(score, "conditioned")
        require(known, "the score must know classes or conditions", got=type(score).__name__,
                do="extrapolate two laws by ws.guidance.Guided(all, one, scale)")  # fmt: skip
        super().__init__(score, score.conditioned(y), scale)
