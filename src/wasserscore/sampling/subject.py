"""What a score says about itself: its process, the shape of its points, its dtype and scaling.

Scores of ours carry all of it; a plain callable ``(x, t)`` carries nothing and the caller tells.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.integers import as_shape
from wasserscore.data import Scaling
from wasserscore.process.base import Process, require_process


def process_of(score: Any, process: Process | None) -> Process:
    """The process the caller named, or the score's own; they must not differ."""
    own: Process | None = getattr(score, "process", None)
    chosen = own if process is None else process
    if chosen is None:
        advice = "pass process=, for example process=ws.EDM(sigma_max=80.0)"
        raise InputError(explain("a plain callable needs a process", got=None, do=advice))
    require_process(chosen)
    require(own is None or own == chosen, "the score belongs to another process",
            got=f"{process!r} for a score under {own!r}",
            do="leave process out, or take score.under(process)")  # fmt: skip
    return chosen


def shape_of(score: Any, shape: tuple[int, ...] | None, points: Tensor | None) -> tuple[int, ...]:
    """The shape of one point; whatever is known about it must agree."""
    known = [as_shape(s) for s in (getattr(score, "shape", None), shape) if s is not None]
    if points is not None:
        known.append(tuple(points.shape[1:]))
    require(bool(known), "a plain callable needs the shape of a point", got=None,
            do="pass shape=, for example shape=(2,)")  # fmt: skip
    require(len(set(known)) == 1, "score, shape and start disagree about a point's shape",
            got=", ".join(map(str, known)))  # fmt: skip
    return known[0]


def like_of(score: Any, points: Tensor | None, device: Any, dtype: torch.dtype | None) -> Tensor:
    """An empty tensor with the dtype and device of the run.

    Networks of half precision run so themselves, and their samples are float32.

    Raises:
        InputError: If there is no such device here, or the dtype is not one of ours.
    """
    none = torch.empty(0, dtype=torch.float32)
    own = next(_tensors(score), none) if points is None else points
    usual = torch.promote_types(own.dtype, torch.float32)
    try:
        like = torch.empty(0, device=device or own.device, dtype=dtype or usual)
    except (AssertionError, RuntimeError) as error:  # a torch without CUDA asserts
        reason = str(error).split("\n")[0][:80]
        raise InputError(explain(f"device {device} cannot be used here", got=reason,
                                 do="leave device out, or pass 'cpu'")) from None  # fmt: skip
    require(like.dtype in (torch.float32, torch.float64), "dtype must be float32 or float64",
            got=like.dtype)  # fmt: skip
    return like


def _tensors(score: Any) -> Iterator[Tensor]:
    """The floating tensors a score is made of, networks inside it included."""
    if callable(getattr(score, "parameters", None)):
        yield from score.parameters()
    elif is_dataclass(score):
        for entry in fields(score):
            value = getattr(score, entry.name)
            if isinstance(value, Tensor):
                if value.is_floating_point():
                    yield value
            elif callable(getattr(value, "parameters", None)):
                yield from value.parameters()
            elif callable(value):  # a score of scores
                yield from _tensors(value)


def scaling_of(score: Any) -> Scaling | None:
    """How the score's points come from data units, where it knows."""
    scaling: Scaling | None = getattr(score, "scaling", None)
    return scaling
