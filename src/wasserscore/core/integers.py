"""Whole numbers: Python's and NumPy's come in, Python's go on."""

from collections.abc import Iterable
from numbers import Integral
from typing import Any

from wasserscore.core.errors import require


def is_integer(value: object) -> bool:
    """Whether it is Python's or NumPy's; True is no number.

    >>> is_integer(3), is_integer(3.0), is_integer(True)
    (True, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool)


def as_integer(value: Any, name: str, *, least: int = 1, most: int | None = None) -> int:
    """A Python int, since NumPy's overflow and are no JSON.

    Raises:
        InputError: Names what is no integer from ``least`` to ``most``.
    """
    good = is_integer(value) and least <= value and (most is None or value <= most)
    wanted = "a positive integer" if least == 1 else f"an integer of at least {least}"
    if most is not None:
        wanted = f"an integer from {least} to {most}"
    require(good, f"{name} must be {wanted}", got=repr(value))
    return int(value)


def as_shape(shape: Any) -> tuple[int, ...]:
    """The shape of a point as Python ints, of an array or a tensor of sizes, too.

    Raises:
        InputError: If it has no sizes, or one is no positive integer.
    """
    shape = shape.tolist() if hasattr(shape, "tolist") else shape
    require(isinstance(shape, Iterable), "a shape must be a tuple of sizes", got=repr(shape))
    return tuple(as_integer(size, "a size of shape") for size in shape)
