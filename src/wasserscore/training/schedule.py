"""Learning rate and averaging by step number."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    r"""Learning rate and averaging by step number, so that nothing needs to be saved.

    The rate falls by a half cosine from ``learning_rate`` to zero over ``steps``, after it has
    risen in proportion to k + 1 over the first ``warmup`` of them; the average
    keeps :math:`\min(ema, (1 + k) / (10 + k))` of itself, so that it forgets the untrained
    weights quickly.

    Args:
        steps: Updates in all; None keeps the rate as it is.
        learning_rate: Of the first.
        ema: Largest share of the average that survives a step.
        warmup: Updates over which the rate rises.
    """

    steps: int | None
    learning_rate: float
    ema: float
    warmup: int = 0

    def rate(self, k: int) -> float:
        """Learning rate of step ``k``."""
        risen = min(1.0, (k + 1) / self.warmup) if self.warmup else 1.0
        if self.steps is None:
            return self.learning_rate * risen
        return self.learning_rate * risen * 0.5 * (1 + math.cos(math.pi * k / self.steps))

    def keep(self, k: int) -> float:
        """How much of the average survives step ``k``."""
        return min(self.ema, (1 + k) / (10 + k))
