"""Where to put the steps: exactly as many as were asked for, each of them a real one."""

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer
from wasserscore.core.numbers import is_number
from wasserscore.dynamics import TimeGrid
from wasserscore.process import Process

KINDS = ("karras", "logsnr", "uniform")


def time_grid(
    process: Process,
    steps: int | None = None,
    kind: str | TimeGrid = "karras",
    *,
    stop: float | None = None,
    start: float | None = None,
    rho: float = 7.0,
    least_noise: float = 0.002,
) -> TimeGrid:
    r"""A grid of exactly ``steps`` steps from ``start`` down to zero noise, or to ``stop``.

    ``"uniform"`` has equal steps in ``t``. The others space :math:`r = \sigma_t / \alpha_t`
    from its value at the start down to ``least_noise``, and the last step goes from there to
    ``t = 0`` (with ``stop`` all steps are spaced, down to ``stop``). A chain knows nothing below
    the end of its first step: without ``stop`` the last step goes from there where it would begin
    below, or where there is more than ``least_noise``.

    .. math:: \text{karras: } r^{1/\rho} \text{ in equal steps},\qquad
              \text{logsnr: } \log r \text{ in equal steps}

    Source: :cite:p:`karras2022`, eq. (5), under EDM; in ``r`` it means the same for any process.

    Args:
        process: The forward process.
        steps: The number of steps, at least 1; 18 by default.
        kind: The name of a spacing, or a grid of your own (checked, returned as it is).
        stop: The last time; None goes to ``t = 0``.
        start: The first time; the horizon by default.
        rho: Exponent of the Karras spacing.
        least_noise: Noise-to-signal ratio, in data units, from which the last step goes to zero;
            at most a thousandth of the start's.

    Raises:
        InputError: If the numbers make no grid, or your own grid does not fit them.
    """
    for name, time in (("stop", stop), ("start", start)):
        require(time is None or is_number(time), f"{name} must be a time", got=repr(time))
    first = process.horizon if start is None else float(start)
    last = 0.0 if stop is None else float(stop)
    if isinstance(kind, TimeGrid):
        return _checked(kind, process, steps, start, stop)
    steps = 18 if steps is None else as_integer(steps, "steps")
    require(isinstance(kind, str) and kind in KINDS, "unknown grid", got=repr(kind),
            do=f"one of {', '.join(KINDS)}, or a TimeGrid")  # fmt: skip
    require(0 <= last < first <= process.horizon, "a grid needs 0 <= stop < start <= horizon",
            got=f"stop={last}, start={first}, horizon={process.horizon}")  # fmt: skip
    known = known_from(process, first)
    if kind == "uniform":
        times = torch.linspace(first, last, steps + 1, dtype=torch.float64)
        if not stop and times[-2] < known:
            down = torch.linspace(first, known, steps, dtype=torch.float64)
            times = torch.cat([down, times.new_zeros(1)])
    else:
        top = float(process.noise_to_signal(first)) ** 0.5
        least = max(min(least_noise, top * 1e-3), float(process.noise_to_signal(known)) ** 0.5)
        inner = steps if stop else steps - 1
        bottom = float(process.noise_to_signal(last)) ** 0.5 if stop else least
        spaced = _spaced(top, bottom, inner, rho if kind == "karras" else None)
        times = process.time_at(spaced**2)
        times = times if stop else torch.cat([times.clamp_min(known), times.new_zeros(1)])
    times[0], times[-1] = first, last
    return TimeGrid(times)


def known_from(process: Process, start: float) -> float:
    """The least time at which a model below ``start`` can be asked: of a chain, its first step."""
    return process.least_time if process.least_time < start else 0.0


def _spaced(top: float, bottom: float, intervals: int, rho: float | None) -> Tensor:
    """``intervals + 1`` noise-to-signal ratios from ``top`` down to ``bottom``."""
    part = torch.linspace(0, 1, intervals + 1, dtype=torch.float64)
    if rho is None:
        return top * torch.pow(bottom / top, part)
    root: float = top ** (1 / rho)
    return torch.pow(root + part * (bottom ** (1 / rho) - root), rho)


def _checked(
    grid: TimeGrid, process: Process, steps: int | None, start: float | None, stop: float | None
) -> TimeGrid:
    require(steps is None or steps == grid.steps, "steps must match the grid",
            got=f"steps={steps} and a grid of {grid.steps}", do="leave steps out")  # fmt: skip
    require(stop is None or stop == grid.stop, "stop must match the grid",
            got=f"stop={stop} and a grid to {grid.stop}", do="leave stop out")  # fmt: skip
    require(start is None or start == grid.start, "start must match the grid",
            got=f"start={start} and a grid from {grid.start}", do="leave start out")  # fmt: skip
    require(grid.start <= process.horizon, "the grid starts above the process's horizon",
            got=f"{grid.start} > {process.horizon}")  # fmt: skip
    return grid
