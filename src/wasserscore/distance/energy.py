r"""The energy distance: Euclidean distances between and within two clouds.

.. math:: D^2(p, q) = 2 E|X - Y| - E|X - X'| - E|Y - Y'|
"""

import math
from typing import Any

from wasserscore.core.results import Estimate
from wasserscore.distance.clouds import as_clouds, in_unit
from wasserscore.distance.pairs import jackknife, pair_sums

ROUNDING = 1e-14
"""Share of a mean distance below which a difference of mean distances is rounding."""


def energy(x: Any, y: Any) -> Estimate:
    """The energy distance D of two clouds as they are (zero exactly when they are equal).

    The square *root* of the expression above, as in SciPy; in units of sqrt(data units). Between
    samples it is biased upwards (self pairs count): compare at equal n. Jackknife standard error.

    Source: Szekely and Rizzo, Energy statistics, 2013, definition 1.

    Args:
        x: Points ``(n, *shape)``, data units.
        y: Points ``(m, *shape)``.

    Raises:
        InputError: On bad clouds or fewer than two points in one of them.
    """
    x, y = as_clouds(x, y, minimum=2)
    unit, (x, y) = in_unit(x.double(), y.double())
    s = pair_sums(lambda r: r, x, y)
    n, m = len(x), len(y)
    A, B, C = s.xx.sum(), s.yy.sum(), s.xy.sum()
    squared = float(2 * C / (n * m) - A / n**2 - B / m**2)
    without_x = 2 * (C - s.xy) / ((n - 1) * m) - (A - 2 * s.xx) / (n - 1) ** 2 - B / m**2
    without_y = 2 * (C - s.yx) / (n * (m - 1)) - A / n**2 - (B - 2 * s.yy) / (m - 1) ** 2
    known = squared > ROUNDING * float(C / (n * m))
    value = math.sqrt(squared) if known else 0.0
    stderr = jackknife(without_x, without_y) / (2 * value) if value else 0.0
    root = math.sqrt(unit)
    return Estimate(
        root * value, stderr=root * stderr, n=min(n, m), units="square root of data units"
    )
