"""Numbers of the next steps drawn while a device works, and its own numbers not waited for."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

THREADS = 4
"""Steps that are drawn at the same time; one core draws more slowly than a GPU uses up."""


class Ahead:
    """``draw(k)`` for rising k, each begun in a thread a few steps before it is asked for.

    What is drawn depends on k alone, so this changes nothing but the time.

    Args:
        draw: Gives what step k needs; called from several threads.
        stop: One past the last step.
        active: Whether to look ahead; else ``draw`` is simply called.
    """

    def __init__(self, draw: Callable[[int], Any], stop: int, *, active: bool) -> None:
        self.draw, self.stop = draw, stop
        self._threads = ThreadPoolExecutor(THREADS) if active else None
        self._begun: dict[int, Future[Any]] = {}

    def __call__(self, k: int) -> Any:
        """What step ``k`` needs."""
        if self._threads is None:
            return self.draw(k)
        for later in range(k, min(k + 1 + THREADS, self.stop)):
            if later not in self._begun:
                self._begun[later] = self._threads.submit(self.draw, later)
        return self._begun.pop(k).result()

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)


def arriving(numbers: Tensor) -> Callable[[], list[float]]:
    """A copy under way to the CPU: calling it waits for these numbers, not for later work.

    Args:
        numbers: ``(k,)``; those of a CPU are there at once.
    """
    if not numbers.is_cuda:
        return numbers.tolist
    here = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
    here.copy_(numbers, non_blocking=True)
    there = torch.cuda.Event()
    there.record()

    def wait() -> list[float]:
        there.synchronize()
        found: list[float] = here.tolist()
        return found

    return wait
