"""Interruptions that wait for the step in progress."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

import torch

from wasserscore.core.distributed import largest

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Inside the block, Ctrl-C and SIGTERM are noted instead of obeyed; after it, obeyed.

    An interruption in the middle of an update would leave half-updated weights. ``agreed``
    asks the loop to stop between two steps; on the way out the signal is raised again, with the
    handlers that were there before. A second signal is obeyed at once, and one that was ignored
    before (a background job's Ctrl-C) stays ignored.

    Args:
        active: Whether to catch anything. Threads other than the main one never receive signals.
    """

    def __init__(self, *, active: bool) -> None:
        self.received: int | None = None
        self.agreed = False
        self._active = active and threading.current_thread() is threading.main_thread()
        self._before: dict[signal.Signals, Any] = {}

    def agree(self, own: int | None = None) -> None:
        """Whether to stop, for all ranks alike: ``agreed`` once one of them has a signal.

        Args:
            own: A signal that this rank would pass on, though nobody sent it.
        """
        heard = int(largest(torch.tensor(self.received or own or 0)))
        if heard:  # one that comes in this moment is for the next time
            self.received, self.agreed = heard, True

    def __enter__(self) -> "StopSignals":
        if self._active:
            heard = [n for n in SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._note) for number in heard}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()
        if self.received is not None and kind is None:
            signal.raise_signal(self.received)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._before = {}
