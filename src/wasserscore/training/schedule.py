"""Learning rate and averaging by step number."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from wasserscore.core.errors import require
from wasserscore.training.power import kept

DECAYS: dict[str, Callable[[float], float]] = {
    "cosine": lambda share: 0.5 * (1 + math.cos(math.pi * share)),
    "linear": lambda share: 1 - share,
    "constant": lambda share: 1.0,
}
"""What is left of the learning rate after a share of the steps."""


@dataclass(frozen=True)
class Schedule:
    r"""Learning rate and averaging by step number, so that nothing needs to be saved.

    The rate of step k is ``learning_rate`` times :math:`\min(1, (k + 1) / warmup)` times what the
    decay leaves after :math:`k / steps` of the training, which goes on while the rate rises: with
    a warmup it stays below ``learning_rate``, unless that is "constant". The average
    keeps :math:`\min(ema, (1 + k) / (10 + k))` of itself, so that it forgets the untrained
    weights quickly.

    Args:
        steps: Updates in all; None keeps the rate as it is.
        learning_rate: What warmup and decay lower.
        ema: Largest share of the average that survives a step, or of each of several averages.
        warmup: Updates over which the rate rises.
        decay: How it falls, a name of ``DECAYS``.
        widths: Of averages by powers of time, see :mod:`wasserscore.training.power`.

    Raises:
        InputError: For another name.
    """

    steps: int | None
    learning_rate: float
    ema: float | tuple[float, ...]
    warmup: int = 0
    decay: str = "cosine"
    widths: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        require(self.decay in DECAYS, f"decay must be one of {', '.join(DECAYS)}",
                got=repr(self.decay))  # fmt: skip

    def rate(self, k: int) -> float:
        """Learning rate of step ``k``."""
        risen = min(1.0, (k + 1) / self.warmup) if self.warmup else 1.0
        if self.steps is None:
            return self.learning_rate * risen
        return self.learning_rate * risen * DECAYS[self.decay](k / self.steps)

    @property
    def emas(self) -> tuple[float, ...]:
        """Of all averages, the first first."""
        return self.ema if isinstance(self.ema, tuple) else (self.ema,)

    def keep(self, k: int) -> list[float]:
        """How much of each average survives step ``k``, those by powers of time last."""
        powers = [kept(width, k) for width in self.widths]
        return [min(ema, (1 + k) / (10 + k)) for ema in self.emas] + powers
