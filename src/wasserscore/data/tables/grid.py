"""Values at equal steps from a first one, and their steps counted without rounding."""

from dataclasses import dataclass

import numpy as np

from wasserscore.core.typing import Array

EXACT = 2**53
"""Integers up to here are doubles."""


@dataclass(frozen=True)
class Grid:
    """Values ``(first + k stride) / 10**decimals`` with whole k.

    Args:
        first: Of the smallest value, a whole number.
        stride: Greatest common divisor of all gaps.
        decimals: 0 for integers and ticks of time.
    """

    first: int
    stride: int
    decimals: int = 0

    @property
    def step(self) -> float:
        """Between two values."""
        return self.stride / 10.0**self.decimals

    def nearest(self, numbers: Array) -> Array:
        """The value, as a float, nearest to each number."""
        scale = 10.0**self.decimals
        steps = np.rint((numbers * scale - self.first) / self.stride)
        found: Array = (steps * self.stride + self.first) / scale
        return found


def steps_from(numbers: Array, first: int, stride: int) -> Array:
    """``(numbers - first) / stride``; up to 2^53 steps of 64-bit integers are exact."""
    if numbers.dtype.kind == "f":
        floats: Array = (numbers - first) / stride
        return floats
    far = bool(len(numbers)) and max(abs(int(numbers.min())), abs(int(numbers.max()))) >= 2**62
    wide = far or abs(first) >= 2**62
    gaps = numbers.astype(object) - first if wide else numbers.astype(np.int64) - first
    whole = gaps // stride
    out: Array = whole.astype(float) + (gaps - whole * stride).astype(float) / stride
    return out


def shift(steps: Array, start: int | float, high: int | float) -> Array:
    """``steps + start`` as integers, without wrapping."""
    if high > np.iinfo(np.int64).max:
        return (steps.astype(object) + int(start)).astype(np.uint64)
    out: Array = steps + np.int64(int(start))
    return out
