"""Time grids: the moments at which a trajectory is known."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.tensors import as_floats


@dataclass(frozen=True, eq=False)
class TimeGrid:
    r"""Times :math:`t_0 > t_1 > \dots > t_K \ge 0`, from noise down to data.

    Args:
        times: The K + 1 times, kept as float64 on the CPU.

    Raises:
        InputError: Unless the times are finite, non-negative and strictly decreasing: a repeated
            time would be a step that moves nothing.
    """

    times: Tensor

    def __post_init__(self) -> None:
        times = as_floats(self.times, "times").detach().to("cpu", torch.float64)
        require(times.ndim == 1 and times.numel() >= 2, "a time grid needs at least two times",
                got=f"shape {tuple(times.shape)}")  # fmt: skip
        require(bool(torch.isfinite(times).all()), "times must be finite", got=times.tolist())
        falls = times[:-1] > times[1:]
        if not falls.all():
            k = int((~falls).nonzero()[0])
            require(False, "times must be strictly decreasing",
                    got=f"{times[k].item()} then {times[k + 1].item()} at step {k}",
                    do="ask for fewer steps or a wider range")  # fmt: skip
        require(bool(times[-1] >= 0), "times must be non-negative", got=times[-1].item())
        object.__setattr__(self, "times", times)

    @property
    def steps(self) -> int:
        """The number of steps K."""
        return self.times.numel() - 1

    @property
    def start(self) -> float:
        """The first and largest time."""
        return float(self.times[0])

    @property
    def stop(self) -> float:
        """The last and smallest time."""
        return float(self.times[-1])

    def pairs(self) -> Iterator[tuple[int, float, float]]:
        """The steps as ``(k, t, s)`` with ``s < t``."""
        yield from ((k, t, s) for k, (t, s) in enumerate(pairwise(self.times.tolist())))

    def refine(self, factor: int) -> "TimeGrid":
        """Every step cut into ``factor`` equal ones; the old times stay on the grid, bit for bit.

        Raises:
            InputError: If ``factor`` is not a positive integer.
        """
        require(factor >= 1, "factor must be a positive integer", got=factor)
        t, s = self.times[:-1, None], self.times[1:, None]
        part = torch.arange(factor, dtype=torch.float64) / factor
        return TimeGrid(torch.cat([(t + (s - t) * part).flatten(), self.times[-1:]]))

    def __repr__(self) -> str:
        return f"TimeGrid({self.steps} steps, {self.start:.4g} to {self.stop:.4g})"
