"""PyTorch's modes: which of those around a call it can work within."""

import torch
from torch import Tensor

from wasserscore.core.errors import require


def gradients(what: str) -> torch.enable_grad:
    """A block that takes derivatives, also within ``torch.no_grad()``.

    Args:
        what: What needs them, in the singular.

    Raises:
        InputError: Within ``torch.inference_mode()``, where nothing can.
    """
    require(not torch.is_inference_mode_enabled(), f"{what} needs gradients",
            got="torch.inference_mode()", do="take torch.no_grad() in its place")  # fmt: skip
    return torch.enable_grad()


def require_digits(x: Tensor, what: str) -> None:
    """Refuse points whose products ``torch.autocast`` would round to half precision.

    It does so inside every product, in silence, and leaves float64 alone.

    Args:
        x: The points.
        what: What needs their digits, in the plural.

    Raises:
        InputError: Within ``torch.autocast`` for the device of ``x``.
    """
    rounded = x.dtype != torch.float64 and torch.is_autocast_enabled(x.device.type)
    require(not rounded, f"{what} need all digits of {x.dtype}", got="torch.autocast",
            do="leave it for this call, or autocast the network alone")  # fmt: skip
