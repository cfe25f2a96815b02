r"""How a particle uses its drift: as it is, with momentum, or as Adam's gradient.

Plain steps are the default and best in most runs; momentum averages the noise of mini-batches;
Adam forgets the size of the drift, so its length is tied to the bandwidth instead.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from wasserscore.core.errors import require

Memory = tuple[Tensor, ...]


@runtime_checkable
class Optimiser(Protocol):
    """A step from a drift and a memory."""

    def __call__(
        self, move: Tensor, memory: Memory, k: int, cooled: float
    ) -> tuple[Tensor, Memory]:
        """Displacement of a step of size one, and the memory for the next.

        Args:
            move: The drift's displacement.
            memory: What the last step left; empty at the start.
            k: The step, from 0.
            cooled: The bandwidth over the first one.
        """
        ...


@dataclass(frozen=True)
class Plain:
    """The drift itself."""

    def __call__(
        self, move: Tensor, memory: Memory, k: int, cooled: float
    ) -> tuple[Tensor, Memory]:
        """``move``."""
        return move, memory


@dataclass(frozen=True)
class Momentum:
    r""":math:`m \leftarrow \beta m + (1 - \beta) V`, a running mean of drifts.

    Normalised, so that the step keeps its meaning; a constant drift is taken whole in the end.
    """

    beta: float = 0.9

    def __post_init__(self) -> None:
        require(0 <= self.beta < 1, "beta must lie in [0, 1)", got=self.beta)

    def __call__(
        self, move: Tensor, memory: Memory, k: int, cooled: float
    ) -> tuple[Tensor, Memory]:
        """The running mean."""
        (mean,) = memory or (torch.zeros_like(move),)
        mean = torch.lerp(move, mean, self.beta)
        return mean, (mean,)


@dataclass(frozen=True)
class Adam:
    r"""Adam's direction times ``rate`` and :math:`\sigma_k / \sigma_0`.

    Every coordinate then moves about ``rate`` times the cooling, whatever the drift: it must
    shrink with the bandwidth, or particles never settle.
    """

    rate: float = 0.2
    betas: tuple[float, float] = (0.9, 0.999)
    floor: float = 1e-8

    def __call__(
        self, move: Tensor, memory: Memory, k: int, cooled: float
    ) -> tuple[Tensor, Memory]:
        """The corrected mean over the corrected root mean square."""
        first, second = memory or (torch.zeros_like(move), torch.zeros_like(move))
        a, b = self.betas
        first = a * first + (1 - a) * move
        second = b * second + (1 - b) * move.square()
        mean, square = first / (1 - a ** (k + 1)), second / (1 - b ** (k + 1))
        return self.rate * cooled * mean / (square.sqrt() + self.floor), (first, second)


OPTIMISERS: dict[str, Optimiser] = {"plain": Plain(), "momentum": Momentum(), "adam": Adam()}


def as_optimiser(optimiser: "str | Optimiser") -> Optimiser:
    """An optimiser by its name, or itself.

    Raises:
        InputError: For a name that is not known.
    """
    if not isinstance(optimiser, str):
        return optimiser
    require(optimiser in OPTIMISERS, "unknown optimiser", got=repr(optimiser),
            do=f"use one of {', '.join(OPTIMISERS)}")  # fmt: skip
    return OPTIMISERS[optimiser]
