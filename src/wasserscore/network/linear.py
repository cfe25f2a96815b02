"""A linear layer by the library whose products take all of the processor's width."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from wasserscore.core.products import affine, faster, product

WORTH = 2**23
"""Multiplications of a layer that make up for the way of its derivatives through Python; without
derivatives those of a product do."""
_WRAPPED: Any = getattr(torch._C._functorch, "is_functorch_wrapped_tensor", None)
TELLS = _WRAPPED is not None and hasattr(forward_ad, "_current_level")
"""Whether this PyTorch says what is going on; no public name does."""


class Linear(nn.Linear):
    """PyTorch's layer; where :mod:`wasserscore.core.products` is faster, made by that.

    Left to PyTorch: other numbers than float32 (mixed precision, too), small products,
    ``torch.compile``, forward derivatives and the transforms of ``torch.func``.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Inputs ``(..., in_features)`` to outputs ``(..., out_features)``."""
        if torch.compiler.is_compiling() or not self._faster(x):
            return super().forward(x)
        made = _affine(x.reshape(-1, self.in_features), self.weight, self.bias)
        return made.reshape(*x.shape[:-1], self.out_features)

    def _faster(self, x: Tensor) -> bool:
        if x.shape[-1] != self.in_features or self.weight.dtype != x.dtype:
            return False  # PyTorch says what is wrong
        small = torch.is_grad_enabled() and x.numel() * self.out_features < WORTH
        if small or torch.is_autocast_enabled("cpu"):
            return False
        if not TELLS or forward_ad._current_level >= 0 or _WRAPPED(x):
            return False
        return faster(x, x.numel() // self.in_features, self.in_features, self.out_features)


class _Affine(torch.autograd.Function):
    """``x @ weight.T + bias``, whose derivatives are such products again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _made(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            _affine(grad, weight.T, None) if of_x else None,
            _affine(grad.T, x.T, None) if of_weight else None,
            grad.sum(0) if of_bias else None,
        )


def _affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x @ weight.T + bias``, with derivatives where they are asked for."""
    make = _Affine.apply if torch.is_grad_enabled() else _made
    made: Tensor = make(x, weight, bias)
    return made


def _made(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return product(x, weight.T) if bias is None else affine(bias, x, weight.T)
