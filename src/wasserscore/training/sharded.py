"""Weights in parts, one per rank: for networks that one device cannot hold beside AdamW.

PyTorch's fully sharded data parallelism: a block's weights are gathered when it is used, and its
gradient goes back as sums to the ranks that hold them. Its modules are imported where weights are
in parts: they would add a third to the time that importing wasserscore takes.
"""

import copy
import warnings
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn

from wasserscore.core.distributed import publish, world
from wasserscore.core.errors import require


def shard(network: nn.Module) -> nn.Module:
    """The network with its weights in parts, the first rank's; all ranks call it together.

    Blocks in a ``ModuleList`` are gathered one at a time, the rest together.

    Raises:
        InputError: If a block shares a weight with what is outside it.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    blocks = [block for part in network.modules() if isinstance(part, nn.ModuleList)
              for block in part if any(True for _ in block.parameters())]  # fmt: skip
    everywhere = _uses(network)
    for block in blocks:
        shared = any(everywhere[weight] > uses for weight, uses in _uses(block).items())
        require(not shared, "blocks whose weights are in parts must not share them with others",
                got=f"one that does, a {type(block).__name__}", do="leave out shard=")  # fmt: skip
    network.load_state_dict(publish(network.state_dict()))
    mesh = init_device_mesh(next(network.parameters()).device.type, (world(),))
    # True of a network that ends with a reshape, and a score never writes into what it returns.
    warnings.filterwarnings("ignore", r"FSDP2-wrapped module .* returned a view tensor")
    for block in (*reversed(blocks), network):  # inner ones first
        parts = fully_shard(block, mesh=mesh, reshard_after_forward=True)
        # sums over the ranks, as of whole weights; PyTorch 2.8 leaves means undivided on a CPU
        parts.set_force_sum_reduction_for_comms(True)
        parts.set_gradient_divide_factor(1.0)
    return network


def whole(x: Any) -> Tensor:
    """All of a tensor that ranks hold in parts; all ranks call it together. Others as they are."""
    together: Tensor = x.full_tensor() if _in_parts(x) else x
    return together


def part_of(x: Tensor, like: Any) -> Tensor:
    """Of a whole tensor the part that this rank holds of ``like``; nothing is sent."""
    if not _in_parts(like):
        return x
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(x.to(like.device), like.device_mesh, like.placements,
                             src_data_rank=None)  # fmt: skip


@torch.no_grad()
def gathered(parts: nn.Module, like: nn.Module) -> nn.Module:
    """A network like ``like`` with the weights of one in parts; all ranks call it together."""
    network = copy.deepcopy(like).requires_grad_(False)
    network.load_state_dict({name: whole(x) for name, x in parts.state_dict().items()})
    return network.train(parts.training)


def _uses(network: nn.Module) -> Counter[Tensor]:
    """How often modules use each weight."""
    return Counter(weight for _, weight in network.named_parameters(remove_duplicate=False))


def _in_parts(x: Any) -> bool:
    """Whether a tensor is a ``DTensor``."""
    return hasattr(x, "device_mesh")
