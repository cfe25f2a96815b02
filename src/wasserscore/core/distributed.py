"""Several processes that share one job, as ``torchrun`` starts them; alone, nothing happens.

All ranks run the same program and make the same calls in the same order: what a call shares is
decided inside it, and every rank has the whole result. A rank that wants to do something by
itself says so with :func:`alone`. Messages are tensors; nothing is pickled.
"""

import atexit
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any

import safetensors.torch
import torch
import torch.distributed as dist
from torch import Tensor

from wasserscore.core.errors import InputError

LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What ``torchrun``, or ``accelerate launch`` on GPUs, tells a process."""
PATIENCE = timedelta(days=1)
"""How long a rank waits for another, which may be busy; one that has died is noticed at once."""
_ALONE = [False]


def join() -> None:
    """Meet the other processes of a launch, once; whatever shares something first does it.

    Takes the process group that is there, or makes one: gloo on the CPU, NCCL on GPUs (each rank
    on a GPU of its own). Without a launch, or for a single process, nothing happens.
    """
    launched = all(name in os.environ for name in LAUNCHED)
    if not launched or os.environ["WORLD_SIZE"] == "1" or _joined():
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    atexit.register(lambda: dist.destroy_process_group() if _joined() else None)


def world() -> int:
    """How many processes share the work."""
    join()
    return dist.get_world_size() if _joined() and not _ALONE[0] else 1


def rank() -> int:
    """The number of this process, from 0; rank 0 writes and prints."""
    return dist.get_rank() if world() > 1 else 0


@contextmanager
def alone() -> Iterator[None]:
    """Inside the block this process shares nothing: it is rank 0 of one."""
    before, _ALONE[0] = _ALONE[0], True
    try:
        yield
    finally:
        _ALONE[0] = before


def total(x: Tensor) -> Tensor:
    """The sum of all ranks' ``x``, the same bits on each."""
    return _reduced(x, dist.ReduceOp.SUM)


def largest(x: Tensor) -> Tensor:
    """The largest of all ranks' ``x``, entry by entry."""
    return _reduced(x, dist.ReduceOp.MAX)


def publish(tensors: Mapping[str, Tensor], source: int = 0) -> dict[str, Tensor]:
    """One rank's tensors on all ranks, on the CPU; what the others pass is not looked at."""
    if world() == 1:
        return dict(tensors)
    data, size = torch.empty(0, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64)
    if rank() == source:
        whole = {name: x.detach().cpu().contiguous().clone() for name, x in tensors.items()}
        data = torch.frombuffer(bytearray(safetensors.torch.save(whole)), dtype=torch.uint8)
        size.fill_(len(data))
    dist.broadcast(size, source, group=_gloo())
    data = data if rank() == source else torch.empty(int(size), dtype=torch.uint8)
    dist.broadcast(data, source, group=_gloo())
    found = safetensors.torch.load(data.numpy().tobytes())
    return {name: x.clone() for name, x in found.items()}  # where rounding expects numbers to lie


def of_first(numbers: Mapping[str, float]) -> dict[str, float]:
    """The first rank's numbers on all ranks, each of which has its own."""
    told = publish({name: torch.as_tensor(x, dtype=torch.float64) for name, x in numbers.items()})
    return dict(numbers) if rank() == 0 else {name: float(x) for name, x in told.items()}


def shared(jobs: Sequence[Callable[[], Tensor]]) -> list[Tensor]:
    """The results of independent jobs, each done by one rank, on all ranks.

    Job i is done by rank i modulo their number, :func:`alone`. A result comes on the CPU, except
    on the rank that made it.

    Raises:
        InputError: Where a job raised it, on all ranks.
        RuntimeError: On the other ranks, where a job raised anything else.
    """
    if world() == 1:
        return [job().contiguous() for job in jobs]  # as messages are: sums round by layout
    mine: dict[int, Tensor | Exception] = {}
    for i in range(rank(), len(jobs), world()):
        try:
            with alone():
                mine[i] = jobs[i]().contiguous()
        except Exception as error:
            mine[i] = error
    return [_told(mine.get(i), i % world()) for i in range(len(jobs))]


def on_first(action: Callable[[], object]) -> None:
    """Once all have come here, rank 0 acts; the others wait until it has, and fail if it fails.

    Raises:
        InputError: Where the action raised it, on all ranks.
        RuntimeError: On the other ranks, where the action raised anything else.
    """

    def act() -> Tensor:
        action()
        return torch.empty(0)

    largest(torch.zeros(()))  # nobody still reads what the action changes
    shared([act])


def _told(own: Tensor | Exception | None, source: int) -> Tensor:
    """What the source has made, or why it has not."""
    message: dict[str, Tensor] = {}
    if isinstance(own, Exception):
        kind = "input" if isinstance(own, InputError) else "error"
        text = f"{own}" if kind == "input" else f"{type(own).__name__}: {own}"
        message[kind] = torch.frombuffer(
            bytearray(text.encode(errors="replace") or b"-"), dtype=torch.uint8
        )
    elif own is not None:
        message["result"] = own
    found = publish(message, source)
    if isinstance(own, Exception):
        raise own
    if "result" not in found:
        kind, text = next((name, x.numpy().tobytes().decode()) for name, x in found.items())
        raise InputError(text) if kind == "input" else RuntimeError(f"rank {source}: {text}")
    return found["result"] if own is None else own


def _reduced(x: Tensor, how: Any) -> Tensor:
    if world() == 1:
        return x
    out = x.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(out, how, group=None if out.is_cuda else _gloo())
    return out


@cache
def _gloo() -> Any:
    """A group for what lies on the CPU, whatever the default group is for.

    It is let go before the interpreter ends: a thread of it that still holds a tensor by then
    aborts the process ("terminate called without an active exception").
    """
    atexit.register(_gloo.cache_clear)
    return dist.new_group(backend="gloo", timeout=PATIENCE)


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()
