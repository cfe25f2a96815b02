"""Drawing the next step's numbers on the CPU while another device works on this one."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any


class Ahead:
    """``draw(k)`` for rising k, each begun in a thread when the one before it was asked for.

    What is drawn depends on k alone, so this changes nothing but the time.

    Args:
        draw: Gives what step k needs.
        active: Whether to look ahead; else ``draw`` is simply called.
        stop: One past the last step.
    """

    def __init__(self, draw: Callable[[int], Any], stop: int, *, active: bool) -> None:
        self.draw, self.stop = draw, stop
        self._thread = ThreadPoolExecutor(1) if active else None
        self._next: tuple[int, Future[Any]] | None = None

    def __call__(self, k: int) -> Any:
        """What step ``k`` needs."""
        if self._thread is None:
            return self.draw(k)
        begun = self._next
        found = begun[1].result() if begun is not None and begun[0] == k else self.draw(k)
        self._next = (k + 1, self._thread.submit(self.draw, k + 1)) if k + 1 < self.stop else None
        return found

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
