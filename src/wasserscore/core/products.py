"""Products of float32 matrices on a CPU, by the library that takes all of its width.

PyTorch gives products to MKL, which keeps to vectors of 256 bits on processors of AMD. oneDNN,
which it has for convolutions, takes the 512 that newer ones have: 1.6 to 2.3 times as fast from 64
coordinates on. It has no product in float64, and no public name for this one.
"""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

WORTH = 2**21
"""Multiplications of a product from which on oneDNN is faster."""
ROWS = 4
"""Rows of a product from which on it is."""
CPUS = Path("/proc/cpuinfo")
"""Where Linux says whose processor it is; elsewhere MKL makes all products."""


@cache
def has_halves() -> bool:
    """Whether this processor multiplies bfloat16 numbers, 2.3 to 4 times as fast as float32."""
    known = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # no public name before 2.13
    return torch.backends.mkldnn.is_available() and known is not None and bool(known())


@cache
def unused() -> bool:
    """Whether MKL leaves half of this processor unused, and oneDNN is there."""
    wide = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    if not (wide and torch.backends.mkl.is_available() and CPUS.exists()):
        return False
    here = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return here and "AuthenticAMD" in CPUS.read_text()


def faster(like: Tensor, q: int, e: int, k: int) -> bool:
    """Whether oneDNN makes a product of ``(q, e)`` and ``(e, k)`` numbers as those of a tensor."""
    if like.dtype != torch.float32 or not like.is_cpu:
        return False
    return q >= ROWS and q * e * k >= WORTH and unused()


def product(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """``a @ b`` of ``(q, e)`` and ``(e, k)`` numbers, constants; ``out`` is space it may take."""
    if _by_onednn(a, b):
        return _onednn(a, b, None)
    return torch.mm(a, b, out=out)


def affine(
    plus: Tensor, a: Tensor, b: Tensor, scale: float = 1.0, out: Tensor | None = None
) -> Tensor:
    """``scale (plus + a @ b)`` with one number per column in ``plus``, as :func:`product`."""
    if _by_onednn(a, b):
        return _onednn(a, b, plus) if scale == 1 else _onednn(a * scale, b, plus * scale)
    return torch.addmm(plus, a, b, beta=scale, alpha=scale, out=out)


def of_all(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` by every library that may make it, ``(libraries, q, k)``."""
    return torch.stack([a @ b, _onednn(a, b, None)] if unused() else [a @ b])


def _by_onednn(a: Tensor, b: Tensor) -> bool:
    dense = b.is_contiguous() or b.T.is_contiguous()
    return dense and faster(a, len(a), len(b), b.shape[1])


def _onednn(a: Tensor, b: Tensor, plus: Tensor | None) -> Tensor:
    """A linear layer's forward pass.

    ``plus``, and ``b`` or its transpose, must be contiguous: with gaps between its rows a product
    takes a thousand times as long, and those in ``plus`` are read.
    """
    q = len(a)
    more = _rounded(q) - q
    filled = pad(a, (0, 0, 0, more)) if more else a
    made: Tensor = torch.ops.mkldnn._linear_pointwise(filled, b.T, plus, "none", [], "")
    return made[:q]


def _rounded(q: int) -> int:
    """Rows of a product: four numbers between one power of two and the next.

    oneDNN keeps code for every size it meets. Those of a few hundred sizes lie between what comes
    and goes, and memory grows by gigabytes.
    """
    step: int = 2 ** max(2, (q - 1).bit_length() - 3)
    return -(-q // step) * step
