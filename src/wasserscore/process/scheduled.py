"""Processes made from one schedule: they remember the call that made them."""

from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from wasserscore.core.errors import require
from wasserscore.process.base import DEFAULT_NOISE_TO_SIGNAL, Process
from wasserscore.process.keywords import positive
from wasserscore.process.schedule import Schedule

Member = TypeVar("Member", bound="Scheduled")


@dataclass(frozen=True)
class Recipe:
    """A factory's name, its keywords and where its schedule comes from."""

    factory: str
    keywords: dict[str, Any]
    source: str = "Gao, Nguyen, Zhu, JMLR 26(43), 2025, section 4"


@dataclass(frozen=True, kw_only=True, repr=False)
class Scheduled(Process):
    """A process that is one schedule and a horizon.

    Args:
        schedule: The rate, ``g^2`` of a VE process or ``beta`` of a VP process.
        horizon: Final time.
        recipe: The factory call, for printing and saving.
    """

    schedule: Schedule
    horizon: float
    recipe: Recipe = field(compare=False)

    def __post_init__(self) -> None:
        positive(self.family, "t = 0 is data; time must pass", horizon=self.horizon)

    @classmethod
    def make(
        cls: type[Member], schedule: Schedule, horizon: float | None, recipe: Recipe
    ) -> Member:
        """From a factory; a horizon of None becomes the time at which S is 1e4."""
        process = cls(
            schedule=schedule, horizon=1.0 if horizon is None else horizon, recipe=recipe
        )
        if horizon is not None:
            return process
        return replace(process, horizon=float(process.time_at(DEFAULT_NOISE_TO_SIGNAL)))

    @property
    def least_time(self) -> float:
        """The schedule's."""
        return self.schedule.least_time

    @property
    def family(self) -> str:
        """Class and factory."""
        return f"{type(self).__name__}.{self.recipe.factory}"

    @property
    def parameters(self) -> dict[str, Any]:
        """The factory's keywords and the horizon."""
        return {**self.recipe.keywords, "horizon": self.horizon}


def check_shape(family: str, shape: str, order: float | None, shapes: tuple[str, ...]) -> None:
    """Refuse unknown shapes, a polynomial without an order and an order without a polynomial."""
    require(shape in shapes, f"{family}: unknown shape", got=repr(shape),
            do=f"one of {', '.join(shapes)}")  # fmt: skip
    if shape == "polynomial":
        require(order is not None, f"{family}: the polynomial shape needs an order", got=None,
                do="pass order=2.0")  # fmt: skip
        positive(family, order=float(order or 0))
    else:
        require(order is None, f"{family}: only the polynomial shape has an order", got=order)
