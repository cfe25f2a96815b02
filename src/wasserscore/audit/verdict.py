"""From counts and p-values to one word and one sentence, with a stated false-positive rate."""

from typing import NamedTuple

FALSE_POSITIVE_RATE = 0.02
"""Fresh data are flagged at most this often: the three levels below add up to it."""
EXACT_LEVEL, SCAN_LEVEL, SHIFT_LEVEL = 0.0025, 0.015, 0.0025
MEMORIZED_EXCESS = 0.10
"""A flagged set with this many more copies than the hold-out is called memorized."""
SHIFT = 0.75
"""P(L_gen < L_test) from which the whole set counts as too close: odds of three to one."""

MEMORIZED = "memorized"
SUSPICIOUS = "suspicious"
CLEAN = "no sign of copying"
NOT_JUDGED = "not judged: no hold-out"
SAME_ROWS = "not judged: the hold-out is training rows"
TOO_FEW = "not judged: too few rows"
ELSEWHERE = "not judged: values lie apart"
UNJUDGED = (NOT_JUDGED, SAME_ROWS, TOO_FEW, ELSEWHERE)
SAME = 0.5
"""Share of held-out rows that are training rows, beyond what repeats itself among these."""


class Evidence(NamedTuple):
    """What the verdict rests on; the p-values are one-sided, the shares in [0, 1].

    ``p_least`` is what ``p_exact`` would be if all generated rows were copies and no held-out one.
    """

    copy_excess: float
    closer: float
    p_exact: float
    p_copies: float
    p_closer: float
    p_least: float


def judge(evidence: Evidence) -> tuple[str, str]:
    """The word and the reason.

    Flagged when exact copies exceed those of the hold-out, when the scan finds rows closer to
    train than the bulk explains, or when the bulk itself is closer at odds of three to one. By
    the union bound at most 2 % of generators as good as fresh data are flagged. There is "no
    sign of copying" only where the exact test would see it if all rows were copies.

    Assumes: given train, hold-out rows are independent draws of the data law.
    """
    e = evidence
    reasons = []
    if e.p_exact <= EXACT_LEVEL:
        reasons.append(f"more exact copies than in fresh data (p {_rounded(e.p_exact)})")
    if e.p_copies <= SCAN_LEVEL:
        reasons.append(f"some rows lie closer to train than fresh data (p {_rounded(e.p_copies)})")
    if e.p_closer <= SHIFT_LEVEL and e.closer >= SHIFT:
        reasons.append(
            "the rows as a whole lie closer to train than fresh data"
            f" ({e.closer:.0%} of pairs, p {_rounded(e.p_closer)})"
        )
    if not reasons and e.p_least > EXACT_LEVEL:
        luck = f"if all were copies it might be luck (p {_rounded(e.p_least)})"
        return TOO_FEW, f"{luck}: give more generated or held-out rows"
    if not reasons:
        return CLEAN, "no test finds copies among them"
    word = MEMORIZED if e.copy_excess >= MEMORIZED_EXCESS else SUSPICIOUS
    return word, "; ".join(reasons)


def _rounded(p_value: float) -> str:
    return "< 1e-6" if p_value < 1e-6 else f"= {p_value:.2g}"
