"""The run folder: stages that are done stay done, and no file is ever half there."""

import hashlib
import io
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wasserscore.core.claim import LOCK, Claim
from wasserscore.core.distributed import on_first, publish, rank
from wasserscore.core.errors import InputError, explain
from wasserscore.core.files import require_folder, write_atomically, write_json
from wasserscore.experiment.config import differences

SCHEMA_VERSION = 1
CONFIG, RESULTS, LAYOUT, SPLIT = "config.json", "results.json", "data.json", "split.json"
STAGES, CHECKPOINTS, SAMPLES, MODELS = "stages", "checkpoints", "samples", "models"
RUN, COMPARISON = "run", "comparison"
"""What a folder may be; a run's description does not say so."""
TABLES = tuple(f"compare.{end}" for end in ("json", "csv", "tex", "png", "svg"))


def is_run(path: str | Path) -> bool:
    """Whether a folder is one that :meth:`RunFolder.create` made."""
    return (Path(path) / CONFIG).is_file()


class RunFolder:
    """One run on disk, bound to one configuration and one data set.

    ``config.json`` is written first; a folder without it is not a run, and one in which nothing is
    done yet, since the first stage failed, is as good as empty. Every stage leaves its result
    under ``stages/`` when it is complete, so the same command continues an interrupted run;
    ``results.json`` marks a finished one. Whoever makes or continues a run has its folder until
    the run is finished, or the object or the process ends; anybody may read it meanwhile.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds: dict[str, float] = {}
        self._claim: Claim | None = None

    @classmethod
    def create(
        cls, path: str | Path, description: dict[str, Any], *, force: bool = False
    ) -> "RunFolder":
        """Start a run in a new or empty folder, or continue one with the same description.

        Args:
            path: Where.
            description: What decides the run's numbers, as JSON types.
            force: Throw away a run that is there, finished or different.

        Raises:
            InputError: The folder holds a finished run, a different one (the differences are
                listed), a comparison where a run should go (or the reverse, whatever ``force``
                says), or something else, or another process is at work in it. Nothing is changed
                then.
        """
        folder = cls(Path(path))
        on_first(lambda: folder._begin(description, force))
        return folder

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """A folder that :meth:`create` made.

        Raises:
            InputError: If it is no run folder.
        """
        folder = cls(Path(path))
        if folder._description() is None:
            raise InputError(explain("this must be a run folder", got=repr(str(path)),
                                     do="make one: wasserscore run digits --out DIR"))  # fmt: skip
        return folder

    @property
    def finished(self) -> bool:
        """Whether the whole journey is done."""
        return (self.path / RESULTS).is_file()

    @property
    def description(self) -> dict[str, Any]:
        """What the run was started with."""
        return self._description() or {}

    def read(self, name: str) -> Any:
        """A JSON file of the folder.

        Raises:
            InputError: If it is missing or damaged.
        """
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise _damaged(f"{self.path / name}", error) from None

    def stage(
        self, name: str, compute: Callable[[], Any], *, together: bool = False, makes: str = ""
    ) -> Any:
        """The result of a stage: from disk if it is complete, else computed and kept.

        Args:
            name: Name of the stage, a file name.
            compute: Gives JSON types or records; runs only when the stage is not there, or files
                of it are missing or other ones.
            together: Whether all ranks compute, to share the work; else the first one does.
            makes: The file or folder of the run that it writes besides.
        """

        def keep() -> None:
            began = time.perf_counter()
            value = compute()
            found = {"seconds": time.perf_counter() - began, "value": value}
            on_first(lambda: write_json(self.path / STAGES / f"{name}.json",
                                        found | {"made": self._made(makes)}))  # fmt: skip

        # one rank says what is there: another may look when it has just been written
        if not together:
            on_first(lambda: None if self._complete(name) else keep())
        elif not publish({"there": torch.tensor(rank() == 0 and self._complete(name))})["there"]:
            keep()
        kept = self.read(f"{STAGES}/{name}.json")
        self.seconds[name] = kept["seconds"]
        return kept["value"]

    def _complete(self, name: str) -> bool:
        """Whether a stage is there, and the files that it made as they were."""
        try:
            kept = self.read(f"{STAGES}/{name}.json")
        except InputError:
            return False
        whole = isinstance(kept, dict) and kept.keys() >= {"seconds", "value"}
        made = kept.get("made", {}) if whole else {}  # none said: begun by an earlier version
        return whole and all(self._made(file) == {file: was} for file, was in made.items())

    def _made(self, place: str) -> dict[str, str]:
        """The files in a place of the run, each with a digest of its contents."""
        at = self.path / place
        files = [at] if at.is_file() else sorted(at.rglob("*")) if place else []
        return {str(file.relative_to(self.path)): _digest(file)
                for file in files if file.is_file()}  # fmt: skip

    def samples(self, name: str) -> Tensor:
        """The samples of a model, ``(n, d)``, data units."""
        try:
            array = np.load(self.path / SAMPLES / f"{name}.npy", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise _damaged(f"the samples of {name}", error) from None
        return torch.from_numpy(array)

    def finish(self, results: dict[str, Any]) -> None:
        """Write ``results.json`` and drop what only a continuation needed."""

        def write() -> None:
            write_json(self.path / RESULTS, results)
            for name in (STAGES, CHECKPOINTS):
                shutil.rmtree(self.path / name, ignore_errors=True)
            if self._claim is not None:
                self._claim.release()

        on_first(write)

    def _begin(self, description: dict[str, Any], force: bool) -> None:
        self._check(description, force)  # a folder that is refused is not touched, not by a lock
        self._claim = Claim(self.path)
        self._check(description, force)  # what others did in between
        if self._description() is None or force or not self._begun:
            # What lies beside a run in its folder is the user's and stays.
            self._clear()
            write_json(self.path / CONFIG, description)

    def _check(self, description: dict[str, Any], force: bool) -> None:
        path, there = self.path, self._description()
        if there is None:
            self._require_free()
            return
        kind = description.get("kind", RUN)
        if there.get("kind", RUN) != kind:
            raise InputError(explain(f"{path} must hold a {kind} or nothing",
                                     got=f"a {there.get('kind', RUN)}",
                                     do="choose another --out"))  # fmt: skip
        different = differences(there, json.loads(json.dumps(description)))
        if different and self._begun and not force:
            raise InputError(explain(
                f"{path} holds a run with another configuration", got="; ".join(different),
                do="choose another --out, or --force to start it afresh"))  # fmt: skip
        if self.finished and not force:
            raise InputError(explain(
                f"{path} holds a run with this configuration", got="a finished one",
                do=f"open {path / 'report.html'}, or --force to run it again"))  # fmt: skip

    @property
    def _begun(self) -> bool:
        """Whether anything is there that another run would lose."""
        folders = (self.path / name for name in (STAGES, CHECKPOINTS, SAMPLES, MODELS))
        return self.finished or any(p.is_file() for folder in folders for p in folder.rglob("*"))

    def _description(self) -> dict[str, Any] | None:
        if not (self.path / CONFIG).is_file():
            return None
        found = self.read(CONFIG)
        return found if isinstance(found, dict) else {}

    def _require_free(self) -> None:
        if self.path.is_dir() and any(p.name != LOCK for p in self.path.iterdir()):
            what = f"{self.path} must be new, empty or a run folder"
            raise InputError(explain(what, got="other files in it", do="choose another --out"))
        require_folder(self.path)

    def _clear(self) -> None:
        """Remove what a run writes, and nothing else; the marker goes last."""
        for name in (STAGES, CHECKPOINTS, SAMPLES, MODELS, "figures"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in (RESULTS, LAYOUT, SPLIT, "report.html", *TABLES, CONFIG):
            (self.path / name).unlink(missing_ok=True)


def _digest(file: Path) -> str:
    with file.open("rb") as read:
        return hashlib.file_digest(read, "sha256").hexdigest()


def _damaged(what: str, error: Exception) -> InputError:
    return InputError(explain(f"{what} cannot be read", got=str(error)[:200],
                              do="run it again with --force"))  # fmt: skip


def save_array(path: Path, points: Tensor) -> None:
    """``points`` as a ``.npy`` file, whole or absent."""
    buffer = io.BytesIO()
    np.save(buffer, points.numpy(), allow_pickle=False)
    write_atomically(path, buffer.getvalue())
