r"""The synchronous coupling of the true reverse process and the model's own sampler.

For any pair with laws p and q, :math:`E|X - Y|^2 \ge W_2^2(p, q)`. Here X is a reference path (law
p exactly, see :mod:`wasserscore.certificate.path`) and Y is the *actual discretised sampler* with
its grid and its start, driven by the same Gaussians. Two runs in between split the distance:

===========  ===============  =======  ====================
run          score            start    differs from the next in
===========  ===============  =======  ====================
X            reference path   p_T      steps
same score   reference        p_T      score
same start   model            p_T      start
Y            model            prior
===========  ===============  =======  ====================

Source: spec of the bound, section 3c; :cite:p:`kwon2022` for the theorem it tightens.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.certificate.path import FlowPath, GaussianPath, ReferencePath, ReversePath
from wasserscore.core.errors import require
from wasserscore.core.linalg import sqrt_psd
from wasserscore.core.random import Streams
from wasserscore.core.typing import Noise, ScoreFn
from wasserscore.data import Scaling
from wasserscore.dynamics import TimeGrid
from wasserscore.process import VE
from wasserscore.sampling import RowNoise, Sampler, Solver
from wasserscore.score import GaussianScore
from wasserscore.score.base import ClosedFormScore

STARTS = ("prior", "reference")
FAR = 1e3
"""Starts are coupled at this multiple of the horizon's noise."""
START_TOLERANCE = 1e-8
"""Accepted root-mean-square error of a start, in units of the noise at the horizon."""
FLOW_TOLERANCE = 1e-3
"""Accepted root-mean-square error of a solved probability flow, in spreads of the reference."""


class Coupled(NamedTuple):
    """The ends of the four coupled runs in data units, (n, *shape) each; rows belong together."""

    reference: Tensor
    same_score: Tensor
    same_start: Tensor
    model: Tensor
    path_error: Float[Tensor, " n"] | None
    """How far each reference point may be from an exact path, data units; None if exact."""
    start_error: float | None
    """Error of the reference's start in units of the noise there; None if exact."""


class Starts(NamedTuple):
    """Coupled starts, and the error of the reference's in units of the noise (None if exact)."""

    x: Tensor
    y: Tensor
    error: float | None


@dataclass(frozen=True)
class Coupling:
    """How reference and model are coupled.

    Args:
        score: The model's score, any callable ``(x, t)``; in the reference's units unless it
            carries a ``scaling`` of its own.
        reference: The law that is meant.
        solver: The model's sampler.
        grid: Its time grid.
        eta: Its noise level.
        start: "prior", or "reference" for a sampler started in the noised reference itself.
        parts: Substeps of the reference per step, where it has noise.
        streams: All randomness. The sampler's own noise has the names that ``sample`` uses, so
            the model's side *is* what ``sample`` returns for this seed.
    """

    score: ScoreFn
    reference: ClosedFormScore
    solver: Solver
    grid: TimeGrid
    eta: float
    start: str
    parts: int
    streams: Streams

    def __post_init__(self) -> None:
        require(self.start in STARTS, "start must be 'prior' or 'reference'", got=repr(self.start))
        own = getattr(self.score, "process", self.reference.process)
        require(own == self.reference.process, "score and reference must share a forward process",
                got=f"{own!r} and {self.reference.process!r}",
                do="pass reference.under(score.process)")  # fmt: skip

    @property
    def path(self) -> ReferencePath:
        """The reference's way down: exact where one is known."""
        if isinstance(self.reference, GaussianScore):
            return GaussianPath(self.reference, self.eta)
        if self.eta > 0:
            return ReversePath(self.reference, self.parts, self.streams)
        covariance = self.reference.moments()[1]
        spread = float(torch.diagonal(covariance).sum().sqrt())
        return FlowPath(self.reference, FLOW_TOLERANCE * spread)

    @torch.no_grad()
    def run(self, n: int) -> Coupled:
        """The ends of ``n`` coupled quadruples of paths."""
        x, y, start_error = self.starts(n)
        end = self.path.run(x, self.grid, self.path_noise(n))
        noise = self.noise(n)
        same_score = self.sample(self.reference, x, noise)
        same_start = self.sample(self.score, x, noise)
        model = same_start if self.start == "reference" else self.sample(self.score, y, noise)
        scaling = self.reference.scaling
        own = getattr(self.score, "scaling", scaling)
        error = end.error
        if error is not None and scaling is not None:
            error = error * scaling.operator_norm
        return Coupled(
            in_data_units(scaling, end.x),
            in_data_units(scaling, same_score),
            in_data_units(own, same_start),
            in_data_units(own, model),
            error,
            start_error,
        )

    def starts(self, n: int) -> Starts:
        r"""``(x_T, y_T)``: the noised reference and the prior, coupled.

        For a Gaussian reference by the optimal linear map. Otherwise both come from far above the
        horizon, where :math:`x_0 + r z` and :math:`r z` hardly differ, by their own probability
        flows: the reference's is solved (it is smooth up there), the prior's is a scaling. Their
        difference at the horizon is then close to the distance of the laws, where the common
        noise at the horizon itself would leave all of :math:`|\alpha x_0|`.
        """
        reference, time = self.reference, self.grid.start
        alpha, sigma = float(reference.process.alpha(time)), float(reference.process.sigma(time))
        like = torch.empty(0, dtype=torch.float64)
        z = self.streams.normal("start", 0, n, reference.shape, like)
        if isinstance(reference, GaussianScore):
            mean, covariance = (m.double() for m in reference.moments())
            root = sqrt_psd(alpha**2 * covariance + sigma**2 * torch.eye(len(mean)))
            x = (alpha * mean + z.flatten(1) @ root).reshape(z.shape)
            return Starts(x, sigma * z, None)
        x0 = reference.sample_marginal(n, generator=self.streams.generator("reference")).to(z)
        if self.start == "reference":
            return Starts(alpha * x0 + sigma * z, sigma * z, None)
        near = (sigma / alpha) ** 2
        lifted = reference.under(VE.constant(a=1.0, horizon=near * FAR**2))
        flow = FlowPath(lifted, START_TOLERANCE * sigma / alpha, parts=4, doublings=7)
        times = TimeGrid(torch.tensor([near * FAR**2, near], dtype=torch.float64))
        end = flow.run(x0 + FAR * sigma / alpha * z, times, lambda k: z)
        assert end.error is not None
        error = float(end.error.square().mean().sqrt()) * alpha / sigma
        return Starts(alpha * end.x, sigma * z, error)

    def noise(self, n: int) -> RowNoise:
        """The sampler's noise by step number, exactly as ``sample`` draws it."""
        like, shape = torch.empty(0, dtype=torch.float64), self.reference.shape
        return RowNoise(self.streams, slice(0, n), shape, like, self.solver.noises)

    def path_noise(self, n: int) -> Noise:
        """One Gaussian per step for the reference: the sampler's, or the sum of its several."""
        noise = self.noise(n)
        if self.solver.noises == 1:
            return noise
        return lambda k: noise(k).sum(0) / math.sqrt(self.solver.noises)

    def sample(self, score: ScoreFn, x: Tensor, noise: Noise) -> Tensor:
        """The end of the sampler's run from ``x`` with this noise, in the points' own units."""
        sampler = Sampler(score, self.reference.process, self.solver, self.grid, self.eta)
        return sampler.run(x, noise)


def in_data_units(scaling: Scaling | None, x: Tensor) -> Tensor:
    """Undo a scaling; without one the points are in data units already."""
    return x if scaling is None else scaling.undo(x)
