"""Hold-outs that a plain draw of rows would spoil: groups that stay together, and the latest rows.

Rows of one patient resemble each other, and rows of one day do. If both sides of a split have
some, a model that repeats what it saw looks as if it knew the law.
"""

import torch
from jaxtyping import Int
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.random import Streams


def split_groups(
    groups: Int[Tensor, " n"], *, seed: int
) -> tuple[Int[Tensor, " k"], Int[Tensor, " m"]]:
    """Row numbers of a training part and a hold-out, each sorted, no group on both sides.

    Groups come in random order, each to the side that has fewer rows so far (the first one
    trains); so the sides differ by no more rows than the largest group has.

    Args:
        groups: Number of each row's group, from 0 on, none left out.
        seed: The same seed gives the same split.

    Raises:
        InputError: On a single group.
    """
    sizes = groups.bincount()
    require(len(sizes) > 1, "a split by groups needs at least 2 groups", got=len(sizes),
            do="name another column")  # fmt: skip
    trains = torch.zeros(len(sizes), dtype=torch.bool)
    ahead = 0  # rows that train beyond those held out
    for group in torch.randperm(len(sizes), generator=Streams(seed).generator("groups")).tolist():
        trains[group] = ahead <= 0
        ahead += int(sizes[group]) if ahead <= 0 else -int(sizes[group])
    return _sides(trains[groups])


def split_order(ranks: Int[Tensor, " n"]) -> tuple[Int[Tensor, " k"], Int[Tensor, " m"]]:
    """Row numbers of a training part and a hold-out, each sorted; the last ranks are held out.

    Rows of one rank stay together; the cut between two ranks is the one nearest to one half.

    Args:
        ranks: Place of each row's value among the different values, from 0 on, none left out.

    Raises:
        InputError: If all rows have the same rank.
    """
    before = ranks.bincount().cumsum(0)[:-1]  # rows that train, by the last rank that does
    require(len(before) > 0, "a split by order needs at least 2 different values", got=1,
            do="name another column")  # fmt: skip
    return _sides(ranks <= (2 * before - len(ranks)).abs().argmin())


def _sides(trains: Tensor) -> tuple[Tensor, Tensor]:
    return trains.nonzero()[:, 0], (~trains).nonzero()[:, 0]
