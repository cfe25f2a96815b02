r"""Any denoiser as a score, in the natural clock of any process.

With :math:`\hat x = x / \alpha_t = x_0 + r z` and :math:`r = \sigma_t / \alpha_t`, whatever knows
:math:`D(\hat x, r) = E[x_0 | \hat x]` knows the score (Tweedie):

.. math:: s(x, t) = \frac{\alpha_t D(x / \alpha_t, r) - x}{\sigma_t^2}.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from torch import Tensor

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.integers import as_shape
from wasserscore.core.numbers import as_times
from wasserscore.core.tensors import as_tensor, beside, expand_like, require_shape, same_axes
from wasserscore.core.typing import PerPoint, Points, Times
from wasserscore.data import Scaling
from wasserscore.process.base import Process, require_process


@dataclass(frozen=True, eq=False)
class DenoiserScore:
    """A denoiser as a score, callable like every other one.

    Args:
        denoiser: ``D(points (b, *shape), r (b,)) -> like points``, the mean of the data given
            data plus r times standard normal noise: a function, or a module (EDM's ``net(x,
            sigma)`` is one), which runs in the dtype of its own parameters.
        process: The forward process; a denoiser knows all of them.
        shape: Of one point.
        scaling: How the points came from data units; None where they are in data units.
    """

    denoiser: Callable[[Points, PerPoint], Points]
    process: Process
    shape: tuple[int, ...]
    scaling: Scaling | None = None

    def __post_init__(self) -> None:
        require_process(self.process)
        require(callable(self.denoiser), "a denoiser must be a function or a module",
                got=type(self.denoiser).__name__)  # fmt: skip
        object.__setattr__(self, "shape", as_shape(self.shape))
        require(len(self.shape) > 0, "shape must name the sizes of a point", got=())

    @property
    def dim(self) -> int:
        """Number of coordinates of a point."""
        return prod(self.shape)

    def __call__(self, x: Points, t: Times) -> Points:
        """The score at ``x`` and time ``t > 0``, shaped like ``x``: a tensor, or an array."""
        x = as_tensor(x)
        alpha, r = natural_clock(self.process, t, len(x))
        return tweedie(x, self._denoise(x, alpha, r), alpha, r)

    def denoise(self, x: Points, t: Times) -> Points:
        """The mean of the data given ``x`` at time ``t > 0``."""
        x = as_tensor(x)
        return self._denoise(x, *natural_clock(self.process, t, len(x)))

    def under(self, process: Process) -> "DenoiserScore":
        """The same denoiser under another process."""
        return replace(self, process=process)

    def _denoise(self, x: Points, alpha: Tensor, r: Tensor) -> Points:
        require_shape(x, self.shape)
        own = getattr(self.denoiser, "parameters", lambda: ())
        dtype = next((p.dtype for p in own()), x.dtype)
        seen = (x / expand_like(alpha, x)).to(dtype).reshape(len(x), *self.shape)
        found = answered(self.denoiser(seen, beside(r, seen)), seen, "a denoiser")
        return found.to(x.dtype).reshape(x.shape)


def answered(output: Any, x: Tensor, who: str) -> Tensor:
    """What a network or a function made of points, checked to be like these: rows may be flat.

    Raises:
        InputError: If it is no tensor, or its numbers would be taken in another order.
    """
    require(isinstance(output, Tensor), f"{who} must return a tensor", got=type(output).__name__)
    found: Tensor = output
    good = found.shape[:1] == x.shape[:1] and found.numel() == x.numel()
    require(good and (found.ndim == 2 or same_axes(found.shape, x.shape)),
            f"{who} must return points like those it is given",
            got=f"{tuple(found.shape)} for points {tuple(x.shape)}")  # fmt: skip
    return found


def tweedie(x: Points, denoised: Points, alpha: Tensor, r: Tensor) -> Points:
    """The score at ``x`` from the mean of the data there; alpha and r as of the natural clock."""
    return (expand_like(alpha, x) * denoised - x) / expand_like((alpha * r).square(), x)


def natural_clock(process: Process, t: Times, n: int) -> tuple[Tensor, Tensor]:
    """Alpha and r at a time, float64, one per point.

    They stay where the time is: on the CPU, a time costs another device no wait.

    Raises:
        InputError: For a time without noise, or a negative one.
    """
    time = as_times(t, n)
    alpha, r = process.alpha(time), process.noise_to_signal(time).sqrt()
    if not bool((r > 0).all()):
        raise InputError(
            explain("a network has no score without noise", got=f"t={t}", do="ask at t > 0")
        )
    return alpha.expand(n), r.expand(n)
