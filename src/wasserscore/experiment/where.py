"""Rows under a condition, such as ``sex=F,age>40``.

Conditions are decided on finished rows, by rejection: every row that comes out obeys all of them.

An equality that hardly any row meets (an exact amount) fixes coordinates instead. For the proximal
mixture the law of the others is known in closed form, again a mixture, and rows are drawn from it;
a known value has density, so no row is thrown away, however rare the value. A level is no such
value: rows have it that lie in a region. By the density at its point components that are narrow
there would outweigh all others (1 % of some rows instead of 21).
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from wasserscore.core.errors import InputError, explain
from wasserscore.core.random import Streams
from wasserscore.core.typing import Cloud, Vector
from wasserscore.data import Layout
from wasserscore.experiment.condition import Condition, encoded, number, obeying
from wasserscore.experiment.model import Model
from wasserscore.score import ProximalLaw

BLOCK = 256
"""Candidates drawn together; their noise is keyed by the number of the block."""
TOGETHER = 64
"""Blocks that become rows of a table together: a table has a cost of its own."""
RARE = 1 / 200
"""Equalities that a smaller share of rows meets are taken as known values..."""
PILOT = 16
"""...which is asked of so many blocks, the same for every seed."""
TRIES = 1000
"""Candidates per wanted row after which a condition counts as too rare (at least 100 blocks)."""


def has_exact_draws(model: Model) -> bool:
    """Whether rows, also under equalities, come from a closed form without a sampler."""
    return isinstance(model.score, ProximalLaw)


def sample_where(
    model: Model, n: int, conditions: tuple[Condition, ...], *, seed: int, **options: Any
) -> Cloud:
    """``n`` rows that obey every condition, ``(n, d)``, data units.

    Row i depends on the seed and on i only.

    Args:
        model: A fitted model.
        n: How many.
        conditions: All of them hold in every row; there may be none.
        seed: Of everything drawn.
        **options: Of :meth:`Model.sample`, for models without a closed form.

    Raises:
        InputError: If too few of the candidates obey; says how many did.
    """
    if has_exact_draws(model):
        together = min(TOGETHER, -(-n // BLOCK))
        blocks = _blocks(model, _known(_fixed(model, conditions), model.layout), seed, together)
    else:
        blocks = _unconditional(model, seed, options)
    kept: list[Tensor] = []
    tried = 0
    limit = max(100 * BLOCK, TRIES * n)
    while sum(map(len, kept)) < n:
        if tried >= limit:
            raise InputError(explain(
                f"the condition must not be so rare: {n} rows were asked for",
                got=f"{sum(map(len, kept))} among {tried} candidates",
                do="ask for fewer rows or a wider condition"))  # fmt: skip
        points = next(blocks)
        tried += len(points)
        kept.append(points[obeying(points, conditions, model.layout)] if conditions else points)
    return torch.cat(kept)[:n]


def _fixed(model: Model, conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """The equalities that are known values: the rarest, until enough rows obey the others.

    Args:
        model: With a closed form.
        conditions: All of them; inequalities are left to rejection, however rare.
    """
    loose = [condition for condition in conditions if condition.sign == "="]
    fixed: tuple[Condition, ...] = ()
    while loose:
        points = next(_blocks(model, _known(fixed, model.layout), 0, PILOT))
        if float(obeying(points, tuple(loose), model.layout).double().mean()) >= RARE:
            break
        shares = [int(obeying(points, (c,), model.layout).sum()) for c in loose]
        fixed = (*fixed, loose.pop(shares.index(min(shares))))
    return fixed


def _known(conditions: tuple[Condition, ...], layout: Layout) -> Vector:
    """The coordinates that these equalities fix, data units, ``(d,)``; NaN where they fix none."""
    known = torch.full((layout.d,), torch.nan, dtype=torch.float64)
    for condition in conditions:
        if layout.codec is None:
            known[layout.columns.index(condition.column)] = number(condition)
            continue
        column = next(c for c in layout.codec.columns if c.name == condition.column)
        places = layout.codec.places(condition.column)
        if not places:
            continue
        known[places] = torch.from_numpy(encoded(condition, column))
    return known


def _blocks(model: Model, known: Vector, seed: int, together: int) -> Iterator[Cloud]:
    """Exact draws of the conditional law, some blocks together, as rows of the table."""
    layout, scaling = model.layout, model.score.scaling
    # A coordinate that never changes is no part of the law; rejection decides about it.
    fixed = ~torch.isnan(known) & ~layout.constant
    inner = known[None] if layout.margins is None else layout.margins.undo(known[None])
    given = scaling.apply(layout.vary(inner))[0]
    free = torch.isnan(given)
    law = None
    if bool(free.all()):
        law = model.score
    elif bool(free.any()):
        law = model.score.conditioned(given)
    streams, block = Streams(seed).child("where"), 0
    while True:
        rows = given.expand(together * BLOCK, -1).clone()
        if law is not None:
            drawn = [
                law.sample_marginal(BLOCK, generator=streams.generator("draw", block + i))
                for i in range(together)
            ]
            rows[:, free] = torch.cat(drawn).double()
        points = layout.within(layout.restore(scaling.undo(rows)))
        # Scaling there and back may lose a bit of what was given.
        points[:, fixed] = known[fixed]
        yield layout.snap(points)
        block += together


def _unconditional(model: Model, seed: int, options: dict[str, Any]) -> Iterator[Cloud]:
    """Samples of the model, block by block."""
    streams, block = Streams(seed).child("where"), 0
    while True:
        yield model.sample(BLOCK, seed=streams.key("sample", block) % 2**31, **options)
        block += 1
