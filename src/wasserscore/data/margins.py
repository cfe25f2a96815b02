r"""Numbers of generated rows that come as often as in the data, column by column.

A smooth law is wider than its data: it reaches beyond the smallest and the largest value, and
smears what piles up (a capped price, a reading that is mostly a whole number). How one column
alone is distributed is known much better than how all of them are together, so each number of a
generated point moves to where its rank among generated numbers stands among the data,

.. math:: x \mapsto F^{-1}(G(x)),

with G and F the distribution functions of a column of the model and of the data. The map rises,
so ranks, and all that depends on ranks only (the copula), stay as the model has them.

Source: :cite:p:`nelsen2006` section 2.3 (a law is its margins and its copula).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wasserscore.core.typing import Array, Cloud

KNOTS = 512
"""Quantiles at equal distances; in both tails more, at half the share each time."""
LEAST = 2.0**-15
"""The smallest share that has a knot."""


@dataclass(frozen=True)
class Margin:
    """Where points hold a number.

    Args:
        place: The coordinate.
        flags: Coordinates that say, above the limit beside them, that the number does not count:
            the cell is missing, or is the value that is far too frequent.
    """

    place: int
    flags: tuple[tuple[int, float], ...] = ()

    def counts(self, points: Cloud) -> Bool[Tensor, " n"]:
        """In which of some points ``(n, d)`` the number counts."""
        good = torch.ones(len(points), dtype=torch.bool)
        for place, limit in self.flags:
            good &= points[:, place] <= limit
        return good


@dataclass(frozen=True, eq=False)
class Margins:
    """The distribution of each number, of a model and of the data.

    Args:
        numbers: c of them.
        drawn: Quantiles of the model, ``(c, k)``, in data units.
        real: The same quantiles of the data.
    """

    numbers: tuple[Margin, ...]
    drawn: Float[Tensor, "c k"]
    real: Float[Tensor, "c k"]

    def apply(self, points: Cloud) -> Cloud:
        """Points of the model ``(n, d)``, their numbers distributed as in the data."""
        return self._moved(points, self._there)

    def undo(self, points: Cloud) -> Cloud:
        """Where points of the model stood before, as far as the quantiles tell."""
        return self._moved(points, self._back)

    # Found once: the points of a sample come block by block.
    @cached_property
    def _there(self) -> list[tuple[Array, Array]]:
        return _maps(self.drawn, self.real)

    @cached_property
    def _back(self) -> list[tuple[Array, Array]]:
        return _maps(self.real, self.drawn)

    def _moved(self, points: Cloud, maps: list[tuple[Array, Array]]) -> Cloud:
        out = points.clone()
        for number, (knots, goals) in zip(self.numbers, maps, strict=True):
            counts, j = number.counts(points), number.place
            x = points[counts, j]
            out[counts, j] = torch.from_numpy(np.interp(x.double().numpy(), knots, goals)).to(x)
        return out

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> "Margins":
        """The margins that were written as JSON types."""
        numbers = (n | {"flags": tuple(map(tuple, n["flags"]))} for n in d["numbers"])
        drawn, real = (torch.tensor(d[name], dtype=torch.float64) for name in ("drawn", "real"))
        return cls(tuple(Margin(**n) for n in numbers), drawn, real)


def find_margins(
    numbers: Sequence[Margin], drawn: Cloud, real: Float[Tensor, "m d"]
) -> Margins | None:
    """The margins of a model and of the data; None without a number.

    Args:
        numbers: Where points hold numbers.
        drawn: Points of the model ``(n, d)``.
        real: Points of the rows it was fitted to, ``(m, d)``.
    """
    kept, of_model, of_data = [], [], []
    for number in numbers:
        x, y = (points[number.counts(points), number.place].numpy() for points in (drawn, real))
        if len(x) and len(y):
            kept.append(number)
            # of numbers in order quantiles are found in a third of the time, to the same bits
            of_model.append(np.quantile(np.sort(x), levels()))
            of_data.append(np.quantile(np.sort(y), levels()))
    if not kept:
        return None
    return Margins(tuple(kept), torch.tensor(np.stack(of_model)), torch.tensor(np.stack(of_data)))


def levels() -> Array:
    """The shares at which quantiles are kept, from 0 to 1."""
    middle = np.arange(1, KNOTS) / KNOTS
    tail = LEAST * 2.0 ** np.arange(round(-np.log2(LEAST * KNOTS)))
    return np.concatenate([[0.0], tail, middle, 1 - tail[::-1], [1.0]])


def _maps(before: Float[Tensor, "c k"], after: Float[Tensor, "c k"]) -> list[tuple[Array, Array]]:
    """Of each number the different quantiles, and where they go: many that are one, to a mean."""
    found = []
    for a, b in zip(before.numpy(), after.numpy(), strict=True):
        knots, which, times = np.unique(a, return_inverse=True, return_counts=True)
        found.append((knots, np.bincount(which, weights=b) / times))
    return found
