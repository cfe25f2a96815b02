"""From the stored call back to the process."""

from collections.abc import Callable, Mapping
from typing import Any

from wasserscore.core.errors import require
from wasserscore.process.base import Process
from wasserscore.process.edm import EDM
from wasserscore.process.ou import OU
from wasserscore.process.sub_vp import SubVP
from wasserscore.process.ve import VE
from wasserscore.process.vp import VP

FAMILIES: dict[str, Callable[..., Process]] = {
    "VE.constant": VE.constant,
    "VE.sqrt": VE.sqrt,
    "VE.polynomial": VE.polynomial,
    "VE.exponential": VE.exponential,
    "VE.from_sigmas": VE.from_sigmas,
    "VP.constant": VP.constant,
    "VP.linear": VP.linear,
    "VP.polynomial": VP.polynomial,
    "VP.exponential": VP.exponential,
    "VP.from_betas": VP.from_betas,
    "VP.cosine": VP.cosine,
    "VP.chain": VP.chain,
    "VP.strasman": VP.strasman,
    "SubVP.linear": SubVP.linear,
    "OU": OU,
    "EDM": EDM,
}


def from_dict(call: Mapping[str, Any]) -> Process:
    """The process whose :meth:`Process.to_dict` gave ``call``.

    Raises:
        InputError: If the family is unknown.
    """
    keywords = dict(call)
    family = keywords.pop("family", None)
    require(family in FAMILIES, "unknown process family", got=repr(family),
            do=f"one of {', '.join(FAMILIES)}")  # fmt: skip
    return FAMILIES[str(family)](**keywords)
