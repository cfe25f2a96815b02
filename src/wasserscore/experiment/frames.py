"""Frames of a flow, in a plane that people can look at."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.typing import Cloud
from wasserscore.flow import Info, PrincipalComponents
from wasserscore.flow.particles import Observer
from wasserscore.report import Motion

FRAMES = 40
"""Frames kept, at most, the start and the end among them."""
SHOWN = 2000
"""Particles and target points shown, at most, taken at even distances."""


class Frames:
    """An observer that keeps some frames of a flow, in the first two principal axes of the target.

    Two coordinates are shown as they are; a single one against its rank among all, so that the
    picture is a distribution function.

    Args:
        start: Particles before the first step ``(n, d)``.
        target: Where they go ``(m, d)``.
        columns: Names of the coordinates.
        observe: Another observer, told as well.
    """

    def __init__(
        self,
        start: Cloud,
        target: Float[Tensor, "m d"],
        columns: tuple[str, ...],
        observe: Observer | None = None,
    ) -> None:
        some, self.observe = _some(target), observe
        self.plane: Callable[[Tensor], Tensor] = lambda x: x
        self.axes, self.same_scale = columns[:2], len(columns) > 1
        if len(columns) == 1:
            self.plane, self.axes = _against_rank, (*columns, "rank")
        elif len(columns) > 2:
            self.plane = PrincipalComponents.fit(some, 2)
            self.axes = ("first principal axis of the target", "second principal axis")
        self.target = self.plane(some)
        self.kept, self.captions = [self.plane(_some(start))], ["start"]

    def __call__(self, info: Info, x: Tensor) -> dict[str, Any] | None:
        """Keep every so many steps, and the last."""
        done, every = info.k + 1, -(-info.steps // (FRAMES - 2))
        if done % every == 0 or done == info.steps:
            self.kept.append(self.plane(_some(x)).clone())
            self.captions.append(f"{done} of {info.steps}, bandwidth {info.sigma:.3g}")
        return None if self.observe is None else self.observe(info, x)

    def motion(self) -> Motion:
        """What was kept."""
        horizontal, vertical = self.axes
        return Motion(torch.stack(self.kept).numpy(), self.target.numpy(), tuple(self.captions),
                      (horizontal, vertical), self.same_scale)  # fmt: skip


def _some(x: Tensor) -> Tensor:
    return x[:: -(-len(x) // SHOWN)].double()


def _against_rank(x: Tensor) -> Tensor:
    rank = x[:, 0].argsort().argsort().to(x) / max(len(x) - 1, 1)
    return torch.stack([x[:, 0], rank], 1)
