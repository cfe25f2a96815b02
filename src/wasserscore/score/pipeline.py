"""Saved pipelines of diffusers: from a folder to the model and the scheduler that it holds.

Only local folders and safetensors are read, and only classes of the library itself are built:
nothing is unpickled, downloaded or run from the folder.
"""

import json
import math
from pathlib import Path
from typing import Any

import torch

from wasserscore.core.errors import InputError, explain, require

PARTS = {"UNet2DModel": "unet", "DiTTransformer2DModel": "transformer"}
"""Models that are known, and their folders in a pipeline."""
NUMBERS = ("num_train_timesteps", "beta_start", "beta_end", "sigma_max", "sigma_data")
"""Settings of schedulers that must be numbers where they are given."""
WEIGHTS = "diffusion_pytorch_model.safetensors"
SCHEDULER = "scheduler_config.json"


def read_pipeline(folder: Path) -> tuple[Any, Any]:
    """Model and scheduler of a pipeline's folder.

    Raises:
        InputError: Names the file, and the setting or the weights in it that cannot be used.
    """
    library = diffusers_library()
    index = _json(folder / "model_index.json")
    known = [(part, kind) for kind, part in PARTS.items() if kind in _entry(index, part)]
    require(len(known) == 1, f"{folder} must hold one model that is known",
            got=[name for part in index for name in _entry(index, part)[1:]],
            do=f"known are {', '.join(PARTS)}")  # fmt: skip
    part, kind = known[0]
    _require_safe(folder / part)
    try:
        with torch.random.fork_rng(devices=[]):
            model, told = getattr(library, kind).from_pretrained(
                folder / part, use_safetensors=True, local_files_only=True,
                output_loading_info=True,
            )  # fmt: skip
    except Exception as error:  # settings that make no model fail anywhere in the library
        raise _unreadable(folder / part, error) from None
    missing = told["missing_keys"]
    require(not missing, f"{folder / part / WEIGHTS} must hold all weights of the model",
            got=f"{len(missing)} missing, such as {missing[:1]}")  # fmt: skip
    return model, _scheduler(folder / "scheduler" / SCHEDULER)


def _require_safe(folder: Path) -> None:
    """Weights are one file of safetensors, or several that an index names.

    The library would unpickle a part of another ending, whatever it was told of safetensors.
    """
    parts = folder / f"{WEIGHTS}.index.json"  # read first where there are both
    if not parts.is_file():
        require((folder / WEIGHTS).is_file(), f"{folder} must hold {WEIGHTS}",
                got="none, and no index of parts",
                do="save it with safe_serialization=True, without a variant")  # fmt: skip
        return
    named = _json(parts).get("weight_map")
    require(isinstance(named, dict), f"{parts} must name the part of every weight", got=named)
    strange = [
        name
        for name in dict(named or {}).values()
        if Path(str(name)).name != name or Path(name).suffix != Path(WEIGHTS).suffix
    ]
    require(not strange, f"{parts} must name files of safetensors beside it", got=strange[:1])


def _scheduler(path: Path) -> Any:
    """The scheduler of a file of settings."""
    library, settings = diffusers_library(), _json(path)
    name = str(settings.get("_class_name"))
    require(name.endswith("Scheduler") and hasattr(library, name),
            "the scheduler must be one of diffusers", got=repr(name))  # fmt: skip
    for key in NUMBERS:
        value = settings.get(key, 1)
        good = isinstance(value, int | float) and 0 <= value < math.inf
        require(good, f"{key} of the scheduler must be a number, not negative", got=repr(value))
    try:
        return getattr(library, name).from_config(settings)
    except Exception as error:  # as above
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> InputError:
    """What to raise where the library failed, with its reason in one line."""
    reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return InputError(explain(f"{path} cannot be read", got=reason))


def _entry(index: dict[str, Any], part: str) -> list[Any]:
    """Library and class of a part, as the index says; none where it says something else."""
    found = index.get(part)
    return found if isinstance(found, list) else []


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(explain(f"{path} must be a JSON file of a saved pipeline",
                                 got=repr(error)[:200])) from None  # fmt: skip
    require(isinstance(found, dict), f"{path} must hold an object", got=type(found).__name__)
    return dict(found)


def diffusers_library() -> Any:
    """The library.

    Raises:
        InputError: If it is not installed.
    """
    try:
        import diffusers
    except ImportError:
        raise InputError(explain("models of diffusers need the library", got="none installed",
                                 do="pip install 'wasserscore[diffusers]'")) from None  # fmt: skip
    return diffusers
