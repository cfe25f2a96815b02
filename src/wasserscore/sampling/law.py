r"""The reverse-time law of a forward process at any stochasticity.

.. math::
    dx = \Bigl[f(t)\,x + \tfrac{1 + \eta^2}{2}\, g^2(t)\, s(x, t)\Bigr] d\tau
         + \eta\, g(t)\, dB_\tau, \qquad \tau = -t

With the exact score every :math:`\eta` has the same marginals: 1 is the reverse SDE, 0 the
probability flow. Source: :cite:p:`song2021`, eqs. (6), (13); :cite:p:`karras2022`, eq. (6).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from wasserscore.core.errors import InputError, explain
from wasserscore.core.tensors import in_tiles
from wasserscore.core.typing import ScoreFn
from wasserscore.dynamics import SDE, TimeGrid, weighted_sum
from wasserscore.process import Process
from wasserscore.score.settled import require_settled


@dataclass(frozen=True)
class TiledScore:
    """A score asked in fixed tiles of rows, so that a row's bits do not depend on its batch.

    Args:
        score: Any callable ``(x, t)``; it is given ``t`` as a float64 number on the device of
            ``x`` (float32 on devices without float64).

    Raises:
        InputError: If a network in it is in training mode where that makes a difference.
    """

    score: ScoreFn | Callable[..., Tensor]
    _times: dict[tuple[float, torch.device], Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        require_settled(self.score)

    def __call__(self, x: Tensor, t: float | Tensor) -> Tensor:
        """The score of every row at time ``t``, or each at its own, ``t`` of shape ``(b,)``.

        Raises:
            InputError: If the score is no tensor, or changes the shape of the points.
        """
        if isinstance(t, Tensor):
            value = in_tiles(self._asked, x, t)
        else:
            time = self._time(t, x.device)
            value = in_tiles(lambda rows: self._asked(rows, time), x)
        if value.shape != x.shape:
            came = f"{tuple(value.shape)} for points {tuple(x.shape)}"
            raise InputError(explain("a score must be shaped like its points", got=came))
        return value

    def _asked(self, x: Tensor, t: Tensor) -> Tensor:
        value: object = self.score(x, t)
        if not isinstance(value, Tensor):
            raise InputError(explain("a score must return a tensor", got=type(value).__name__))
        return value

    def _time(self, t: float, device: torch.device) -> Tensor:
        if (t, device) not in self._times:
            dtype = torch.float32 if device.type == "mps" else torch.float64
            self._times[t, device] = torch.tensor(t, dtype=dtype, device=device)
        return self._times[t, device]


@dataclass(frozen=True)
class Law:
    """What a solver is handed: the score, the process and the stochasticity.

    Args:
        score: ``score(x, t)`` with ``t`` a float (an adaptive method: a tensor, one per row).
        process: The forward process.
        eta: Stochasticity in [0, 1].
        grid: The times of the run.
    """

    score: Callable[[Tensor, Any], Tensor]
    process: Process
    eta: float
    grid: TimeGrid

    def sde(self) -> SDE:
        """The law as drift and diffusion; the rates are worked out once, for the whole grid."""
        times = self.grid.times
        f = dict(zip(times.tolist(), self.process.f(times).tolist(), strict=True))
        g2 = dict(zip(times.tolist(), self.process.g2(times).tolist(), strict=True))
        weight = (1 + self.eta**2) / 2
        return SDE(
            drift=lambda x, t: weighted_sum((f[t], x), (weight * g2[t], self.score(x, t))),
            diffusion=lambda t: self.eta * g2[t] ** 0.5,
        )
