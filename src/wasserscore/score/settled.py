"""Whether the networks inside a score answer for every row by itself, and always the same."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from wasserscore.core.errors import require
from wasserscore.core.numbers import is_number


def require_settled(score: Any) -> None:
    """Refuse networks in training mode that draw numbers of their own, or mix the rows of a batch.

    Their samples would not be those of the seed, and change with the batch size.

    Raises:
        InputError: If a layer of a network is in training mode where that makes a difference.
    """
    for network in _networks(score):
        for layer in network.modules():
            unsettled = layer.training and (isinstance(layer, _BatchNorm) or _drops(layer))
            require(not unsettled, "a network must be in evaluation mode",
                    got=f"{type(layer).__name__} in training mode",
                    do="call network.eval()")  # fmt: skip


def _drops(layer: nn.Module) -> bool:
    share = layer.p if isinstance(layer, _DropoutNd) else getattr(layer, "dropout", 0)
    return is_number(share) and share > 0


def _networks(score: Any) -> Iterator[nn.Module]:
    """The networks that a score, or a score of scores, is made of."""
    if isinstance(score, nn.Module):
        yield score
    elif is_dataclass(score):
        for entry in fields(score):
            value = getattr(score, entry.name)
            if callable(value):
                yield from _networks(value)
