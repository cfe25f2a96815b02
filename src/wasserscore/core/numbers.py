"""Real numbers: what may be compared with bounds, so that a word is refused in a sentence."""

from numbers import Real

from torch import Tensor


def is_number(value: object) -> bool:
    """Whether it is Python's or NumPy's, or a tensor of one; True is no number.

    >>> is_number(0.5), is_number(3), is_number("0.5"), is_number(True)
    (True, True, False, False)
    """
    if isinstance(value, Tensor):
        return value.numel() == 1 and not value.is_complex()
    return isinstance(value, Real) and not isinstance(value, bool)
