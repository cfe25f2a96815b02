"""The logs of a training as JSON lines."""

import json
import math
from pathlib import Path

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.files import write_atomically

MEASURED = {"holdout_loss", "w2"}
"""What is logged now and then, and never left out."""


def due(step: int, every: int, logs: dict[str, float]) -> bool:
    """Whether a step is written of which one in ``every`` is."""
    return step % every == 0 or not MEASURED.isdisjoint(logs)


class JsonLines:
    """A callback that appends a line per step to a file: ``{"step": ..., "loss": ..., ...}``.

    A run that goes on from a checkpoint repeats the steps after it; their old lines are dropped at
    its first step, so that the file is the one of a run without interruption.

    Args:
        path: The file; its folder is made.
        every: Steps between two lines; a step that measured a held-out loss or W2 is always
            written.
    """

    def __init__(self, path: str | Path, every: int = 1) -> None:
        require(every >= 1, "every must be at least 1", got=every)
        self.path, self.every = Path(path), every
        self._last = math.inf  # the file may hold any steps

    def __call__(self, step: int, logs: dict[str, float]) -> None:
        """Write the line of one step.

        Raises:
            InputError: If the file is there and holds other lines than a training's.
        """
        if step <= self._last:
            self._drop(step)
        self._last = step
        if due(step, self.every, logs):
            with self.path.open("a") as file:
                file.write(json.dumps({"step": step, **logs}) + "\n")

    def _drop(self, step: int) -> None:
        """Forget the lines of this step and later ones, and one that a crash cut short."""
        require(not self.path.is_dir(), f"{self.path} must be a file", got="a folder")
        lines = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
        kept = [line for line in lines if line.endswith(b"\n") and self._step(line) < step]
        write_atomically(self.path, b"".join(kept))

    def _step(self, line: bytes) -> int:
        try:
            return int(json.loads(line)["step"])
        except (ValueError, TypeError, KeyError):
            raise InputError(
                explain(
                    f"{self.path} must hold lines of a training",
                    got=repr(line[:80].strip().decode(errors="replace")),
                    do="name a new file",
                )
            ) from None
