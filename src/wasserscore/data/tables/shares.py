r"""Levels that come as often as in the data.

Points of a smooth law lie between the corners that stand for levels, and most points near a rare
level lie nearer still to a common one: with every point at its nearest corner, rare levels come
too seldom. Levels are therefore given out as in semi-discrete transport: level k gets a price
:math:`b_k`, a point :math:`x` goes to the level with the largest
:math:`\langle x, c_k \rangle + b_k`, where :math:`c_k` is the level's own point, and prices are
such that each level gets its share of the data. A price stays (at first at zero) while the share
at it is within two standard errors, of the points it was seen in; none is so large that a point
moves which is a level already.

Source: :cite:p:`aurenhammer1998`.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.typing import Array, Cloud
from wasserscore.data.tables.category import Category
from wasserscore.data.tables.codec import Codec
from wasserscore.data.tables.codes import APART, closeness, nearest_levels
from wasserscore.data.tables.column import Column
from wasserscore.data.tables.number import Number

LARGEST = 0.35
"""The largest price; two of them are less than a level's lead over another, .74 at least."""
LARGEST_ALONE = 0.7
"""The largest price of a coordinate that has one by itself: a level is .707 from the limit."""
PRICED_LEVELS = 128
"""Columns of more levels have no prices, which cost the square of their number."""
SWEEPS = 30
"""Rounds over the levels of a column; most need five."""
CLOSE = 1e-3
"""Prices that move less are left."""


def with_shares(codec: Codec, drawn: Cloud, real: Float[Tensor, "m d"]) -> Codec:
    """The codec with prices of levels, so that those of generated points come as in real rows.

    A column that is inflated or has missing cells has them for these.

    Args:
        codec: Of the table.
        drawn: Points of a model ``(n, D)``, as they are before they become rows.
        real: Points of the rows it was fitted to, ``(m, D)``.
    """
    x, y = drawn.double().numpy(), real.double().numpy()
    places = {column.name: codec.places(column.name) for column in codec.columns}
    found = tuple(
        _of_column(column, x[:, places[column.name]], y[:, places[column.name]])
        for column in codec.columns
    )
    return replace(codec, prices=found if any(map(any, found)) else ())


def _of_column(column: Column, x: Array, y: Array) -> tuple[float, ...]:
    """The prices of a column, from its coordinates of generated and of real points."""
    if isinstance(column, Category) and column.count > 2:
        if column.count > PRICED_LEVELS:
            return ()
        found = nearest_levels(y, column.count)
        share = np.bincount(found, minlength=column.count) / len(y)
        return tuple(prices(closeness(x, column.count), share).tolist())
    flags = slice(1, None) if isinstance(column, Number) else slice(None)
    return tuple(
        _price(APART / 2 - generated, (seen > APART / 2).mean(), most=LARGEST_ALONE)
        for generated, seen in zip(x[:, flags].T, y[:, flags].T, strict=True)
    )


def prices(x: Array, share: Array) -> Array:
    """Prices ``(k,)`` at which each column of ``x (n, k)`` is the largest in its share of rows.

    Each in turn is set to what gives its level the right share at the prices of the others.
    """
    price = np.zeros(len(share))
    for _ in range(SWEEPS):
        before = price.copy()
        for k in range(len(share)):
            offered = x + price
            offered[:, k] = -np.inf
            price[k] = _price(offered.max(1) - x[:, k], share[k], price[k])
        if np.abs(price - before).max() < CLOSE:
            break
    return price


def _price(x: Array, share: float, now: float = 0.0, most: float = LARGEST) -> float:
    """The number with a share of ``x`` below it; ``now`` where that one may be so by luck."""
    luck = 2 * (share * (1 - share) / len(x)) ** 0.5
    if abs((x < now).mean() - share) <= luck:
        return now
    return float(np.clip(np.quantile(x, share), -most, most))
