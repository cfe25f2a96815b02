"""Processes by a short spelling, for command lines and configuration files."""

import ast
from difflib import get_close_matches

from wasserscore.core.errors import InputError, explain
from wasserscore.process.base import Process
from wasserscore.process.edm import EDM
from wasserscore.process.families import FAMILIES, from_dict
from wasserscore.process.ou import OU
from wasserscore.process.sub_vp import SubVP
from wasserscore.process.ve import VE
from wasserscore.process.vp import VP

PRESETS: dict[str, Process] = {
    "edm": EDM(sigma_max=80.0),
    "ve-constant": VE.constant(a=1.0),
    "ve-polynomial": VE.polynomial(a=1.0, b=0.5, c=2.0),
    "ve-exponential": VE.from_sigmas(sigma_min=0.01, sigma_max=50.0),
    "vp-constant": VP.constant(beta=1.0),
    "vp-linear": VP.from_betas(beta_min=0.1, beta_max=20.0),
    "vp-polynomial": VP.polynomial(a=1.0, b=0.75, rho=5.0),
    "vp-exponential": VP.exponential(a=0.4, b=1.0),
    "vp-cosine": VP.cosine(),
    "subvp-linear": SubVP.linear(a=19.9, b=0.1, horizon=1.0),
    "ou": OU(alpha=1.0, sigma=2**0.5),
}
"""Published parameters where there are any, for data whose spread is about one.

EDM: :cite:p:`karras2022`; VE exponential, VP linear, sub-VP: :cite:p:`song2021`; cosine: Nichol
and Dhariwal 2021; the shapes of the others are the best of ``docs/choose.md``, rounded.
"""


def from_text(text: str) -> Process:
    """The process of a spelling: a name of :data:`PRESETS`, or the call that makes it.

    Nothing is executed: the call is taken apart, and its values must be literals.

    >>> from_text("VP.linear(a=19.9, b=0.1, horizon=1.0)")
    VP.linear(a=19.9, b=0.1, horizon=1.0)

    Args:
        text: Such as ``"edm"`` or ``"VP.linear(a=19.9, b=0.1)"``; the repr of a process will do.

    Raises:
        InputError: If the name is unknown or the call does not fit.
    """
    if text in PRESETS:
        return PRESETS[text]
    family, bracket, _ = text.partition("(")
    if not bracket or family not in FAMILIES:
        near = get_close_matches(text, [*PRESETS, *FAMILIES], n=1, cutoff=0.6)
        known = f"one of {', '.join(PRESETS)}, or a call such as VP.linear(a=19.9, b=0.1)"
        raise InputError(explain("unknown process", got=repr(text[:80]),
                                 do=f"did you mean {near[0]!r}?" if near else known))  # fmt: skip
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise ValueError("give keywords only")
        keywords = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
        return from_dict({**keywords, "family": family})
    except InputError:
        raise
    except (SyntaxError, ValueError, TypeError) as error:
        why = " ".join(str(error).split())[:120]
        raise InputError(explain(f"{family} cannot be made", got=f"{text[:80]!r} ({why})",
                                 do="write it as its repr shows it")) from None  # fmt: skip
