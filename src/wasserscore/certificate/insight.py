"""What the theorem would say with the constants that a coupling sees: for insight, no bounds.

Between the theorem, whose constant is a supremum over all points, and the coupling, which needs
none, stand two estimates along the coupling's own pairs (:mod:`wasserscore.certificate.along`).
They say how much of the theorem's size comes from its constant, and are never the smallest rung.
"""

from collections.abc import Callable

from wasserscore.certificate.along import effective_bound, pathwise_bound
from wasserscore.certificate.base import Assumption
from wasserscore.certificate.proposal import Bound, Proposal, Run
from wasserscore.certificate.theorem_rungs import obstacle
from wasserscore.core.results import Estimate

PAIRS, PATHS = 256, 16
"""Pairs of the effective constant, and of the pathwise one, which needs Jacobians."""
DIMENSIONS = 32
"""Beyond this many a Jacobian for every pair and step costs more than the whole certificate."""


def insight(run: Run) -> list[Proposal]:
    """Effective and pathwise constants, beside the theorem's rungs."""
    if run.constant is None:
        return []
    coupling, why = run.coupling, obstacle(run)
    wide = f"more than {DIMENSIONS} dimensions" if coupling.reference.dim > DIMENSIONS else ""
    return [
        _estimated(run, "effective constant", why,
                   lambda: effective_bound(coupling, min(run.n, PAIRS))[0]),
        _estimated(run, "pathwise constant", why or wide,
                   lambda: pathwise_bound(coupling, min(run.n, PATHS))),
    ]  # fmt: skip


def _estimated(run: Run, name: str, why: str, compute: Callable[[], Estimate]) -> Proposal:
    scale = run.coupling.unit
    no_bound = Assumption(f"{name}: along the coupling only, an estimate", "assumed")

    def prove(level: float) -> Bound:
        found = compute()
        value = scale * found.value + sum(a.limit for a in run.fixed)
        stderr = None if found.stderr is None else scale * found.stderr
        estimate = Estimate(value, stderr, found.n, found.status)
        return Bound(value, estimate, "estimated", "for insight, no bound", (no_bound,))

    return Proposal(name, prove, limits=0, obstacle=why)
