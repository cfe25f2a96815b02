"""``sample``: from a score to points, the same for a seed whatever the batch size or the ranks."""

from collections.abc import Callable
from functools import partial
from math import prod

import torch
from torch import Tensor

from wasserscore.core.ahead import Ahead
from wasserscore.core.distributed import shared, world
from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer
from wasserscore.core.random import Streams
from wasserscore.core.tensors import as_floats, cuts, tile_rows
from wasserscore.core.typing import Points
from wasserscore.data import in_data_units
from wasserscore.dynamics import Info, TimeGrid
from wasserscore.process import Process
from wasserscore.sampling.grids import time_grid
from wasserscore.sampling.sampler import Sampler
from wasserscore.sampling.solver import Solver
from wasserscore.sampling.subject import like_of, process_of, scaling_of, shape_of

BATCH_NUMBERS = 2**22
"""A batch holds at most this many numbers unless the user says otherwise (32 MB in float64)."""


@torch.no_grad()
def sample(
    score: Callable[..., Tensor],
    n: int,
    *,
    solver: str | Solver = "heun",
    steps: int | None = None,
    grid: str | TimeGrid | None = None,
    eta: float | None = None,
    stop: float | None = None,
    start: Tensor | str | None = None,
    process: Process | None = None,
    shape: tuple[int, ...] | None = None,
    batch_size: int | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    seed: int = 0,
    callback: Callable[[int, int], object] | None = None,
) -> Points:
    """Draw ``n`` samples of a score.

    Sample ``i`` depends on ``seed`` and ``i`` only: not on ``n``, not on the batch size; on the
    CPU it is the same to the last bit. Under ``torchrun`` every rank makes this call, draws its
    share, and has all samples in the end.

    Args:
        score: A score of ours, or any callable ``(x, t)`` (then give ``process`` and ``shape``).
        n: How many.
        solver: A name of :func:`solvers`, or a :class:`Solver`.
        steps: How many steps, exactly; 18 by default.
        grid: ``"karras"`` (default), ``"logsnr"``, ``"uniform"`` or a
            :class:`~wasserscore.dynamics.TimeGrid`.
        eta: Stochasticity, 0 (probability flow) to 1 (reverse SDE); the solver's own default.
        stop: Stop early, at this time; the points then still carry its noise.
        start: ``"prior"`` (default), or ``n`` starting points at the grid's first time, in the
            process's coordinates (those the score was fitted in).
        process: The forward process of a plain callable.
        shape: The shape of one point of a plain callable.
        batch_size: Samples at a time, made a multiple of the rows of one evaluation, so that a
            sample keeps its place in it; changes memory and speed, never the samples.
        device: Where to compute; the score's own device by default.
        dtype: Of the run, float32 or float64; that of ``start``, else the score's own, float32 at
            least.
        seed: Any integer in [0, 2**63).
        callback: Called with (steps done, steps in all) as the run goes on, on each rank for its
            share.

    Returns:
        Points ``(n, *shape)``, in data units, and then float64, where the score knows its scaling.

    Raises:
        InputError: If something is missing or does not fit, or the score is not finite.
    """
    n = as_integer(n, "n")
    batch_size = None if batch_size is None else as_integer(batch_size, "batch_size")
    process = process_of(score, process)
    points = _start(start, n)
    shape = shape_of(score, shape, points)
    like = like_of(score, points, device, dtype)
    times = time_grid(process, steps, "karras" if grid is None else grid, stop=stop)
    sampler = Sampler(score, process, solver, times, eta)
    tile = tile_rows(shape, like.device.type)
    batch = max(1, (batch_size or BATCH_NUMBERS // prod(shape)) // tile) * tile
    shares = [part for part in cuts(n, world(), tile) if part.start < part.stop]

    def draw(share: slice) -> Tensor:
        starts = range(share.start, share.stop, batch)
        rows = [slice(first, min(first + batch, share.stop)) for first in starts]
        done, results = _counter(callback, len(rows) * times.steps), []
        for part in rows:
            noise = RowNoise(Streams(seed), part, shape, like, sampler.method.noises)
            x = sampler.from_noise(noise("start")) if points is None else points[part].to(like)
            with Ahead(noise, times.steps, active=like.device.type != "cpu") as drawn:
                results.append(_finite(sampler.run(x, drawn, done), part))
        return torch.cat(results)

    drawn = shared([partial(draw, share) for share in shares])
    return in_data_units(scaling_of(score), torch.cat([x.to(like.device) for x in drawn]))


class RowNoise:
    """The noise of rows ``part`` of an endless run: by purpose, or by step number.

    The noise of steps is drawn in the dtype of the run, all else in float64.
    """

    def __init__(
        self, streams: Streams, part: slice, shape: tuple[int, ...], like: Tensor, noises: int = 1
    ) -> None:
        self.streams, self.part, self.shape = streams, part, shape
        self.like, self.noises = like, noises

    def __call__(self, k: int | str) -> Tensor:
        """Standard normal rows for step ``k`` (stacked, for a method that takes several)."""
        if isinstance(k, str):
            return self._rows(k, torch.float64)
        if self.noises == 1:
            return self._rows(f"step/{k}", self.like.dtype)
        purposes = [f"step/{k}/{j}" for j in range(self.noises)]
        return torch.stack([self._rows(purpose, self.like.dtype) for purpose in purposes])

    def _rows(self, purpose: str, drawn: torch.dtype) -> Tensor:
        return self.streams.normal(purpose, self.part.start, self.part.stop, self.shape,
                                   self.like, drawn=drawn)  # fmt: skip


def _start(start: Tensor | str | None, n: int) -> Tensor | None:
    if start is None or isinstance(start, str):
        require(start in (None, "prior"), "unknown start", got=repr(start),
                do='pass "prior" or a tensor of n starting points')  # fmt: skip
        return None
    points = as_floats(start, "start")
    require(points.shape[:1] == (n,), f"start must have n={n} rows", got=tuple(points.shape))
    return points


def _counter(
    callback: Callable[[int, int], object] | None, total: int
) -> Callable[[Info], object] | None:
    if callback is None:
        return None
    done = iter(range(1, total + 1))
    return lambda info: callback(next(done), total)


def _finite(x: Tensor, part: slice) -> Tensor:
    bad = ~torch.isfinite(x.flatten(1)).all(1)
    if bad.any():
        row = part.start + int(bad.nonzero()[0])
        require(False, "samples must be finite", got=f"NaN or infinity in sample {row}",
                do="check the score near t = 0, or stop early with stop=")  # fmt: skip
    return x
