r"""The training weight that a certificate's bound asks for, from a pilot score.

.. math:: \lambda = k\,I / \sqrt b

turns the Cauchy-Schwarz form of the theorem into its integral form, so a network that lowers
:math:`J_\lambda` lowers :math:`\int k I \sqrt b` to first order. The growth I comes from a
one-sided constant, b from errors of a score that has been trained a little. A weight promises
nothing, so any constant will do, an estimated one included.

Source: :cite:p:`kwon2022`, Theorem 1.
"""

import torch

from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.coupling import Coupling, sampling_dtype
from wasserscore.certificate.expansion import Expansion
from wasserscore.certificate.score_error import Plan
from wasserscore.core.random import Streams
from wasserscore.core.typing import ScoreFn
from wasserscore.sampling import solver, time_grid
from wasserscore.score.base import ClosedFormScore
from wasserscore.training import Tabulated

FLOOR = 1e-3
"""Errors below this share of the largest root are taken to be it."""


@torch.no_grad()
def bound_weight(
    score: ScoreFn,
    reference: ClosedFormScore,
    constant: OneSided,
    *,
    eta: float = 1.0,
    stop: float | None = None,
    smallest: float = 4e-3,
    seed: int = 0,
) -> Tabulated:
    r"""The weight :math:`k I / \sqrt b` as something ``train_score(weighting=...)`` takes.

    Args:
        score: The pilot: its errors at 64 times set b.
        reference: The law that the certificate will be about.
        constant: One-sided constant of the score to be trained, scaled units; any kind.
        eta: Noise level of the sampler: 1 the reverse SDE, 0 the probability flow.
        stop: Early stopping time.
        smallest: Least noise-to-signal ratio to train at, over ``data_std``.
        seed: Of the pilot's points.
    """
    method, process = solver("heun"), reference.process
    coupling = Coupling(score, reference, method, time_grid(process, 16, stop=stop), eta, "prior",
                        1, Streams(seed), sampling_dtype(score))  # fmt: skip
    grid = coupling.grid
    expansion = Expansion.along(process, constant, eta=eta, start=grid.start, stop=grid.stop)
    plan = Plan.of(coupling, expansion)
    at = torch.searchsorted(expansion.times, plan.times).clamp_max(len(expansion.times) - 1)
    root = plan.pilot.score.sqrt()
    growth = expansion.log_growth[at] - expansion.log_growth[at].max()
    log_weight = growth - root.clamp_min(FLOOR * float(root.max())).log()
    return Tabulated(process.noise_to_signal(plan.times).sqrt(), log_weight, smallest)
