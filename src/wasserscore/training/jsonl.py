"""The logs of a training as JSON lines."""

import json
from pathlib import Path

from wasserscore.core.errors import require
from wasserscore.core.files import write_atomically

MEASURED = {"holdout_loss", "w2"}
"""What is logged now and then, and never left out."""


def due(step: int, every: int, logs: dict[str, float]) -> bool:
    """Whether a step is written of which one in ``every`` is."""
    return step % every == 0 or not MEASURED.isdisjoint(logs)


class JsonLines:
    """A callback that appends a line per step to a file: ``{"step": ..., "loss": ..., ...}``.

    A run that goes on from a checkpoint repeats the steps after it; their old lines are dropped at
    its first line, so that the file is the one of a run without interruption.

    Args:
        path: The file; its folder is made.
        every: Steps between two lines; a step that measured a held-out loss or W2 is always
            written.
    """

    def __init__(self, path: str | Path, every: int = 1) -> None:
        require(every >= 1, "every must be at least 1", got=every)
        self.path, self.every = Path(path), every
        self._begun = False

    def __call__(self, step: int, logs: dict[str, float]) -> None:
        """Write the line of one step."""
        if not self._begun:
            self._drop(step)
        if due(step, self.every, logs):
            with self.path.open("a") as file:
                file.write(json.dumps({"step": step, **logs}) + "\n")

    def _drop(self, step: int) -> None:
        """Forget the lines of this step and later ones, and one that a crash cut short."""
        self._begun = True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = self.path.read_text().splitlines(keepends=True) if self.path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        kept = [line for line in whole if json.loads(line)["step"] < step]
        write_atomically(self.path, "".join(kept).encode())
