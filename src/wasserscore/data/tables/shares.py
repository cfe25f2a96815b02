r"""Levels that come as often as in the data.

Points of a smooth law lie between the corners that stand for levels, and most points near a rare
level lie nearer still to a common one: with every point at its nearest corner, rare levels come
too seldom. Levels are therefore given out as in semi-discrete transport: level k gets a price
:math:`b_k`, a point :math:`x` goes to the level with the largest :math:`x_k + b_k`, and prices are
such that each level gets its share of the data, to two standard errors of the points it was seen
in; of all such prices, the smallest. They are less than half of what would move a point that is a
level already.

Source: :cite:p:`aurenhammer1998`.
"""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.typing import Array, Cloud
from wasserscore.data.tables.category import Category
from wasserscore.data.tables.codec import Codec
from wasserscore.data.tables.codes import APART, SIMPLEX_LEVELS, nearest_levels
from wasserscore.data.tables.infer import Column
from wasserscore.data.tables.number import Number

LARGEST = 0.35
"""The largest price; two of them are less than a corner's lead over another."""
SWEEPS = 30
"""Rounds over the levels of a column; most need five."""
CLOSE = 1e-3
"""Prices that move less are left."""


def with_shares(codec: Codec, drawn: Cloud, real: Float[Tensor, "m d"]) -> Codec:
    """The codec with prices of levels, so that those of generated points come as in real rows.

    Columns of more than 32 levels have none. A column that is inflated or has missing cells has
    them for these.

    Args:
        codec: Of the table.
        drawn: Points of a model ``(n, D)``, as they are before they become rows.
        real: Points of the rows it was fitted to, ``(m, D)``.
    """
    shift = np.zeros(len(codec.coordinates))
    x, y = drawn.double().numpy(), real.double().numpy()
    for column in codec.columns:
        places = codec.places(column.name)
        if isinstance(column, Category) and 2 < column.count <= SIMPLEX_LEVELS:
            found = nearest_levels(y[:, places], column.count)
            share = np.bincount(found, minlength=column.count) / len(y)
            shift[places] = prices(x[:, places], share)
            continue
        for place in _flags(column, places):
            shift[place] = _price(APART / 2 - x[:, place], (y[:, place] > APART / 2).mean())
    return codec.shifted(shift)


def prices(x: Array, share: Array) -> Array:
    """Prices ``(k,)`` at which each column of ``x (n, k)`` is the largest in its share of rows.

    Each in turn is set to what gives its level the right share at the prices of the others.
    """
    price = np.zeros(len(share))
    for _ in range(SWEEPS):
        before = price.copy()
        for k in range(len(share)):
            rivals = np.delete(x + price, k, axis=1).max(1)
            price[k] = _price(rivals - x[:, k], share[k])
        if np.abs(price - before).max() < CLOSE:
            break
    return price


def _flags(column: Column, places: list[int]) -> list[int]:
    """The coordinates of a column that are nothing or ``APART``."""
    if isinstance(column, Number):
        return places[1:]
    return places if isinstance(column, Category) and column.count == 2 else []


def _price(x: Array, share: float) -> float:
    """The number nearest to zero with a share of ``x`` below it, give or take what is luck."""
    luck = 2 * (share * (1 - share) / len(x)) ** 0.5
    low, high = np.quantile(x, np.clip([share - luck, share + luck], 0, 1)).clip(-LARGEST, LARGEST)
    return float(np.clip(0.0, low, high))
