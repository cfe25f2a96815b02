"""Where the GPU kernels can be used, decided without importing what a CPU does not have."""

from functools import cache
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

from wasserscore.kernel.keys import EXACT, FAST
from wasserscore.kernel.stream import Block

WIDEST = {torch.float32: 256, torch.float64: 128}
"""Most coordinates of the fused kernel: sums of wider points do not fit a program's registers."""
PARTS_BYTES = 2**34
"""Most memory for the halves of keys and values, or for keys in float64."""
HOPPER = 9
"""Major version of the only cards that tile shapes were tried on, H100 and H200."""
TRITON = (3, 5)
"""The first Triton with float64 products."""


def has_kernel(block: Block, values: Tensor) -> bool:
    """Whether the sums of ``block`` can be made by :mod:`wasserscore.kernel.fused`.

    Elsewhere (the EXACT level, more coordinates, other devices, no Triton) they are made from
    matrix products, tile by tile, with the same results; so they are where tables of the keys
    would be too large.
    """
    return _widest(block, values) <= WIDEST[block.dtype] and _serves(block, values)


def has_products(block: Block, values: Tensor) -> bool:
    """Whether the sums of ``block`` can be made by :mod:`wasserscore.kernel.wide`, and pay.

    On the DOUBLE level they do not: its float64 products are as fast as float32's.
    """
    single = block.dtype == torch.float32 and block.level == FAST
    return single and _serves(block, values)


def _widest(block: Block, values: Tensor) -> int:
    return max(block.x.shape[1], values.shape[1] - 1)


def _serves(block: Block, values: Tensor) -> bool:
    fits = 8 * len(block.keys) * _widest(block, values) <= PARTS_BYTES
    return fits and block.x.is_cuda and block.level != EXACT and _supported(block.x.device.index)


@cache
def _supported(device: int) -> bool:
    if torch.version.hip is not None or find_spec("triton") is None:
        return False
    found = tuple(int(part) for part in import_module("triton").__version__.split(".")[:2])
    return found >= TRITON and torch.cuda.get_device_capability(device)[0] == HOPPER
