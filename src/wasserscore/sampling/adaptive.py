"""The probability flow with step sizes chosen by an error tolerance, sample by sample."""

from dataclasses import dataclass

from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.tensors import expand_like, in_tiles
from wasserscore.dynamics import Adaptive, Step
from wasserscore.sampling.law import Law
from wasserscore.sampling.natural import NaturalLaw
from wasserscore.sampling.solver import Solver


@dataclass(frozen=True)
class ToZero:
    """Adaptive between noisy times; the last step, to zero noise, takes the predicted data."""

    inner: Adaptive
    natural: NaturalLaw

    def __call__(self, y: Tensor, r: float, s: float, noise: Tensor | None = None, /) -> Tensor:
        """The points at noise level ``s``."""
        return self.inner(y, r, s) if s > 0 else self.natural.data(y, r)


def adaptive(relative: float = 1e-3, absolute: float = 1e-3) -> Solver:
    r"""The Bogacki-Shampine pair on the probability flow in the natural clock.

    The grid says where the trajectory is observed, not how many evaluations are made: between two
    grid times each sample takes the steps its own error asks for. So it has no place in a
    comparison at equal cost, and is not in :func:`solvers`; count the evaluations with your score.
    It needs a score that takes one time per row.

    Args:
        relative: Relative tolerance per step.
        absolute: Absolute tolerance per step, in the units of the data.
    """
    require(relative > 0 and absolute > 0, "tolerances must be positive",
            got=f"relative={relative}, absolute={absolute}")  # fmt: skip

    def build(law: Law) -> Step:
        natural, process = NaturalLaw(law), law.process

        def noise(y: Tensor, r: Tensor) -> Tensor:
            times = in_tiles(lambda part: process.time_at(part**2).clamp_max(process.horizon), r)
            alpha = expand_like(in_tiles(process.alpha, times), y)
            return -expand_like(r, y) * alpha * law.score(alpha * y, times)

        inner = Adaptive(noise, relative, absolute)
        return natural.lift(ToZero(inner, natural))

    return Solver("adaptive", 3, 3, 0.0, "Bogacki, Shampine 1989", stochastic=False, build=build)
