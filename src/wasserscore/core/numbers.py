"""Real numbers and times: what a user gives, or a sentence that says what is wrong with it."""

from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wasserscore.core.errors import InputError, explain


def is_number(value: object) -> bool:
    """Whether it is Python's or NumPy's, a tensor of one or an array without axes; not True.

    >>> is_number(0.5), is_number(3), is_number("0.5"), is_number(True)
    (True, True, False, False)
    """
    if isinstance(value, Tensor):
        return value.numel() == 1 and not value.is_complex() and value.dtype != torch.bool
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and value.dtype.kind in "fiu"
    return isinstance(value, Real) and not isinstance(value, bool)


DIGITS = (7, 6)
"""Of a decimal that float32 mostly, and always, tells from its neighbours."""
POWERS = torch.tensor([10.0**k for k in range(23)], dtype=torch.float64)
"""Powers of ten that float64 holds exactly."""
PART = 2**20
"""Numbers that are spelled at once."""


def spelled(x: Tensor) -> Tensor:
    """Numbers in float64, of float32 the decimals of six or seven digits that they stand for.

    Between rows in tenths, distances tie; between what float32 makes of them they differ in their
    seventh digit. A number that is no such decimal stays as it is.

    >>> spelled(torch.tensor([0.1, 1 / 3])).tolist()
    [0.1, 0.3333333432674408]
    """
    x = x.contiguous()
    wide = x.double()
    if x.dtype != torch.float32:
        return wide
    powers = POWERS.to(x.device)
    for part, narrow in zip(wide.view(-1).split(PART), x.view(-1).split(PART), strict=True):
        first = part.abs().log10().floor()
        for digits in DIGITS:
            unit = powers[(digits - 1 - first).clamp_(0, len(powers) - 1).long()]
            decimal = (part * unit).round_().div_(unit)
            part.copy_(torch.where(decimal.float() == narrow, decimal, part))
    return wide


def as_times(t: Any, n: int, device: torch.device | None = None) -> Tensor:
    """Forward times, float64: one number, or one for each of n points.

    Raises:
        InputError: If they are no such numbers, negative or NaN (where :func:`require_forward`
            asks).
    """
    try:
        time = torch.as_tensor(t, dtype=torch.float64, device=device)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(explain("t must be a number, or one per point", got=repr(t))) from None
    if time.ndim and time.shape not in ((1,), (n,)):
        raise InputError(explain(f"t must be a number, or one for each of {n} points",
                                 got=f"shape {tuple(time.shape)}"))  # fmt: skip
    if not (isinstance(t, float | int) and t >= 0):  # a number tells in a tenth of the time
        require_forward(time)
    return time


def require_forward(time: Tensor, name: str = "t") -> None:
    """Refuse times before the data's, and NaN.

    Those on a GPU are not asked, which would wait, nor those whose values are not known: within
    ``torch.compile`` and ``torch.vmap``, and of a tensor without any (``meta``).

    Raises:
        InputError: Names the first.
    """
    if time.is_cuda or torch.compiler.is_compiling():
        return
    try:
        forward = bool((good := time >= 0).all())
    except RuntimeError:
        return
    if not forward:
        bad = time[~good].flatten()[0].item()
        raise InputError(explain(f"{name} must not be negative or NaN", got=f"{name}={bad}"))
