r"""What a coupling says of the theorem's constants: two estimates for insight, never a bound.

*effective*: the constant that the pairs of the coupling see, in place of the supremum,

.. math:: L_{eff}(t) = \frac{E\,(X - Y) \cdot (s(X) - s(Y))}{E |X - Y|^2};

*pathwise*: every pair with its own largest local constant on its segment, and its own error,

.. math:: \Bigl\| \int k\,e^{\int_0^t (f + k \ell)} |e(X_t)|\,dt
          + e^{\int_0^T (f + k \ell)} |X_T - Y_T| \Bigr\|_{L^2} .

Both follow the reference's score and the model's through the same sampler on the same noise, and
cannot be tighter than :math:`E|X - Y|^2` of those runs; they tell how much of the theorem's size
comes from its constant. Where a score is not asked (time 0) the values
of the last time above stand in.

Source: docs/theory/certificate.md.
"""

import math

import torch
from torch import Tensor

from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.jacobian import local
from wasserscore.certificate.march import log_march
from wasserscore.certificate.meetings import Meeting, same_sampler
from wasserscore.certificate.search import segments
from wasserscore.core.results import Estimate
from wasserscore.core.typing import PerPoint, Vector

PARTS = 2
"""Parts of every segment that is searched for the pathwise constant."""


@torch.no_grad()
def effective_bound(coupling: Coupling, n: int) -> tuple[Estimate, Vector]:
    """Theorem 1 with the effective constant, in scaled units, and the constant on the way up.

    Args:
        coupling: What is coupled, on a fine grid.
        n: Number of pairs.
    """
    met = same_sampler(coupling, n)[::-1]
    constants, errors = [], []
    for m in met:
        if m.t > 0:
            gap, slope = _gap(m), (coupling.score(m.x, m.t) - coupling.score(m.y, m.t)).flatten(1)
            size = float(gap.square().sum())
            constants.append(float((gap * slope).sum()) / size if size > 0 else 0.0)
            errors.append(float(_errors(coupling, m).square().mean().sqrt()))
    found = torch.tensor(constants, dtype=torch.float64)
    start = float(_gap(met[-1]).square().sum(1).mean().sqrt())
    log = _theorem(coupling, met, found, torch.tensor(errors, dtype=torch.float64),
                   torch.tensor(start, dtype=torch.float64))  # fmt: skip
    return Estimate(float(log.exp()), n=n, status="effective constant"), found


@torch.no_grad()
def pathwise_bound(coupling: Coupling, n: int) -> Estimate:
    """The pathwise form, in scaled units.

    Args:
        coupling: What is coupled, on a fine grid.
        n: Number of pairs.
    """
    met = same_sampler(coupling, n)[::-1]
    above = [m for m in met if m.t > 0]
    constants = torch.stack([
        local(coupling.score, segments(m.x, m.y, PARTS), m.t).reshape(-1, n).amax(0)
        for m in above
    ])  # fmt: skip
    errors = torch.stack([_errors(coupling, m) for m in above])
    squares = (2 * _theorem(coupling, met, constants, errors, _gap(met[-1]).norm(dim=1))).exp()
    value, spread = float(squares.mean()), float(squares.std()) / math.sqrt(n)
    root = math.sqrt(value)
    return Estimate(root, spread / (2 * root) if root > 0 else 0.0, n, "pathwise constant")


def _theorem(
    coupling: Coupling, met: list[Meeting], constants: Tensor, errors: Tensor, start: Tensor
) -> Tensor:
    """Logarithm of the theorem's right side with these constants and errors, rows upwards."""
    times = torch.tensor([m.t for m in met], dtype=torch.float64)
    constants, errors, start = (v.cpu() for v in (constants, errors, start))
    if met[0].t == 0:
        constants, errors = (torch.cat([v[:1], v]) for v in (constants, errors))
    process, shape = coupling.reference.process, (-1, *[1] * (constants.ndim - 1))
    k = ((1 + coupling.eta**2) / 2 * process.g2(times)).reshape(shape)
    rate = process.f(times).reshape(shape) + k * constants
    return log_march([(rate, (k * errors).log())], times, start.log())


def _gap(m: Meeting) -> Tensor:
    return (m.x - m.y).flatten(1)


def _errors(coupling: Coupling, m: Meeting) -> PerPoint:
    """|true score - score| where the reference is."""
    gap = coupling.score(m.x, m.t) - coupling.reference(m.x, m.t)
    size: Tensor = gap.flatten(1).norm(dim=1)
    return size
