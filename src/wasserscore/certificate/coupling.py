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
from dataclasses import dataclass, is_dataclass
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.certificate.adaptive_flow import AdaptiveFlowPath
from wasserscore.certificate.flow import FlowPath
from wasserscore.certificate.mixed import MixedPath
from wasserscore.certificate.path import GaussianPath, ReferencePath, ReversePath
from wasserscore.certificate.start import Starts, coupled_starts
from wasserscore.core.distributed import shared
from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.core.typing import Noise, ScoreFn
from wasserscore.data import in_data_units
from wasserscore.dynamics import TimeGrid
from wasserscore.sampling import RowNoise, Sampler, Solver
from wasserscore.sampling.subject import like_of
from wasserscore.score import GaussianScore
from wasserscore.score.base import ClosedFormScore

STARTS = ("prior", "reference")
FLOW_TOLERANCE = 1e-3
"""Accepted root-mean-square error of a solved probability flow, in spreads of the reference."""


class Coupled(NamedTuple):
    """The ends of the four coupled runs in data units, (n, *shape) each, float64 on the CPU.

    Rows belong together.
    """

    reference: Tensor
    same_score: Tensor
    same_start: Tensor
    model: Tensor
    path_error: Float[Tensor, " n"] | None
    """Upper estimates of how far each reference point is from an exact path, data units; None
    if exact."""
    start_shift: float
    """What the error of a solved start can add to W2, data units; 0 where it is exact, or where
    the path error contains it."""


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
            the model's side *is* what ``sample`` returns for this seed in this dtype.
        dtype: What the model's sampler computes in; the reference is always in float64.
    """

    score: ScoreFn
    reference: ClosedFormScore
    solver: Solver
    grid: TimeGrid
    eta: float
    start: str
    parts: int
    streams: Streams
    dtype: torch.dtype = torch.float64

    def __post_init__(self) -> None:
        require(self.start in STARTS, "start must be 'prior' or 'reference'", got=repr(self.start))
        own = getattr(self.score, "process", self.reference.process)
        require(own == self.reference.process, "score and reference must share a forward process",
                got=f"{own!r} and {self.reference.process!r}",
                do="pass reference.under(score.process)")  # fmt: skip

    @property
    def device(self) -> torch.device:
        """Where the reference's tensors are: all four runs are computed there."""
        return like_of(self.reference, None, None, None).device

    @property
    def unit(self) -> float:
        """Data units per scaled unit of distance, at most."""
        scaling = self.reference.scaling
        return 1.0 if scaling is None else scaling.operator_norm

    @property
    def path(self) -> ReferencePath:
        """The reference's way down: exact where one is known."""
        if isinstance(self.reference, GaussianScore):
            return GaussianPath(self.reference, self.eta)
        if self.eta >= 1:
            return ReversePath(self.reference, self.parts, self.streams)
        if self.eta > 0:  # a part costs thirty evaluations here, and chooses with less noise
            reverse = ReversePath(self.reference, -(-self.parts // 4), self.streams)
            return MixedPath(reverse, self.eta)
        spread = float(self.reference.column_moments()[1].sum().sqrt())
        flow = FlowPath(self.reference, FLOW_TOLERANCE * spread, streams=self.streams)
        resolved = self.grid.stop > 0 or self.reference.least_variance > 0
        return AdaptiveFlowPath(flow) if resolved else flow

    @torch.no_grad()
    def run(self, n: int) -> Coupled:
        """The ends of ``n`` coupled quadruples of paths; ranks share the runs."""
        x, _, rough, shift = self.starts(n)
        noise = self.noise(n)
        runs = [(self.reference, x), (self.score, x)]
        if self.start == "prior":
            runs.append((self.score, self.begin(noise)))
        jobs = [partial(self.sample, score, begun, noise) for score, begun in runs]
        done = shared([partial(self._path_end, n, x, rough), *jobs])
        end, same_score, same_start, *others = (made.to(self.device) for made in done)
        model = others[0] if others else same_start
        exact = end.shape[1] == self.reference.dim
        reference = end[:, : self.reference.dim].contiguous().reshape(x.shape)
        error = None if exact else self.unit * end[:, -1].cpu()
        scaling = self.reference.scaling
        own = getattr(self.score, "scaling", scaling)
        return Coupled(
            in_data_units(scaling, reference).cpu(),
            in_data_units(scaling, same_score).double().cpu(),
            in_data_units(own, same_start).double().cpu(),
            in_data_units(own, model).double().cpu(),
            error,
            self.unit * shift if exact else 0.0,
        )

    def _path_end(self, n: int, x: Tensor, rough: Tensor | None) -> Tensor:
        """The flat ends of the reference paths, and in one more column their errors, if any."""
        end = self.path.run(x, self.grid, self.path_noise(n), rough)
        flat = end.x.flatten(1)
        return flat if end.error is None else torch.cat([flat, end.error[:, None].to(flat)], 1)

    def starts(self, n: int) -> Starts:
        """``(x_T, y_T)``: the noised reference and the prior, coupled."""
        return coupled_starts(self.reference, self.grid.start, self.start, self.streams, n)

    def noise(self, n: int) -> RowNoise:
        """The sampler's noise by step number, exactly as ``sample`` draws it."""
        like, shape = torch.empty(0, dtype=self.dtype, device=self.device), self.reference.shape
        return RowNoise(self.streams, slice(0, n), shape, like, self.solver.noises)

    def path_noise(self, n: int) -> Noise:
        """One Gaussian per step for the reference: the sampler's, or the sum of its several.

        The very numbers of the sampler: drawn in float64 for a run in float32 they would be other
        ones, and the pairs would share their starts only. Numbers of float32 have a standard
        normal law to 4e-5, in root mean square: they are made of 24 random bits.
        """
        noise, several = self.noise(n), self.solver.noises
        if several == 1:
            return lambda k: noise(k).double()
        return lambda k: noise(k).double().sum(0) / math.sqrt(several)

    def begin(self, noise: RowNoise) -> Tensor:
        """The starts of the sampler's prior, exactly as ``sample`` draws them."""
        return float(self.reference.process.sigma(self.grid.start)) * noise("start")

    def sampler(self, score: ScoreFn) -> Sampler:
        """The sampler of a score."""
        return Sampler(score, self.reference.process, self.solver, self.grid, self.eta)

    def sample(self, score: ScoreFn, x: Tensor, noise: Noise) -> Tensor:
        """The end of the sampler's run from ``x`` with this noise, in the points' own units."""
        return self.sampler(score).run(x.to(self.dtype), noise)


def sampling_dtype(score: ScoreFn) -> torch.dtype:
    """What ``sample`` computes in for a score made of tensors; float64 for any other callable.

    For such a callable ``sample`` takes float32 unless it is told ``dtype=torch.float64``; the
    certificate is then about the latter.
    """
    made_of_tensors = is_dataclass(score) or hasattr(score, "parameters")
    return like_of(score, None, None, None).dtype if made_of_tensors else torch.float64
