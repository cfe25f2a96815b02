"""Data on a lattice (grey levels, counts, rounded tables): recognise it, and smooth it away.

A density of lattice data is infinite: any model that puts atoms on the lattice wins. Adding
uniform noise of one step makes likelihoods finite and comparable; every model of a comparison
must see the *same* noise.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.typing import Cloud

if TYPE_CHECKING:
    from wasserscore.data.layout import Layout

MAX_LEVELS = 2**16
TOLERANCE = 1e-3
MAX_DECIMALS = 10
ROUNDING = 1e-12


def lattice_step(values: Tensor) -> float:
    """The step of the lattice on which all ``values`` lie, or 0.0.

    Euclid's algorithm on the gaps between distinct values. A lattice needs repeated values (at
    most three quarters distinct) and no more than 65536 levels; a single value has no step.

    >>> lattice_step(torch.tensor([0.0, 0.5, 0.5, 1.5, 0.0, 1.5, 0.5, 0.0]))
    0.5
    """
    # NumPy sorts several times as fast.
    levels = torch.from_numpy(np.unique(values.double().cpu().numpy()))
    if len(levels) < 2 or len(levels) > 0.75 * values.numel():
        return 0.0
    span = float(levels[-1] - levels[0])
    gaps = levels.diff()
    smallest = span / MAX_LEVELS
    if gaps.min() < smallest * (1 - TOLERANCE):
        return 0.0
    step = float(gaps.min())
    while True:
        # Distance of every gap to the nearest multiple of the step.
        rest = (gaps - step * (gaps / step).round()).abs()
        rest = rest[rest > TOLERANCE * step]
        if not len(rest):
            break
        step = float(rest.min())
        if step < smallest:
            return 0.0
    # The mean over the whole span has less rounding than one gap.
    return span / round(span / step)


def dequantise(layout: "Layout", points: Cloud, generator: torch.Generator) -> Tensor:
    r"""``points`` plus centred uniform noise of one lattice step in every lattice column.

    .. math:: x + step \cdot (u - 1/2), \quad u \sim U[0, 1)

    Points that are not on a lattice come back unchanged.

    Args:
        layout: Says which columns lie on which lattice.
        points: ``(m, d)`` with all the columns, or ``(m, v)`` with the varying ones; data units.
        generator: Draws one uniform per entry, in float64.
    """
    step = layout.lattice
    if step is None:
        return points
    if points.shape[1] != layout.d:
        step = step[~layout.constant]
    require(points.shape[1] == len(step), f"points must have {layout.d} columns",
            got=points.shape[1])  # fmt: skip
    noise = torch.rand(points.shape, generator=generator, dtype=torch.float64) - 0.5
    return points + (noise * step).to(points)


def quantise(layout: "Layout", points: Cloud) -> Tensor:
    """``points`` moved to the nearest value of every lattice column: what noise of a step hid.

    On a decimal lattice (integers, rounded numbers) values are those that the decimals spell.

    Args:
        layout: Says which columns lie on which lattice.
        points: ``(m, d)``, data units.
    """
    found = points.detach().cpu().double().numpy().copy()
    for j, step in enumerate([] if layout.lattice is None else layout.lattice.tolist()):
        if step > 0:
            low = float(layout.low[j])
            found[:, j] = low + np.rint((found[:, j] - low) / step) * step
            decimals = _decimals(low, step)
            if decimals is not None:
                found[:, j] = found[:, j].round(decimals)
    return torch.from_numpy(found).to(points)


def _decimals(low: float, step: float) -> int | None:
    """How many decimals spell every value of a lattice; None if ten do not."""
    for decimals in range(MAX_DECIMALS + 1):
        scaled = np.array([low, step]) * 10.0**decimals
        if np.abs(scaled - scaled.round()).max() <= ROUNDING * np.abs(scaled).max():
            return decimals
    return None
