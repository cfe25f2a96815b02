"""What a problem is."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from wasserscore.dynamics import TimeGrid
from wasserscore.sampling import Sampler, time_grid
from wasserscore.sampling import solver as find_solver


@dataclass(frozen=True)
class Problem:
    """A wrong score, the reference it should have had, a sampler, and the truth about both.

    ``truth(problem)`` is the W2 distance between the reference law and the law of the sampler's
    output, discretisation and start included. ``options`` are further arguments of ``certify``.
    """

    name: str
    score: Callable
    reference: object
    truth: Callable
    solver: str = "heun"
    steps: int = 40
    kind: str | TimeGrid = "karras"
    eta: float | None = None
    start: str = "prior"
    stop: float | None = None
    options: dict = field(default_factory=dict)

    def w2(self) -> float:
        return self.truth(self)

    @property
    def grid(self) -> TimeGrid:
        own = isinstance(self.kind, TimeGrid)
        steps = None if own else self.steps
        return time_grid(self.reference.process, steps, self.kind, stop=self.stop)

    @property
    def noise_level(self) -> float:
        return find_solver(self.solver).eta(self.eta)

    def sampler(self) -> Sampler:
        return Sampler(self.score, self.reference.process, self.solver, self.grid, self.eta)

    def settings(self) -> dict:
        return {
            "solver": self.solver,
            "steps": self.steps,
            "grid": self.kind,
            "eta": self.eta,
            "start": self.start,
            "stop": self.stop,
            **self.options,
        }

    def start_moments(self) -> tuple[Tensor, Tensor]:
        """Mean and covariance of the law the sampler starts from (Gaussian references)."""
        process, t = self.reference.process, self.grid.start
        mean, covariance = self.reference.moments()
        eye = covariance.new_ones(len(mean)).diag()
        if self.start == "prior":
            return 0 * mean, float(process.sigma(t)) ** 2 * eye
        alpha = float(process.alpha(t))
        return alpha * mean, alpha**2 * covariance + float(process.variance(t)) * eye
