"""Predictor-corrector: a step of the reverse SDE, then Langevin steps where it arrived."""

from dataclasses import dataclass

from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.dynamics import Step, weighted_sum
from wasserscore.sampling.law import Law
from wasserscore.sampling.solver import Solver


@dataclass(frozen=True)
class PredictorCorrector:
    r"""After each step of a predictor, ``corrections`` Langevin steps at the new time.

    .. math:: x \leftarrow x + \epsilon\, s(x, t) + \sqrt{2 \epsilon}\, z,\qquad
              \epsilon = 2\,(\text{snr}\, \sigma_t)^2

    The published step has :math:`|z| / |s|` where we write :math:`\sigma_t`, its value for pure
    noise: a norm over the batch would make a sample depend on its neighbours. There is no
    correction at zero noise. Source: :cite:p:`song2021`, algorithms 4 and 5.

    Args:
        law: The law.
        predictor: Its one-step method.
        corrections: Langevin steps per step.
        snr: The signal-to-noise ratio of a Langevin step.
    """

    law: Law
    predictor: Step
    corrections: int
    snr: float

    def __call__(self, x: Tensor, t: float, s: float, noise: Tensor | None, /) -> Tensor:
        """The points at ``s``; ``noise`` has the predictor's first, then one per correction."""
        require(noise is not None, "the corrector needs noise", got=None)
        assert noise is not None
        require(noise.shape == (1 + self.corrections, *x.shape),
                f"predictor and corrector take {1 + self.corrections} noises, stacked in front",
                got=tuple(noise.shape))  # fmt: skip
        x = self.predictor(x, t, s, noise[0])
        size = 2 * self.snr**2 * float(self.law.process.variance(s))
        if size == 0:
            return x
        for z in noise[1:]:
            x = weighted_sum((1.0, x), (size, self.law.score(x, s)), ((2 * size) ** 0.5, z))
        return x


def predictor_corrector(
    predictor: Solver, *, corrections: int = 1, snr: float = 0.16, name: str = "pc"
) -> Solver:
    """A one-step solver followed by Langevin steps at every time.

    The correction leaves a bias of order ``snr**2`` times the noise's share of the variance, that
    does not vanish with more steps, only towards zero noise.

    Args:
        predictor: Any solver without memory that takes one noise.
        corrections: Langevin steps per step, at least 1.
        snr: Signal-to-noise ratio of a Langevin step; 0.16 as published.
        name: The new solver's name.
    """
    require(corrections >= 1, "corrections must be at least 1", got=corrections)
    require(not predictor.memory and predictor.noises == 1,
            "a predictor has no memory and takes one noise", got=predictor.name)  # fmt: skip

    def build(law: Law) -> Step:
        return PredictorCorrector(law, predictor.start(law), corrections, snr)

    return Solver(name, predictor.order, predictor.evaluations_per_step + corrections,
                  predictor.default_eta, "Song et al. 2021, algorithms 4 and 5",
                  build=build, noises=1 + corrections)  # fmt: skip
