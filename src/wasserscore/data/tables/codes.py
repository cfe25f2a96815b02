r"""Points that stand for the levels of a column, every two about :data:`APART` from each other.

Up to 32 levels are corners of a simplex (one coordinate per level), exactly :data:`APART` apart;
two levels need one coordinate. Equidistant points of k levels need k - 1 coordinates, so beyond
that they become words of a Gold code: with a primitive element :math:`\alpha` of
:math:`GF(2^m)`, m odd, level (a, b) is the word

.. math:: c_n = (-1)^{Tr(a \alpha^n + b \alpha^{3n})}, \qquad n = 0, \dots, 2^m - 2,

and two different words differ in :math:`2^{m-1}` or :math:`2^{m-1} \pm 2^{(m-1)/2}` places. 31
coordinates hold 1,024 levels between 1.22 and 1.58 apart, 127 hold 16,384 between 1.32 and 1.50.

Source: :cite:p:`gold1967`.
"""

from functools import lru_cache

import numpy as np

from wasserscore.core.errors import require
from wasserscore.core.typing import Array

APART = 2.0**0.5
"""Distance of two levels: what two draws of a standardised number differ by, root mean square."""
SIMPLEX_LEVELS = 32
MAX_LEVELS = 10_000
_TAPS = {5: (5, 3), 7: (7, 6)}
"""Primitive recurrences: bit n is the sum of these earlier bits (x^5 + x^2 + 1, x^7 + x + 1)."""


@lru_cache(maxsize=64)
def level_points(levels: int) -> Array:
    """One point per level, ``(levels, width)``.

    Args:
        levels: How many, 2 to 10,001 (10,000 and the missing one).
    """
    require(2 <= levels <= MAX_LEVELS + 1, f"a column needs 2 to {MAX_LEVELS} levels", got=levels)
    if levels == 2:
        points = np.array([[0.0], [APART]])
    elif levels <= SIMPLEX_LEVELS:
        points = np.eye(levels)
    else:
        points = _gold(5 if levels <= 2**10 else 7)[:levels].copy()
    points.setflags(write=False)
    return points


def nearest_levels(points: Array, levels: int, prices: Array | float = 0.0) -> Array:
    """The number of the level nearest to each point ``(n, width)``.

    Args:
        points: Of more than two levels where there are prices.
        levels: How many.
        prices: What is added to the :func:`closeness` of each level.
    """
    if levels == 2:
        return np.asarray(points[:, 0] > APART / 2, dtype=np.int64)
    parts = [(closeness(points[i : i + 4096], levels) + prices).argmax(1)
             for i in range(0, len(points), 4096)]  # fmt: skip
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def levels_of(points: Array, levels: int) -> Array:
    """The number of the level at each point ``(n, width)``; ``levels`` where no level is near."""
    found = nearest_levels(points, levels)
    far = np.square(level_points(levels)[found] - points).sum(1) > (APART / 4) ** 2
    out: Array = np.where(far, levels, found)
    return out


def closeness(points: Array, levels: int) -> Array:
    """Inner products with the points of more than two levels: all of these are equally long."""
    if levels <= SIMPLEX_LEVELS:
        return points
    out: Array = points.astype(np.float32) @ level_points(levels).T.astype(np.float32)
    return out


def priced(points: Array, levels: int, prices: Array) -> Array:
    """Points moved to where the nearest level is the closest one at some prices."""
    if levels <= SIMPLEX_LEVELS:
        return points + prices
    return level_points(levels)[nearest_levels(points, levels, prices)]


def stranger(levels: int) -> Array:
    """A point for a value that is no level: about as far from every level as they are apart."""
    if levels == 2:
        return np.array([-APART])
    if levels <= SIMPLEX_LEVELS:
        # -c (1, ..., 1) is sqrt(2) from every corner when k c^2 + 2 c = 1.
        return np.full(levels, -((1 + levels) ** 0.5 - 1) / levels)
    return np.zeros(level_points(levels).shape[1])


def _gold(m: int) -> Array:
    length = 2**m - 1
    bits = [1] + [0] * (m - 1)
    while len(bits) < length:
        bits.append(sum(bits[-tap] for tap in _TAPS[m]) % 2)
    trace = np.array(bits)
    n = np.arange(length)
    # Row i of `plain` is Tr(alpha^(n + i)), of `cubed` Tr(alpha^(3 n + i)); the last row is zero.
    silent = np.zeros((1, length), dtype=trace.dtype)
    plain = np.concatenate([trace[(n + n[:, None]) % length], silent])
    cubed = np.concatenate([trace[(3 * n + n[:, None]) % length], silent])
    words = (plain[:, None] + cubed[None]) % 2
    out: Array = (1.0 - 2.0 * words.reshape(-1, length)) * 2.0 ** (-m / 2)
    return out
