r"""From coarse to fine: the bandwidth of every step.

At one width matching proxies is enough in theory only: a frequency w is damped by
:math:`e^{-\sigma^2 w^2 / 2}`, so a large sigma leaves detail nearly free, and a small one leaves
distant modes without a signal. So the width falls as the particles settle:

==========  ===================================================================================
geometric   :math:`\sigma_k = \sigma_{max} (\sigma_{min} / \sigma_{max})^{k/(T-1)}`
cosine      :math:`\sigma_{min} + (\sigma_{max} - \sigma_{min}) (1 + \cos(\pi k / (T-1))) / 2`
karras      linear in :math:`\sigma^{1/7}`
random      log-uniform between the two, drawn for every step
==========  ===================================================================================
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.kernel import nearest

LOOKED_AT = 2000
"""Most target points whose neighbours are looked for."""
RHO = 7
ROOM = 2.0
"""An end that comes from the data leaves at least this factor to the other."""
Shape = Callable[[Tensor, float, float, Streams], Tensor]


def _karras(u: Tensor, high: float, low: float, streams: Streams) -> Tensor:
    top, bottom = high ** (1 / RHO), low ** (1 / RHO)
    return torch.pow(top + u * (bottom - top), RHO)


def _random(u: Tensor, high: float, low: float, streams: Streams) -> Tensor:
    return high * (low / high) ** streams.uniform("bandwidth", 0, len(u), u)


SHAPES: dict[str, Shape] = {
    "geometric": lambda u, high, low, _: high * (low / high) ** u,
    "cosine": lambda u, high, low, _: low + (high - low) * (1 + (math.pi * u).cos()) / 2,
    "karras": _karras,
    "random": _random,
}


@dataclass(frozen=True)
class Annealing:
    """A schedule of bandwidths; ends that are not given come from the data.

    Args:
        shape: A name of the table.
        steps: How many.
        sigma_max: The first width: half of the distance that particles must cross.
        sigma_min: The last: about the finest feature to be seen, by default the typical distance
            of neighbours in the sparser cloud (finer, particles see single points, or themselves).

    Raises:
        InputError: For an unknown shape, fewer than two steps, or widths that do not fall.
    """

    shape: str = "geometric"
    steps: int = 300
    sigma_max: float | None = None
    sigma_min: float | None = None

    def __post_init__(self) -> None:
        require(self.shape in SHAPES, "unknown annealing", got=repr(self.shape),
                do=f"use one of {', '.join(SHAPES)}")  # fmt: skip
        require(self.steps >= 2, "annealing needs at least two steps", got=self.steps)
        for name in ("sigma_max", "sigma_min"):
            value = getattr(self, name)
            require(value is None or 0 < value < math.inf, f"{name} must be positive", got=value)

    def widths(self, x: Tensor, y: Tensor, streams: Streams) -> tuple[float, ...]:
        """The width of every step.

        Args:
            x: Particles at the start ``(n, d)``.
            y: Points of the target ``(m, d)``; only looked at for an end that is not given.
            streams: For the random shape.

        Raises:
            InputError: If the widths do not fall, or the target gives no smallest one.
        """
        low = self.sigma_min
        if low is None:  # of as many target points as there are particles, if these are fewer
            order = torch.randperm(len(y), generator=streams.generator("spacing"))
            low = spacing(y[order[: max(2, len(x))].to(y.device)])
        if self.sigma_max is not None:
            high = self.sigma_max
            low = low if self.sigma_min is not None else min(low, high / ROOM)
        else:  # few points in many dimensions are farther apart than from their centre
            high = max(crossing(x, y), ROOM * low)
        require(0 < low < high, "bandwidths must fall from sigma_max to sigma_min",
                got=f"{high:.4g} to {low:.4g}", do="pass both")  # fmt: skip
        u = torch.linspace(0, 1, self.steps, dtype=torch.float64)
        return tuple(SHAPES[self.shape](u, high, low, streams).tolist())


def crossing(x: Tensor, y: Tensor) -> float:
    """Half of the distance from the centre within which 99 % of both clouds lie."""
    both = torch.cat([x, y.to(x)]).double()
    return float((both - both.mean(0)).norm(dim=1).quantile(0.99)) / 2


def spacing(y: Tensor) -> float:
    """Median distance of a target point to its nearest neighbour, repeated points left out."""
    y = y.unique(dim=0)
    require(len(y) >= 2, "sigma_min needs two different target points", got=len(y),
            do="pass sigma_min")  # fmt: skip
    every = -(-len(y) // LOOKED_AT)
    distance, _ = nearest(y[::every], y, 2)
    return float(distance[:, 1].double().median())
