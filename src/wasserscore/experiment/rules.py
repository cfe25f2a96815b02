"""Rules such as ``copies>0.1%`` that decide whether a run or an audit passes."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wasserscore.core.errors import InputError, explain, require

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
_RULE = re.compile(
    r"\s*([a-z_][a-z0-9_]*)\s*(>=|<=|>|<)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*(%?)\s*"
)


@dataclass(frozen=True)
class Rule:
    """A quantity, a comparison and a limit; when the comparison holds, the check fails.

    Args:
        quantity: Name of the number.
        sign: ``>``, ``>=``, ``<`` or ``<=``.
        limit: What it is compared with.
        text: The rule as the user wrote it.
    """

    quantity: str
    sign: str
    limit: float
    text: str

    def broken_by(self, numbers: Mapping[str, float | None]) -> bool:
        """Whether the rule fails; a number that could not be measured fails it too."""
        value = numbers[self.quantity]
        return value is None or _OPERATORS[self.sign](value, self.limit)

    def told(self, numbers: Mapping[str, float | None]) -> str:
        """The rule and what was found."""
        value = numbers[self.quantity]
        found = "is not known" if value is None else f"= {value:g}"
        return f"{self.text} ({self.quantity} {found})"


def parse_rule(text: str, quantities: Mapping[str, tuple[float, float]]) -> Rule:
    """A rule from its text.

    >>> parse_rule("copies > 0.1%", {"copies": (0.0, 1.0)}).limit
    0.001

    Args:
        text: ``quantity sign number``, the number possibly in percent.
        quantities: The names that can be used, each with its least and its largest value.

    Raises:
        InputError: If the text is no rule, names an unknown quantity, or can never hold.
    """
    match = _RULE.fullmatch(text)
    if match is None:
        raise InputError(explain("a rule must read quantity, sign, number", got=repr(text),
                                 do="for example --fail-if 'flagged>0'"))  # fmt: skip
    quantity, sign, number, percent = match.groups()
    if quantity not in quantities:
        raise InputError(explain("a rule names an unknown quantity", got=repr(quantity),
                                 do=f"use one of {', '.join(quantities)}"))  # fmt: skip
    limit = float(number) / 100 if percent else float(number)
    low, high = quantities[quantity]
    holds = _OPERATORS[sign]
    require(holds(low, limit) or holds(high, limit),
            f"a rule must be able to hold: {quantity} lies between {low:g} and {high:g}",
            got=repr(text), do="write two percent as 2% or 0.02")  # fmt: skip
    return Rule(quantity, sign, limit, text.strip())
