r"""The score error :math:`e = s - \nabla \log p_t` at random times and points of the reference.

A bound on :math:`\int k I \sqrt{E|e|^2}\,dt` needs no grid of times: with any positive weight
:math:`\lambda` the Cauchy-Schwarz form is a *mean over random (t, x)*,

.. math:: J_\lambda = \frac12 \int \lambda\,b\,dt = E\,\frac{\lambda(t)\,|e(x_t, t)|^2}{2\,w(t)},

for times drawn with density w, so one confidence limit covers it whatever b does between any two
times. Weights and density come from a pilot with points of its own and are fixed before the mean
is drawn.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.expansion import Expansion
from wasserscore.certificate.theorem import WARP
from wasserscore.core.random import normal_like
from wasserscore.core.typing import Vector

PANELS = 64
"""Pilot times; the weights are constant between them."""
POINTS = 32
"""Points per random time."""


@dataclass(frozen=True)
class Errors:
    """Mean squared errors at given times, scaled units.

    Args:
        score: Mean of |s - true score|^2.
        denoising: Mean of |s - target|^2 with the denoising target -z / sigma.
        largest: The largest |s - true score| at each time.
        largest_denoising: The largest |s - target|.
        quotient: The largest one-sided difference quotient of the score that was seen.
    """

    score: Vector
    denoising: Vector
    largest: Vector
    largest_denoising: Vector
    quotient: Vector


@torch.no_grad()
def errors_at(
    coupling: Coupling, times: Tensor, purpose: str, *, points: int = POINTS, slopes: bool = False
) -> Errors:
    r"""Errors of the score at each time over fresh points of the reference.

    Args:
        coupling: Score, reference and streams.
        times: Forward times, shape (m,).
        purpose: Name of the random stream.
        points: Points per time.
        slopes: Whether to look for the largest difference quotient as well,
            :math:`(s(x) - s(y)) \cdot (x - y) / |x - y|^2`, over pairs and their midpoints.
    """
    score, reference = coupling.score, coupling.reference
    generator = coupling.streams.generator(purpose)
    rows = []
    for t in times.tolist():
        alpha, sigma = (float(v(t)) for v in (reference.process.alpha, reference.process.sigma))
        x0 = reference.sample_marginal(points, generator=generator).double()
        z = normal_like(x0, generator)
        x = alpha * x0 + sigma * z
        s = score(x, t).double()
        gap = (s - reference(x, t)).flatten(1).square().sum(1).nan_to_num(torch.inf)
        noisy = (s + z / sigma).flatten(1).square().sum(1).nan_to_num(torch.inf)
        quotient = x.new_tensor(-torch.inf)
        if slopes:
            middle = (x + x.roll(1, 0)) / 2
            at_middle = score(middle, t).double()
            quotient = torch.maximum(_quotient(x, s), _quotient(x - middle, s - at_middle, 0))
        rows.append(
            torch.stack(
                [gap.mean(), noisy.mean(), gap.max().sqrt(), noisy.max().sqrt(), quotient]
            ).cpu()
        )
    return Errors(*torch.stack(rows).unbind(1))


def _quotient(x: Tensor, s: Tensor, shift: int = 1) -> Tensor:
    """Largest one-sided quotient of differences: of neighbouring rows, or given (shift 0)."""
    step, change = ((v - v.roll(shift, 0) if shift else v).flatten(1) for v in (x, s))
    return ((step * change).sum(1) / step.square().sum(1).clamp_min(1e-30)).max()


@dataclass(frozen=True)
class Plan:
    """Where to draw times, and the weights: from a pilot, fixed before anything is measured.

    Args:
        expansion: The growth.
        times: The pilot's times, one per panel, increasing.
        panel: The panel each cell belongs to, shape (m,).
        pilot: What the pilot saw.
        density: Probability of every cell.
    """

    expansion: Expansion
    times: Vector
    panel: Tensor
    pilot: Errors
    density: Tensor

    @staticmethod
    def of(coupling: Coupling, expansion: Expansion) -> "Plan":
        """The plan from a pilot.

        Three fifths of the times go where the integral comes from, one where the likelihood weight
        puts them, and one everywhere, so that no time is out of reach.
        """
        edges = expansion.asked
        panel = torch.arange(len(edges) - 1) * PANELS // (len(edges) - 1)
        ends = edges[torch.arange(PANELS + 1) * (len(edges) - 1) // PANELS]
        times = expansion.process.time_at(((ends[:-1] + ends[1:]) / 2) ** (2 * WARP))
        pilot = errors_at(coupling, times, "theorem/pilot", slopes=True)
        log_push = expansion.push[expansion.cells].log()
        finite = pilot.score.nan_to_num(posinf=1.0).clamp_min(1e-300)
        shares = [
            (0.6, expansion.log_area + finite.log()[panel] / 2),
            (0.2, log_push + finite.log()[panel]),
            (0.2, edges.diff().log()),
        ]
        density = sum((w * torch.softmax(logs, 0) for w, logs in shares), torch.zeros(()))
        return Plan(expansion, times, panel, pilot, density)

    def log_weights(self, errors: Tensor) -> Tensor:
        """Logarithm of 1 / sqrt(b) per cell, b from the pilot and never out of proportion."""
        roots = errors.nan_to_num(posinf=1.0).sqrt()
        log_area = self.expansion.log_area
        typical = float((torch.softmax(log_area, 0) * roots[self.panel]).sum())
        return -(roots + 0.03 * typical + 1e-150).log()[self.panel]

    def draw(self, coupling: Coupling, count: int) -> "Draws":
        """Random times, one per equal share of probability, and the errors there."""
        uniform = coupling.streams.generator("theorem/times")
        spots = torch.rand(2, count, generator=uniform, dtype=torch.float64)
        target = (torch.arange(count) + spots[0]) / count
        cells = torch.searchsorted(torch.cumsum(self.density, 0), target)
        cells = cells.clamp_max(len(self.density) - 1)
        edges = self.expansion.asked
        width = edges.diff()[cells]
        u = edges[cells] + spots[1] * width
        times = self.expansion.process.time_at(u ** (2 * WARP))
        found = errors_at(coupling, times, "theorem/points")
        log_density = self.density[cells].log() - width.log()
        return Draws(cells, u, self.expansion.log_forcing(u) - log_density, found)


@dataclass(frozen=True)
class Draws:
    """Errors at random times.

    Args:
        cells: The cell of each time, among those of the expansion where scores are asked.
        clock: The clock u of each time.
        log_ratio: Logarithm of kappa(u) over the density of u.
        errors: The errors.
    """

    cells: Tensor
    clock: Vector
    log_ratio: Vector
    errors: Errors
