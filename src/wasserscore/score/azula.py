r"""Denoisers of the azula library as scores of ours.

One is asked as ``denoiser(x_t, t).mean`` for points of its own schedule,
:math:`x_t = \alpha_t x_0 + \sigma_t z` with t in [0, 1]. The ratio of :math:`\sigma_t` and
:math:`\alpha_t` rises with t, so every noise level r has one time, found by halving; a score of
any process follows. The library itself is not needed: what behaves like its denoisers is one.
"""

from typing import Any

import torch
from torch import Tensor, nn

from wasserscore.core.errors import require
from wasserscore.core.tensors import expand_like
from wasserscore.core.typing import PerPoint, Points
from wasserscore.process import EDM
from wasserscore.process.base import Process
from wasserscore.score.denoiser import DenoiserScore

HALVINGS = 60
"""Of the interval of times; what is left is below the last bit of float64."""
SLACK = 1e-6
"""Share by which a noise level may miss the ends of the schedule: rounding of float32."""


class AzulaDenoiser(nn.Module):
    """A denoiser of azula, asked for points in the natural clock.

    Args:
        denoiser: With ``schedule(t)`` and ``denoiser(x_t, t).mean``.
    """

    def __init__(self, denoiser: Any) -> None:
        super().__init__()
        self.denoiser = denoiser

    def ratio(self, t: Tensor) -> Tensor:
        """Noise over signal at its own times."""
        alpha, sigma = self.denoiser.schedule(t)
        ratio: Tensor = sigma / alpha
        return ratio

    def time(self, r: Tensor) -> Tensor:
        """Its time of a noise level, float64.

        Raises:
            InputError: If the schedule has no such noise.
        """
        low, high = torch.zeros_like(r, dtype=torch.float64), torch.ones_like(r).double()
        least, most = self.ratio(low), self.ratio(high)
        require(bool(((r >= least * (1 - SLACK)) & (r <= most * (1 + SLACK))).all()),
                f"the schedule has noise from {float(least.min()):.4g} to {float(most.max()):.4g}",
                got=f"{float(r.min()):.4g} to {float(r.max()):.4g}",
                do="choose a process and a grid within")  # fmt: skip
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            above = self.ratio(middle) > r
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        return (low + high) / 2

    def forward(self, y: Points, r: PerPoint) -> Points:
        """The mean of the data given points in the natural clock."""
        level = r.double()
        t = self.time(level[:1] if bool((level == level[:1]).all()) else level)
        t = t[0] if len(t) == 1 else t
        alpha, _ = self.denoiser.schedule(t)
        seen = (expand_like(alpha.expand(len(y)), y) * y).to(y)
        mean: Tensor = self.denoiser(seen, t).mean
        return mean.to(y)


def from_azula(
    denoiser: Any, shape: tuple[int, ...], *, process: Process | None = None
) -> DenoiserScore:
    """The score of a denoiser of azula, or of anything that behaves like one.

    Args:
        denoiser: With ``schedule(t)``, signal and noise at times in [0, 1], and
            ``denoiser(x_t, t).mean``.
        shape: Of one point.
        process: The forward process; by default EDM's, up to the largest noise of the schedule.

    Raises:
        InputError: If it has no such schedule, or, when asked, for noise that this does not have.
    """
    require(callable(getattr(denoiser, "schedule", None)), "a denoiser needs a schedule(t)",
            got=type(denoiser).__name__, do="use ws.DenoiserScore for a function")  # fmt: skip
    ours = AzulaDenoiser(denoiser).eval().requires_grad_(False)
    if process is None:
        process = EDM(sigma_max=float(ours.ratio(torch.ones((), dtype=torch.float64))))
    return DenoiserScore(ours, process, shape)
