"""The names and numbers of a generator's training, checked."""

import math
from dataclasses import dataclass
from typing import Any

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer
from wasserscore.core.numbers import is_number
from wasserscore.core.random import as_seed
from wasserscore.flow.distillation import METHODS
from wasserscore.training.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every training of a generator is told besides objects; explained there.

    Raises:
        InputError: Names the first that cannot be used.
    """

    steps: int
    batch_size: int
    learning_rate: float
    ema: float
    gradient_clip: float
    latent: int
    measure_every: int
    seed: int

    def __post_init__(self) -> None:
        whole = {name: as_integer(getattr(self, name), name) for name in self._whole()}
        for name, number in (whole | {"seed": as_seed(self.seed)}).items():
            object.__setattr__(self, name, number)
        for name in self._sizes():
            number = getattr(self, name)
            good = is_number(number) and 0 < number < math.inf
            require(good, f"{name} must be positive and finite", got=number)
        good = is_number(self.ema) and 0 <= self.ema < 1
        require(good, "ema must lie in [0, 1)", got=self.ema)

    def _whole(self) -> tuple[str, ...]:
        """Which are positive integers."""
        return ("steps", "batch_size", "latent", "measure_every")

    def _sizes(self) -> tuple[str, ...]:
        """Which are positive and finite."""
        return ("learning_rate", "gradient_clip")

    @property
    def schedule(self) -> Schedule:
        """Learning rate and averaging of the generator."""
        return Schedule(self.steps, self.learning_rate, self.ema)

    def to_dict(self) -> dict[str, Any]:
        """What a continued run must share, as JSON types."""
        names = ("steps", "batch_size", "learning_rate", "ema", "gradient_clip", "latent", "seed")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True)
class DriftSettings(Settings):
    """Of :func:`~wasserscore.flow.train_generator`."""

    step: float
    weight_decay: float

    def __post_init__(self) -> None:
        super().__post_init__()
        good = is_number(self.weight_decay) and 0 <= self.weight_decay < math.inf
        require(good, "weight_decay must be finite and not negative", got=self.weight_decay)

    def _sizes(self) -> tuple[str, ...]:
        return ("step", *super()._sizes())

    def to_dict(self) -> dict[str, Any]:
        """What a continued run must share, as JSON types."""
        return super().to_dict() | {"step": self.step, "weight_decay": self.weight_decay}


@dataclass(frozen=True, kw_only=True)
class DistilSettings(Settings):
    """Of :func:`~wasserscore.flow.distil_generator`."""

    method: str
    alpha: float
    turns: int
    critic_rate: float

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.method in METHODS, f"method must be one of {METHODS}", got=repr(self.method))
        good = is_number(self.alpha) and math.isfinite(self.alpha)
        require(good, "alpha must be a finite number", got=self.alpha)

    def _whole(self) -> tuple[str, ...]:
        return (*super()._whole(), "turns")

    def _sizes(self) -> tuple[str, ...]:
        return (*super()._sizes(), "critic_rate")

    @property
    def critic_schedule(self) -> Schedule:
        """Learning rate and averaging of the critic."""
        return Schedule(self.steps * self.turns, self.critic_rate, self.ema)

    def to_dict(self) -> dict[str, Any]:
        """What a continued run must share, as JSON types."""
        own = {"method": self.method, "turns": self.turns, "critic_rate": self.critic_rate}
        return super().to_dict() | own | ({"alpha": self.alpha} if self.method == "sid" else {})
