"""Coefficients are named and checked: `VP.linear(0.1, 20)` would silently mean something else."""

import inspect
import math
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from wasserscore.core.errors import explain, require
from wasserscore.core.numbers import is_number

P = ParamSpec("P")
C = TypeVar("C")
R = TypeVar("R")


def refuse_positional(call: str, given: int, names: list[str]) -> None:
    """Raise a TypeError that names the keywords."""
    wanted = ", ".join(f"{name}=" for name in names)
    raise TypeError(
        explain(f"{call} takes keywords only", got=f"{given} positional", do=f"{call}({wanted})")
    )


def named(
    factory: Callable[Concatenate[type[C], P], R],
) -> Callable[Concatenate[type[C], P], R]:
    """A factory (below ``@classmethod``) whose positional call raises and names the keywords."""
    names = list(inspect.signature(factory).parameters)[1:]

    @wraps(factory)
    def checked(cls: type[C], /, *args: P.args, **kwargs: P.kwargs) -> R:
        if args:
            refuse_positional(f"{cls.__name__}.{factory.__name__}", len(args), names)
        return factory(cls, *args, **kwargs)

    return checked


class Named:
    """Base of dataclasses whose constructor refuses positional arguments by name."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "Named":
        """Refuse positional arguments before the dataclass sees them."""
        if args:
            names = list(inspect.signature(cls.__init__).parameters)[1:]
            refuse_positional(cls.__name__, len(args), names)
        return super().__new__(cls)


def positive(family: str, do: str = "", /, **values: Any) -> None:
    """Refuse coefficients that are not finite numbers above zero.

    Raises:
        InputError: Names the family and the coefficient.
    """
    for name, value in values.items():
        good = is_number(value) and math.isfinite(value) and value > 0
        require(good, f"{family}: {name} must be positive", got=repr(value), do=do)


def non_negative(family: str, **values: Any) -> None:
    """Refuse coefficients that are not finite numbers from zero up."""
    for name, value in values.items():
        good = is_number(value) and math.isfinite(value) and value >= 0
        require(good, f"{family}: {name} must be non-negative", got=repr(value))
