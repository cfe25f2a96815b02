r"""Log-likelihoods by the probability flow.

In the natural clock (:mod:`wasserscore.sampling.natural`) the flow is :math:`dy/dr = \hat z(y,r)`,
and along it

.. math:: \log p_0(x) = \log p_T(y_T) + \int_0^{r_T} \nabla \cdot \hat z(y_r, r)\, dr,
          \qquad y_0 = x.

With the prior :math:`N(0, r_T^2 I)` as :math:`p_T` this is the density of what the sampler draws.
It is integrated by Runge-Kutta in :math:`\log r` from ``least_noise`` up; below, :math:`\hat z` is
proportional to r, and one evaluation at ``least_noise`` is enough: the score is never asked at
zero noise, nor that of a chain below its first step. What is integrated is
:math:`w = (y - m) / \sqrt{r^2 + 1}`, which hardly moves at either end, and the divergence in
excess of its value :math:`d\,r/(r^2+1)` for unit Gaussian data. The centre
:math:`m = x - r \hat z(x, r)` of a point is nearly the mean of the data as the score knows it, at
:math:`r = 10` or the horizon if that is nearer (r times what a network errs by moves it away):
without it w carries along how far the data are from zero, and errs in proportion.

Source: :cite:p:`song2021`, eq. (39) and appendix D.2.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer
from wasserscore.core.numbers import is_number
from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate, Record
from wasserscore.core.tensors import as_points, tile_rows, tiles
from wasserscore.core.typing import PerPoint
from wasserscore.dynamics import RungeKutta4, TimeGrid, simulate
from wasserscore.process import Process
from wasserscore.sampling.divergence import divergence
from wasserscore.sampling.grids import known_from
from wasserscore.sampling.law import TiledScore
from wasserscore.sampling.subject import process_of

EXACT_UP_TO = 64
"""Up to this many coordinates the trace is summed exactly unless the user says otherwise."""
FAR = 10.0
"""Square root of S where a score is asked for the mean of the data."""


@dataclass(frozen=True, eq=False)
class Likelihood(Record):
    """Log-likelihoods, one per point; ``likelihood[i]`` is an Estimate.

    Args:
        value: Log density of each point in nats, per unit of volume of the user's data.
        stderr: Its standard error where the trace was estimated, else None.
        dim: Number of coordinates of a point.
        probes: Random probes per point, 0 for the exact trace.
        evaluations: Score evaluations per point.
    """

    value: PerPoint
    stderr: PerPoint | None
    dim: int
    probes: int
    evaluations: int

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, i: int) -> Estimate:
        error = None if self.stderr is None else float(self.stderr[i])
        return Estimate(float(self.value[i]), error, self.probes or None, units="nats")

    @property
    def mean(self) -> Estimate:
        """Mean over the points, with its standard error over them."""
        n = len(self)
        error = float(self.value.std()) / math.sqrt(n) if n > 1 else None
        return Estimate(float(self.value.mean()), error, n, units="nats")

    def bits_per_dim(self, bin_width: float = 1.0) -> Estimate:
        r"""Mean bits per coordinate, :math:`-(\log_2 p + d \log_2 \Delta) / d`.

        Args:
            bin_width: Spacing :math:`\Delta` of lattice data that was dequantised with uniform
                noise of that width: the bits of the discrete data, at most. 1 for densities.
        """
        scale = -1 / (self.dim * math.log(2))
        mean = self.mean
        error = None if mean.stderr is None else -scale * mean.stderr
        value = scale * mean.value - math.log2(bin_width)
        return Estimate(value, error, mean.n, units="bits per dimension")

    def __repr__(self) -> str:
        how = f"{self.probes} probes" if self.probes else "exact trace"
        return (f"log-likelihood of {len(self)} points: mean {self.mean!r}, "
                f"{self.bits_per_dim()!r} ({how}, {self.evaluations} evaluations)")  # fmt: skip


def log_likelihood(
    score: Callable[..., Tensor],
    x: Tensor,
    *,
    process: Process | None = None,
    steps: int = 40,
    probes: int | None = None,
    least_noise: float = 0.002,
    seed: int = 0,
) -> Likelihood:
    """Log density of each point under the model, in nats.

    The law at the horizon is the prior, so that the result is the density of the samples; a score
    that knows its own law there (``log_prob``) uses it, and the result is the density of its data.

    Assumes: the score is differentiable. Lattice data has no density: add uniform noise of one
    lattice step first (``ws.data.dequantise``).

    Args:
        score: A score of ours, or any differentiable callable ``(x, t)`` (with ``process``).
        x: Points ``(n, *shape)``, in data units.
        process: The forward process of a plain callable.
        steps: Runge-Kutta steps, four evaluations each.
        probes: Random probes per point of Hutchinson's trace estimate; 0 sums the trace exactly;
            None takes the exact one up to 64 coordinates and 16 probes above.
        least_noise: Noise-to-signal ratio where the integration begins; far below the detail of
            the data. A chain's begins at its first step where that is noisier.
        seed: Of the probes; point ``i`` depends on ``seed`` and ``i`` only.

    Raises:
        InputError: If the score has no gradient, or something is missing.
    """
    process = process_of(score, process)
    x = as_points(x)
    steps, d = as_integer(steps, "steps"), x[0].numel()
    chosen = 0 if d <= EXACT_UP_TO else 16
    if probes is not None:
        chosen = as_integer(probes, "probes", least=0)
    small = is_number(least_noise) and 0 < least_noise < math.inf
    require(small, "least_noise must be positive and finite", got=repr(least_noise))
    require(chosen != 1, "probes must be 0 (exact) or at least 2", got=probes)
    scaling = getattr(score, "scaling", None)
    model = x if scaling is None else scaling.apply(x)
    flow = _Flow(score, process, steps, least_noise)
    streams, rows = Streams(seed), tile_rows(tuple(x.shape[1:]))
    parts = []
    for part in tiles(len(x), rows):
        y = model[part]
        y = torch.cat([y, y[:1].expand(rows - len(y), *y.shape[1:])])  # fixed tiles: same bits
        signs = _probes(streams, chosen, part.start, y) if chosen else None
        parts.append(flow(y, signs)[:, : part.stop - part.start])
    logs = torch.cat(parts, 1) - (0.0 if scaling is None else scaling.log_det)
    error = logs.std(0) / math.sqrt(chosen) if chosen else None
    return Likelihood(logs.mean(0), error, d, chosen, flow.evaluations)


def _probes(streams: Streams, m: int, start: int, y: Tensor) -> Tensor:
    """Random signs ``(m, b, d)``: the probe with the least variance for a symmetric matrix."""
    flat = y.flatten(1)
    noise = [streams.normal(f"probe/{j}", start, start + len(y), flat.shape[1:], flat)
             for j in range(m)]  # fmt: skip
    return torch.where(torch.stack(noise) < 0, -1.0, 1.0).to(flat.dtype)


@dataclass(frozen=True)
class _Flow:
    """The probability flow of a score from data to noise, with the log-determinant beside it."""

    score: Callable[..., Tensor]
    process: Process
    steps: int
    least_noise: float

    @property
    def evaluations(self) -> int:
        return 4 * self.steps + 2

    def __call__(self, x: Tensor, probes: Tensor | None) -> Tensor:
        """Log density of each row, one row per probe: ``(m, b)``."""
        shape, (b, d), asked = x.shape, x.flatten(1).shape, TiledScore(self.score)
        horizon = self.process.horizon
        known = known_from(self.process, horizon)
        top: float = float(self.process.noise_to_signal(horizon)) ** 0.5
        seen: float = float(self.process.noise_to_signal(known)) ** 0.5
        least = max(min(self.least_noise, top * 1e-3), seen)

        def noise_at(r: float) -> Callable[[Tensor], Tensor]:
            time = self.process.time_at(torch.tensor(r**2, dtype=torch.float64))
            time = time.clamp(known, horizon)
            alpha, t = float(self.process.alpha(time)), float(time)
            return lambda y: (-r * alpha * asked((alpha * y).reshape(shape), t)).reshape(b, d)

        def in_log_noise(state: Tensor, u: float) -> Tensor:
            r = top * math.exp(-u)
            width, pull = math.hypot(r, 1), r / (r**2 + 1)
            noise, trace = divergence(noise_at(r), centre + width * state[:, :d], probes)
            slope = torch.cat([noise / width - pull * state[:, :d], trace.T - d * pull], 1)
            return -r * slope

        y = x.flatten(1)
        with torch.no_grad():
            far = min(top, FAR)
            centre = y - far * noise_at(far)(y)
        noise, trace = divergence(noise_at(least), y, probes)
        y, gained = y + least / 2 * noise, least / 2 * trace.T
        state = torch.cat([(y - centre) / math.hypot(least, 1), gained], 1)
        span = torch.linspace(math.log(top / least), 0, self.steps + 1, dtype=torch.float64)
        state = simulate(RungeKutta4(in_log_noise), state, TimeGrid(span), None)
        y = centre + math.hypot(top, 1) * state[:, :d]
        unit = d * math.log(math.hypot(top, 1) / math.hypot(least, 1))
        logs: Tensor = (self._at_horizon(y, shape)[:, None] + state[:, d:] + unit).T
        return logs

    def _at_horizon(self, y: Tensor, shape: torch.Size) -> Tensor:
        """Log density of ``y`` at the horizon: the score's own law, or the prior."""
        alpha = float(self.process.alpha(self.process.horizon))
        x = (alpha * y).reshape(shape)
        own = getattr(self.score, "log_prob", None)
        prior = self.process.prior(tuple(shape[1:]))
        log: Tensor = prior.log_prob(x) if own is None else own(x, self.process.horizon)
        volume: float = y.shape[1] * math.log(alpha)
        return log + volume
