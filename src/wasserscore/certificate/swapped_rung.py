"""The swapped form as a rung: the reference's constant, the sampler as it is."""

from wasserscore.certificate.base import Assumption
from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.falsify import falsified, falsify
from wasserscore.certificate.frozen import freezes
from wasserscore.certificate.meetings import some_pairs
from wasserscore.certificate.offset import limited_start
from wasserscore.certificate.proposal import RARE, Bound, Proposal, Run
from wasserscore.certificate.reference import same_units
from wasserscore.certificate.swapped import SwappedBound, swapped_bound
from wasserscore.core.results import Estimate

MONOTONE = Assumption(
    "the reference's constant is monotone between 64 times in each step", "assumed"
)


def swapped(run: Run) -> list[Proposal]:
    """The swapped form; needs a constant of the reference's score."""
    constant, coupling = run.constant, run.coupling
    if constant is None or not constant.belongs_to("reference", coupling.reference):
        return []

    def prove(level: float) -> Bound:
        found = swapped_bound(coupling, constant, n=run.n, level=level)
        words = f"{constant.kind} constant of the reference"
        return as_bound(run, found, constant, words, "the sampler as it is")

    limits = 1 + limited_start(coupling)
    return [Proposal("theorem, swapped", prove, limits=limits, obstacle=obstacle(run))]


def as_bound(run: Run, found: SwappedBound, constant: OneSided, words: str, rest: str) -> Bound:
    """The inequality's result with what comes on top and what it rests on.

    Args:
        run: What is certified.
        found: The result.
        constant: The reference's.
        words: Where the constant is used.
        rest: Said behind that.
    """
    total = found.upper.value + sum(a.limit for a in run.fixed)
    rests = (RARE, MONOTONE, tried(constant, run.coupling))
    status = Estimate(total, n=run.n, status=words)
    return Bound(total, status, found.upper.kind, f"{words}; {rest}", rests)


def obstacle(run: Run) -> str:
    """Why there is no swapped form here; empty if there is."""
    coupling = run.coupling
    if not same_units(coupling.score, coupling.reference):
        return "score and reference are scaled differently, so their errors cannot be compared"
    if not freezes(coupling):
        return (
            f"the steps of {coupling.solver.name} at eta {coupling.eta:g} have another noise than"
            " those of frozen data"
        )
    return ""


def tried(constant: OneSided, coupling: Coupling) -> Assumption:
    """A constant of the reference's score as an assumption, after a search for a violation."""
    witness = falsify(constant, coupling.reference, some_pairs(coupling))
    return falsified(constant, witness, coupling.reference, "reference score")
