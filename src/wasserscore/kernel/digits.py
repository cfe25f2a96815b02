"""Products in float32 with all of their digits, whatever the program around allows.

Training often lets PyTorch cut them to ten bits or seven (TF32, bfloat16), on GPUs and on some
processors, with a switch for the whole program: ``torch.set_float32_matmul_precision("high")``. No
bound of this room knows of that.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")


def all_digits(call: Callable[P, T]) -> Callable[P, T]:
    """The same function; where products were allowed fewer digits, they are not in the meantime.

    The switch is the whole program's, so other threads' products have all digits meanwhile, too.
    """

    @wraps(call)
    def full(*args: P.args, **kwargs: P.kwargs) -> T:
        if _allowed() == "highest":
            return call(*args, **kwargs)
        with _highest():
            return call(*args, **kwargs)

    return full


def _allowed() -> str | None:
    """What the program allows, or None where it says so for one device or another."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # set by a name that PyTorch has since 2.9, which this one does not know
        return None


@contextmanager
def _highest() -> Iterator[None]:
    before = _allowed()
    if before is not None:
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)
        return
    library: Any = torch.backends.mkldnn  # mypy knows an older one
    places = (torch.backends.cuda.matmul, library.matmul)
    each = [place.fp32_precision for place in places]
    for place in places:
        place.fp32_precision = "ieee"
    try:
        yield
    finally:
        for place, value in zip(places, each, strict=True):
            place.fp32_precision = value
