"""Saving and loading models: safetensors for the numbers, JSON for everything else."""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.files import require_folder
from wasserscore.score.base import ClosedFormScore
from wasserscore.score.network import NetworkScore
from wasserscore.score.pushforward import Pushforward
from wasserscore.score.vault import read_pair, write_pair

NAME = "model.safetensors"


@runtime_checkable
class Storable(Protocol):
    """What a model offers in order to be saved."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors, and everything else as JSON types."""
        ...

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor], config: dict[str, Any]) -> "Storable":
        """The model whose ``state`` this is."""
        ...


def classes() -> dict[str, type[Storable]]:
    """Every class that :func:`load` rebuilds, by name: networks, generators, all closed forms."""
    import wasserscore.score as room

    known: dict[str, type[Storable]] = {
        "NetworkScore": NetworkScore,
        "Pushforward": Pushforward,
    }
    for name, member in vars(room).items():
        if isinstance(member, type) and issubclass(member, ClosedFormScore):
            known[name] = member
    return known


def save(model: Any, path: str | Path) -> Path:
    """Write a model to disk, atomically; returns the path of its tensors.

    Args:
        model: Any score or generator of ours.
        path: A folder (gets ``model.safetensors`` and ``model.json``), or a file name that ends
            in ``.safetensors`` (its sidecar gets the same name with ``.json``).

    Raises:
        InputError: For an object that is not one of our models, or holds something that cannot
            be saved (a process made of Python functions, an unregistered network), or a folder
            that is a file.
        OSError: If the disk is full or read-only; an earlier model there is untouched.
    """
    name = type(model).__name__
    require(classes().get(name) is type(model), f"save takes one of {sorted(classes())}", got=name)
    tensors, config = model.state()
    target = _tensors_path(Path(path))
    require_folder(target.parent)
    require(not target.is_dir(), f"{target} must be a file", got="a folder", do="choose another")
    write_pair(target, tensors, {"class": name, "config": config})
    return target


def load(path: str | Path, *, model: str | None = None) -> Any:
    """The model that :func:`save` wrote, or one model of a finished run.

    Args:
        path: What ``save`` was given, or a run folder (it has ``models/NAME/``).
        model: Which model of the run; may be left out when there is one.

    Raises:
        InputError: One sentence: what is missing, altered, foreign or does not fit.
    """
    target = _tensors_path(_in_run(Path(path), model))
    tensors, document = read_pair(target)
    name, config = document.pop("class", None), document.pop("config", None)
    require(
        not document,
        f"{target.with_suffix('.json')} has fields we do not know",
        got=repr(sorted(document))[:200],
    )
    known = classes()
    require(
        isinstance(name, str) and name in known,
        f"the class of a saved model must be one of {sorted(known)}",
        got=repr(name)[:80],
    )
    require(
        isinstance(config, dict),
        "the config of a saved model must be an object",
        got=type(config).__name__,
    )
    try:
        return known[str(name)].from_state(tensors, config)
    except InputError as error:
        raise InputError(f"{target}: {error}") from None
    except (
        KeyError,
        TypeError,
        ValueError,
        RuntimeError,
        IndexError,
        AttributeError,
        OverflowError,
    ) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(explain(f"{target} does not describe a {name}", got=reason)) from None


def _tensors_path(path: Path) -> Path:
    return path if path.suffix == ".safetensors" else path / NAME


def _in_run(path: Path, model: str | None) -> Path:
    """The folder of one model inside a run folder; other paths as they are."""
    folder = path / "models"
    if not folder.is_dir():
        require(
            model is None,
            f"{path} is not a run folder, so it has no models to choose from",
            got=repr(model),
        )
        return path
    names = sorted(p.name for p in folder.iterdir() if (p / NAME).is_file())
    chosen = names[0] if model is None and len(names) == 1 else model
    require(
        chosen in names,
        f"the run {path} has the models {names}",
        got=repr(model),
        do="name one with model=",
    )
    return folder / str(chosen)
