"""Checkpoints: whole or absent, checked when read, tied to the configuration that made them."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from wasserscore.core.claim import Claim
from wasserscore.core.distributed import on_first
from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.integers import as_integer
from wasserscore.score.vault import read_pair, sync_folder, write_pair

FILE = "state.safetensors"
UNFINISHED = ".unfinished"


@runtime_checkable
class Stateful(Protocol):
    """What a checkpoint saves and restores."""

    def state(self) -> dict[str, Tensor]:
        """Everything the next step needs."""
        ...

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Continue from a state."""
        ...


@dataclass(frozen=True)
class Checkpoints:
    """Checkpoints of one run: folders ``step-00000500`` that appear by one rename.

    A folder is written under another name, put on the disk (fsync), then renamed; a process
    killed at any moment leaves only whole checkpoints. The last ``keep`` stay, so that one which
    a failing disk has damaged does not end the run.

    Args:
        folder: Where they live.
        config: What must be the same when the run is continued, as JSON types.
        every: Steps between two checkpoints.
        keep: How many stay.
    """

    folder: Path
    config: dict[str, Any]
    every: int = 500
    keep: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "every", as_integer(self.every, "checkpoint_every"))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside the block no other process gets the folder; all ranks enter it together.

        Raises:
            InputError: If another process has it.
        """
        with ExitStack() as held:
            on_first(lambda: held.enter_context(Claim(self.folder)))
            yield

    def steps(self) -> list[int]:
        """The steps of the checkpoints on disk, oldest first."""
        return sorted(
            int(p.name.removeprefix("step-")) for p in self.folder.glob("step-" + "[0-9]" * 8)
        )

    def write(self, state: dict[str, Tensor], step: int) -> None:
        """Put a task's state on disk, in the place of a damaged checkpoint of this step.

        Raises:
            OSError: If the disk is full or read-only; earlier checkpoints are untouched.
        """
        final = self._path(step)
        unfinished = self.folder / UNFINISHED
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            write_pair(unfinished / FILE, state, {"step": step, "config": self.config})
            shutil.rmtree(final, ignore_errors=True)
            unfinished.rename(final)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        sync_folder(self.folder)
        for old in self.steps()[: -self.keep]:
            shutil.rmtree(self._path(old), ignore_errors=True)

    def read(self, step: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The state and the sidecar of a checkpoint on disk.

        Raises:
            InputError: If it cannot be read, or is of another step than its folder's name says.
        """
        tensors, document = read_pair(self._path(step) / FILE)
        require(document.get("step") == step, f"{self._path(step)} must be of step {step}",
                got=document.get("step"), do="give it back its name")  # fmt: skip
        return tensors, document

    def restore(self, task: Stateful) -> tuple[int, dict[str, Tensor]]:
        """Load the newest readable checkpoint into the task.

        Returns:
            Its step and its tensors; 0 and none without one.

        Raises:
            InputError: If it belongs to a different configuration (names the difference), or if
                there are checkpoints and none can be read.
        """
        for step, tensors, document in self.readable():
            self._require_same(document.get("config"))
            try:
                task.load_state(tensors)
            except (KeyError, RuntimeError) as error:
                reason = " ".join(str(error).split())[:200]
                raise InputError(
                    explain(f"the checkpoint {self._path(step)} does not fit", got=reason)
                ) from None
            return step, tensors
        return 0, {}

    def readable(self) -> Iterator[tuple[int, dict[str, Tensor], dict[str, Any]]]:
        """Step, state and sidecar of the checkpoints that can be read, newest first.

        Raises:
            InputError: If there are checkpoints and none can be read.
        """
        trouble: list[InputError] = []
        steps = self.steps()
        for step in reversed(steps):
            try:
                tensors, document = self.read(step)
            except InputError as error:
                trouble.append(error)
                continue
            yield step, tensors, document
        if trouble and len(trouble) == len(steps):
            reason = str(trouble[0]).partition(";")[0]
            raise InputError(explain(f"a checkpoint in {self.folder} must be readable",
                                     got=f"none: {reason}",
                                     do="delete that folder to begin again"))  # fmt: skip

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def _require_same(self, found: Any) -> None:
        found = found if isinstance(found, dict) else {}
        names = sorted(found.keys() | self.config.keys())
        differences = [
            f"{name} was {found.get(name)!r} and is now {self.config.get(name)!r}"
            for name in names
            if found.get(name) != self.config.get(name)
        ]
        require(
            not differences,
            f"the checkpoints in {self.folder} are of a different run",
            got="; ".join(differences),
            do="use another out, or delete that folder",
        )
