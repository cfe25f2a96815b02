"""The logs of a training for TensorBoard."""

import math
from pathlib import Path
from typing import Any

from wasserscore.core.errors import InputError, explain, require
from wasserscore.training.jsonl import due


class TensorBoard:
    """A callback that writes every number of the logs as a scalar (``wasserscore[tensorboard]``).

    A run that goes on from a checkpoint repeats the steps after it; what was written of them is
    dropped at its first step.

    Args:
        folder: For ``tensorboard --logdir``; it is made.
        every: Steps between two points of a curve; a step that measured a held-out loss or W2
            always has one.
    """

    def __init__(self, folder: str | Path, every: int = 1) -> None:
        require(every >= 1, "every must be at least 1", got=every)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            what, do = "TensorBoard needs its library", "pip install 'wasserscore[tensorboard]'"
            raise InputError(explain(what, got="none installed", do=do)) from None
        self.folder, self.every, self._make = Path(folder), every, SummaryWriter
        self._writer: Any = None
        self._last = math.inf  # the folder may hold any steps

    def __call__(self, step: int, logs: dict[str, float]) -> None:
        """Write the numbers of one step."""
        if step <= self._last:
            if self._writer is not None:
                self._writer.close()
            self._writer = self._make(str(self.folder), purge_step=step)
        self._last = step
        if due(step, self.every, logs):
            for name, value in logs.items():
                self._writer.add_scalar(name.replace(" ", "_"), value, step)
            self._writer.flush()
