"""No distance without its floor: what fresh data, and a bootstrap of the training set, would give.

Between finite samples a distance is never zero. The *floor* is the distance between two disjoint
halves of the real data; a perfect generator reaches it. The *bootstrap* is the distance of the
resampled training rows themselves; a generator that only copies reaches that. Both are measured
at the same number of points as the value, since every distance moves with it.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate, Record
from wasserscore.core.tensors import require_alike
from wasserscore.distance.clouds import as_cloud

Distance = Callable[[Tensor, Tensor], Any]
"""Two clouds in, something ``float()`` understands out."""


@dataclass(frozen=True)
class NoiseFloor(Record):
    """What the real data alone say: no model enters, so all models share it.

    Args:
        floor: Distance of two disjoint parts of the pooled real data.
        bootstrap: Distance of resampled training rows to the other part.
        n: Points in every cloud.
    """

    floor: Estimate
    bootstrap: Estimate
    n: int


@dataclass(frozen=True)
class FlooredDistance(Record):
    """A distance beside its floor and its bootstrap baseline, all at ``n`` points.

    The standard errors are spreads over resplits: how much *one* such measurement moves on these
    rows. Other rows of the same law move a floor more, up to twice as much where the clouds use up
    all rows, and further where tails are heavy. The value is told apart from the floor when it
    lies several of them above.
    """

    value: Estimate
    floor: Estimate
    bootstrap: Estimate
    n: int

    def __repr__(self) -> str:
        parts = (self.value, self.floor, self.bootstrap)
        value, floor, bootstrap = (f"{e.value:.4g} ± {e.stderr or 0.0:.2g}" for e in parts)
        return f"{value} (floor {floor}, bootstrap of train {bootstrap}; {self.n} points each)"


def noise_floor(
    distance: Distance,
    *,
    train: Any,
    holdout: Any,
    n: int | None = None,
    resplits: int = 10,
    seed: int = 0,
) -> NoiseFloor:
    """The floor and the bootstrap-of-train baseline of a distance on this data.

    Each resplit deals the pooled rows anew into two disjoint parts of ``n`` points.

    Args:
        distance: Takes two clouds; any function of ``wasserscore.distance``.
        train: Training rows ``(n_train, *shape)``, data units.
        holdout: Held-out rows.
        n: Points per cloud; by default the smaller of the two sets.
        resplits: How many times the rows are dealt.
        seed: Seed of the dealing.

    Raises:
        InputError: On bad clouds, fewer than two resplits, or too few rows for ``n``.
    """
    require_alike(train=train, holdout=holdout)
    train, holdout = as_cloud(train, "train"), as_cloud(holdout, "holdout")
    n = min(len(train), len(holdout)) if n is None else n
    require(resplits >= 2, "resplits must be at least 2", got=resplits)
    require(2 * n <= len(train) + len(holdout), "train and holdout must hold 2 n rows together",
            got=f"n={n}, {len(train)} + {len(holdout)} rows")  # fmt: skip
    pool = torch.cat([train, holdout])
    floors, bootstraps, unit = [], [], ""
    for k in range(resplits):
        generator = Streams(seed).generator("resplit", k)
        order = torch.randperm(len(pool), generator=generator)
        first, second = pool[order[:n]], pool[order[n : 2 * n]]
        resampled = first[torch.randint(n, (n,), generator=generator)]
        found = distance(first, second)
        unit = getattr(found, "units", unit)
        floors.append(float(found))
        bootstraps.append(float(distance(resampled, second)))
    return NoiseFloor(_spread(floors, unit), _spread(bootstraps, unit), n)


def with_floor(
    distance: Distance,
    *,
    generated: Any,
    train: Any,
    holdout: Any,
    n: int | None = None,
    resplits: int = 10,
    seed: int = 0,
    generate: Callable[[Tensor, int], Any] | None = None,
    floor: NoiseFloor | None = None,
) -> FlooredDistance:
    """A distance of generated points to the hold-out, with floor and bootstrap baseline.

    A model saw the training rows, so its samples cannot be measured against a redealt hold-out.
    The value is therefore taken on the split as it is (on n points drawn of each cloud), and its
    standard error is the bootstrap spread over both clouds; or, given ``generate``, the model is
    refitted on every resplit and the value is the mean over them, like the floor.

    Args:
        distance: Takes two clouds; any function of ``wasserscore.distance``. Fix its bandwidth
            or seed (``functools.partial``) so that all models are measured alike.
        generated: Points ``(m, *shape)``, data units.
        train: The rows the model was fitted on.
        holdout: Rows it has not seen.
        n: Points per cloud; by default the smallest of the three sizes, which it may not exceed.
        resplits: Resplits of floor, baseline and error bars.
        seed: Seed of all of them.
        generate: ``generate(train_rows, k)`` fits on the training rows of resplit k and returns
            at least n points; ``generated`` is then used for nothing but n.
        floor: The result of :func:`noise_floor` at the same n, to share it between models.

    Raises:
        InputError: On bad clouds, too few rows, or a ``floor`` at another number of points.
    """
    require_alike(train=train, holdout=holdout, generated=generated)
    generated = as_cloud(generated, "generated")
    train, holdout = as_cloud(train, "train"), as_cloud(holdout, "holdout")
    most = min(len(generated), len(train), len(holdout))
    n = most if n is None else n
    require(n <= most, f"n must be at most {most}, the smallest of the three clouds", got=n)
    if floor is None:
        floor = noise_floor(
            distance, train=train, holdout=holdout, n=n, resplits=resplits, seed=seed
        )
    require(floor.n == n, "floor must be measured at the same number of points as the value",
            got=f"{floor.n} and {n}", do="pass n to noise_floor")  # fmt: skip
    if generate is not None:
        value = _refitted(distance, generate, torch.cat([train, holdout]), n, resplits, seed)
    else:
        samples, rows = (_some(cloud, n, seed) for cloud in (generated, holdout))
        value = _resampled(distance, samples, rows, resplits, seed)
    return FlooredDistance(value, floor.floor, floor.bootstrap, n)


def _some(cloud: Tensor, n: int, seed: int) -> Tensor:
    """So many of the points, drawn: samples often come class after class, data in an order."""
    return cloud[Streams(seed).subset("some", len(cloud), n)]


def _resampled(
    distance: Distance, generated: Tensor, holdout: Tensor, resplits: int, seed: int
) -> Estimate:
    """The distance itself, with the spread of bootstrap resamples of both clouds."""
    found, n, spread = distance(generated, holdout), len(holdout), []
    for k in range(resplits):
        generator = Streams(seed).generator("resample", k)
        rows, columns = (torch.randint(n, (n,), generator=generator) for _ in range(2))
        spread.append(float(distance(generated[rows], holdout[columns])))
    return Estimate(
        float(found),
        stderr=statistics.stdev(spread),
        n=n,
        status=getattr(found, "status", "ok"),
        units=getattr(found, "units", ""),
    )


def _refitted(
    distance: Distance,
    generate: Callable[[Tensor, int], Any],
    pool: Tensor,
    n: int,
    resplits: int,
    seed: int,
) -> Estimate:
    """The mean distance over resplits, the model fitted anew on each."""
    values, unit = [], ""
    for k in range(resplits):
        order = torch.randperm(len(pool), generator=Streams(seed).generator("resplit", k))
        samples = as_cloud(generate(pool[order[:n]], k), "generated", minimum=n)
        found = distance(_some(samples, n, seed), pool[order[n : 2 * n]])
        values.append(float(found))
        unit = getattr(found, "units", unit)
    return _spread(values, unit)


def _spread(values: list[float], units: str) -> Estimate:
    return Estimate(
        statistics.mean(values), stderr=statistics.stdev(values), n=len(values), units=units
    )
