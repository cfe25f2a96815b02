r"""Images turned, flipped and moved in training, of which generated ones show nothing.

Every image is transformed with random parameters, and the network is told these as its condition
vector, or as the last numbers of it where images have vectors of their own. Where they are zero
the image is as it was: with zeros the network is a score of the images themselves, while what it
shares between all vectors was learned of many more.

Source: :cite:`karras2022` appendix F.2, the transformations that need no interpolation; "nonleaky"
after Karras et al., "Training generative adversarial networks with limited data" (NeurIPS 2020).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.numbers import is_number
from wasserscore.core.typing import Points
from wasserscore.network.told import Condition

REACH = 8
"""Images move by an eighth of their size at most, by a pixel at least."""


def _flip(x: Points, u: Tensor) -> tuple[Points, Tensor]:
    """Left and right change places."""
    flipped = u[:, :1] >= 0.5
    return torch.where(flipped[..., None, None], x.flip(-1), x), flipped


def _rotate(x: Points, u: Tensor) -> tuple[Points, Tensor]:
    """By quarters of a turn, told by two flags; neighbours differ in one."""
    quarters = (4 * u[:, :1]).long()
    turned = x
    for k in (1, 2, 3):
        turned = torch.where((quarters == k)[..., None, None], x.rot90(k, (-2, -1)), turned)
    here = torch.cat([(quarters == 1) | (quarters == 2), (quarters == 2) | (quarters == 3)], 1)
    return turned, here


def _translate(x: Points, u: Tensor) -> tuple[Points, Tensor]:
    """By whole pixels down and right; what comes in is the mirror image."""
    sizes = torch.tensor(x.shape[-2:], device=x.device)
    most = (sizes // REACH).clamp_min(1)
    moves = ((2 * most + 1) * u).long() - most
    n, channels, *places = (torch.arange(k, device=x.device) for k in x.shape)
    down, right = (
        own[-1] - (own[-1] - (own - move[:, None]).abs()).abs()
        for own, move in zip(places, moves.T, strict=True)
    )
    moved = x[
        n[:, None, None, None], channels[:, None, None], down[:, None, :, None],
        right[:, None, None, :],
    ]  # fmt: skip
    return moved, moves / most


class Kind(NamedTuple):
    """A transformation: images and uniform numbers ``(n, length)`` to images and parameters."""

    apply: Callable[[Points, Tensor], tuple[Points, Tensor]]
    length: int


KINDS = {"flip": Kind(_flip, 1), "rotate": Kind(_rotate, 2), "translate": Kind(_translate, 2)}


@dataclass(frozen=True)
class Augmentation:
    """What is done to images ``(n, channels, height, width)`` before a step.

    Args:
        kinds: ``"flip"`` (left and right), ``"rotate"`` (quarter turns, square images),
            ``"translate"`` (whole pixels, an eighth of the size at most).
        probability: Of every kind to be drawn for an image; what is drawn may be nothing.

    Raises:
        InputError: For a kind that is none, or is named twice.
    """

    kinds: tuple[str, ...]
    probability: float = 0.12

    def __post_init__(self) -> None:
        known = bool(self.kinds) and all(kind in tuple(KINDS) for kind in self.kinds)
        require(known and len(set(self.kinds)) == len(self.kinds),
                f"augment must name some of {', '.join(KINDS)}", got=self.kinds)  # fmt: skip
        require(is_number(self.probability) and 0 < self.probability <= 1,
                "probability must lie in (0, 1]", got=repr(self.probability))  # fmt: skip

    @classmethod
    def named(cls, given: Any) -> "Augmentation":
        """One as ``augment`` of :func:`~wasserscore.training.train_score` names it."""
        if isinstance(given, Augmentation):
            return given
        several = isinstance(given, Iterable) and not isinstance(given, str)
        return cls(tuple(given) if several else (given,))

    @property
    def length(self) -> int:
        """Of the condition vector that says what was done."""
        return sum(KINDS[kind].length for kind in self.kinds)

    def fits(self, shape: tuple[int, ...], condition: int, own: int = 0) -> None:
        """Check that points are images and that the network can be told.

        Args:
            shape: Of a point.
            condition: How many numbers the network is told.
            own: How many of them are those of the image's own vector, the first ones.

        Raises:
            InputError: If not.
        """
        require(len(shape) == 3, "augment needs images (n, channels, height, width)",
                got=f"points {tuple(shape)}", do="data.images(points) has them")  # fmt: skip
        require("rotate" not in self.kinds or shape[1] == shape[2],
                "augment='rotate' needs square images", got=tuple(shape))  # fmt: skip
        whole, both = own + self.length, f" beside the {own} of conditions" if own else ""
        require(condition == whole, f"augment needs a network told {self.length} numbers{both}",
                got=condition, do=f"build it with condition={whole}")  # fmt: skip

    def __call__(self, x: Points, generator: torch.Generator) -> tuple[Points, Condition]:
        """Images and what was done to each, zeros for nothing; drawn on the CPU."""
        told = []
        for kind in self.kinds:
            apply, length = KINDS[kind]
            drawn = torch.rand(len(x), length + 1, generator=generator, dtype=torch.float64)
            moved, parameters = apply(x, drawn[:, 1:].to(x.device))
            asked = (drawn[:, :1] < self.probability).to(x.device)
            x = torch.where(asked[..., None, None], moved, x)
            told.append(asked * parameters)
        return x, torch.cat(told, 1).to(x)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {"augment": list(self.kinds), "augment_probability": self.probability}
