"""One-sided constants by name: what a command line can ask for."""

import math

import torch
from torch import Tensor

from wasserscore.certificate.closed import certified
from wasserscore.certificate.constants import OneSided, estimate
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.jacobian import DENSE
from wasserscore.certificate.meetings import some_pairs
from wasserscore.certificate.search import segments
from wasserscore.core.errors import require

NAMES = ("estimated", "certified", "reference")
"""Of the model by a search, of the model by a proof, of the reference by a proof."""
PAIRS = 12
"""Coupled pairs per time whose segments are searched."""
CLIMB = 4
"""Steps of the search's ascent."""


def named(constant: OneSided | str | float | None, coupling: Coupling) -> OneSided | None:
    """A constant from its name; one that is a constant already is left as it is.

    ``estimated``: the largest local constant of the model found along the coupling and on the
    segments between its points, which never makes a bound. ``certified``: proved for the model.
    ``reference``: proved for the reference, for the swapped form. A number, or its text: stated
    for the model, at every time.

    Args:
        constant: Name, number or constant.
        coupling: What is coupled.

    Raises:
        InputError: If there is no such name, or no proof for this score.
    """
    if constant is None or isinstance(constant, OneSided):
        return constant
    if constant == "estimated":
        return _searched(coupling)
    if constant == "certified":
        return certified(coupling.score)
    if constant == "reference":
        return certified(coupling.reference)
    try:
        value = float(constant)
    except ValueError:
        value = math.nan
    require(math.isfinite(value), "constant must be a number or one of " + ", ".join(NAMES),
            got=repr(constant))  # fmt: skip
    return OneSided(lambda t: torch.full_like(t, value), "stated", f"{value:g} at every time")


def _searched(coupling: Coupling) -> OneSided:
    few = PAIRS if coupling.reference.dim <= DENSE else 1
    clouds = []
    for m in reversed(some_pairs(coupling)):
        finite = torch.isfinite(m.x + m.y).flatten(1).all(1)
        if m.t > 0 and bool(finite.any()):
            clouds.append((m.t, _between(m.x[finite][:few], m.y[finite][:few])))
    return estimate(coupling.score, clouds, steps=CLIMB)


def _between(x: Tensor, y: Tensor) -> Tensor:
    return segments(x.double(), y.double(), 2)
