"""A folder is for one process at a time."""

import weakref
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from wasserscore.core.errors import InputError, explain
from wasserscore.core.files import require_folder

LOCK = ".lock"
"""In the folder while somebody works in it, and after a kill, when it stops nobody."""


class Claim:
    """The right to write in a folder, which one process has at a time.

    Held until it is released, until nobody refers to it, or until the process ends, in whatever
    way: the lock is the operating system's, and ends with its process. Claims of one process on
    one folder do not exclude each other. Of several ranks only the first one claims.

    Args:
        folder: Made if need be.

    Raises:
        InputError: If another process has it, or it is a file.
    """

    def __init__(self, folder: Path) -> None:
        require_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, is_singleton=True, thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise InputError(explain(
                f"{folder} must be free of other processes", got="one that is at work in it",
                do="wait until it ends, stop it, or choose another folder")) from None  # fmt: skip
        self.release = weakref.finalize(self, _release, lock)

    def __enter__(self) -> "Claim":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _release(lock: FileLock) -> None:
    """The last claim of this process takes the file away, while nobody else can have it."""
    if lock.lock_counter == 1:
        with suppress(OSError):
            Path(lock.lock_file).unlink()
    lock.release()
