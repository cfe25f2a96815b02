"""Files that are either whole or absent."""

import json
import os
from pathlib import Path
from typing import Any

from wasserscore.core.errors import require
from wasserscore.core.results import plain


def require_folder(path: Path) -> None:
    """Refuse what is no folder to write in and may not become one; asked before any work.

    Raises:
        InputError: If there is a file, at the path or on the way to it, or a folder that is not
            to be written in.
    """
    there = next(place for place in (path, *path.absolute().parents) if os.path.exists(place))
    require(there.is_dir(), f"{path} must be a folder",
            got="a file" if there == path else f"a path through the file {there}",
            do="choose another")  # fmt: skip
    require(os.access(there, os.W_OK | os.X_OK), f"{path} must be a folder to write in",
            got=f"no permission in {there}", do="choose another")  # fmt: skip


def write_atomically(path: Path, content: bytes) -> None:
    """Write through a temporary file beside ``path``, so that a kill never leaves half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Text in UTF-8, written atomically.

    Bytes of a file's name that are no UTF-8, which Python has as lone surrogates, are "?".
    """
    write_atomically(path, text.encode(errors="replace"))


def write_json(path: Path, value: Any) -> None:
    """``value`` as strict JSON (records unfold, NaN becomes null), written atomically.

    What :func:`write_text` cannot write is escaped, so that it is read as it was.
    """
    text = json.dumps(plain(value), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, (text + "\n").encode(errors="backslashreplace"))
