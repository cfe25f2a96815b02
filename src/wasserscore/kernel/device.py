"""Where the fused GPU kernel can be used, decided without importing what a CPU does not have."""

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from wasserscore.kernel.keys import EXACT
from wasserscore.kernel.stream import Block

WIDEST = 128
"""Most coordinates.

The sums of wider points do not fit into a program's registers, and matrix units, which cut off
sums instead of rounding them, lose too many digits of longer float32 products.
"""
SHARED_BYTES = 227 * 2**10
"""Shared memory of one program that the tile shapes need: an H100's, or a later one's."""


def has_kernel(block: Block, values: Tensor) -> bool:
    """Whether the sums of ``block`` can be made by :mod:`wasserscore.kernel.fused`.

    Elsewhere (the EXACT level, more coordinates, other devices, no Triton) they are made from
    matrix products, tile by tile, with the same results.
    """
    if not block.x.is_cuda or block.level == EXACT:
        return False
    widest = max(block.x.shape[1], values.shape[1] - 1)
    return widest <= WIDEST and _supported(block.x.device.index)


@cache
def _supported(device: int) -> bool:
    if torch.version.hip is not None or find_spec("triton") is None:
        return False
    properties = torch.cuda.get_device_properties(device)
    return bool(getattr(properties, "shared_memory_per_block_optin", 0) >= SHARED_BYTES)
