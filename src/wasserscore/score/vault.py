"""Tensors and a JSON sidecar on disk: written atomically, read with suspicion.

Nothing here runs code from a file. A reader gets what was written, or one sentence: sizes are
bounded before anything is parsed, the tensors must have the SHA-256 that the sidecar states, and
every number must be finite. The sidecar holds no path, so no file can point outside its folder.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NoReturn

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.files import write_atomically
from wasserscore.core.tensors import not_finite

SCHEMA_VERSION = 1
LARGEST_SIDECAR = 2**26
LARGEST_HEADER = 2**22
"""Bytes of a safetensors header; a network of ten thousand tensors needs a quarter of it."""


def write_pair(tensors_path: Path, tensors: dict[str, Tensor], document: dict[str, Any]) -> None:
    """Write the tensors, then the sidecar beside them, each atomically and onto the disk.

    A crash between the two leaves a pair whose checksum disagrees, which :func:`read_pair` says.

    Raises:
        OSError: If the disk is full or read-only; the files there before are untouched.
    """
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    data = safetensors.torch.save(whole)
    document = {
        "schema_version": SCHEMA_VERSION,
        **document,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    text = json.dumps(document, indent=1, allow_nan=False)
    write_atomically(tensors_path, data)
    write_atomically(sidecar(tensors_path), text.encode())
    sync_folder(tensors_path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sidecar(tensors_path: Path) -> Path:
    """``model.safetensors`` -> ``model.json``."""
    return tensors_path.with_suffix(".json")


def read_pair(tensors_path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the sidecar that :func:`write_pair` wrote.

    Raises:
        InputError: Says which file is missing, foreign, altered, half written or not finite.
    """
    document = _read_document(sidecar(tensors_path))
    data = _read_bytes(tensors_path)
    if hashlib.sha256(data).hexdigest() != document.pop("sha256", None):
        _refuse(tensors_path, "does not match the sha256 in its sidecar (altered or half written)")
    return _tensors(tensors_path, data), document


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, anybody's.

    Raises:
        InputError: If it is missing, no such file, or not finite.
    """
    return _tensors(path, _read_bytes(path))


def _tensors(path: Path, data: bytes) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load(data)
    except (SafetensorError, KeyError, ValueError, RuntimeError, OverflowError) as error:
        _refuse(path, f"is not a valid safetensors file ({error})")
    if broken := not_finite(tensors):
        _refuse(path, f"holds numbers that are not finite, in {broken[0][:80]!r}")
    return tensors


def _read_document(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(
            explain(
                "a saved model is a .safetensors file with a .json beside it", got=f"no {path}"
            )
        )
    if path.stat().st_size > LARGEST_SIDECAR:
        _refuse(path, "is too large for a sidecar")
    try:
        document = json.loads(path.read_bytes(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        _refuse(path, f"is not JSON ({error})")
    if not isinstance(document, dict):
        _refuse(path, "is not a JSON object")
    version = document.pop("schema_version", None)
    require(
        version == SCHEMA_VERSION,
        f"{path} must have schema_version {SCHEMA_VERSION}",
        got=repr(version)[:80],
        do="load it with the version of wasserscore that wrote it",
    )
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"the number {name} is not JSON")


def _read_bytes(path: Path) -> bytes:
    if not path.is_file():
        raise InputError(
            explain(
                "a saved model is a .safetensors file with a .json beside it", got=f"no {path}"
            )
        )
    with path.open("rb") as file:
        start = file.read(8)
        header = int.from_bytes(start, "little")
        if len(start) < 8 or header > path.stat().st_size - 8:
            # A header of 128 or 640 bytes also starts like a pickle, but it fits the file.
            if start[:1] == b"\x80" or start[:2] == b"PK":
                _refuse(
                    path, "is not a safetensors file (it looks like a pickle, which may run code)"
                )
            _refuse(path, "is not a safetensors file, or is truncated")
        if header > LARGEST_HEADER:
            _refuse(
                path, f"has a header of {header} bytes, more than the {LARGEST_HEADER} we accept"
            )
        return start + file.read()


def _refuse(path: Path, why: str) -> NoReturn:
    line = " ".join(f"{path} {why}".split())
    raise InputError(f"{line[:400]}; save it again, with ws.save or safetensors.torch.save_file")
