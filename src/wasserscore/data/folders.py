"""Which images a folder holds: all of them, or none where some would be left out in silence."""

from pathlib import Path

from wasserscore.core.errors import require

IMAGES = (".png", ".jpg", ".jpeg")
"""Endings of images in a folder."""
OTHERS = (".avif", ".bmp", ".gif", ".heic", ".jfif", ".jp2", ".tif", ".tiff", ".webp")
"""Endings of images of other kinds, which are not read."""


def image_files(folder: Path) -> list[Path]:
    """PNG and JPEG files in the order of their names, or else those of its folders, in turn.

    Hidden ones, whose name begins with a dot, are left out: systems and notebooks make them.

    Raises:
        InputError: If there are none, or some beside folders of others, of other kinds, or further
            below than folders of others.
    """
    within = _folders(folder)
    here, below = _ending(IMAGES, [folder]), _ending(IMAGES, within)
    others = _ending(OTHERS, [folder, *within])
    require(not others, f"images of {folder.name} must be PNG or JPEG",
            got=_first(folder, others), do="convert or remove them")  # fmt: skip
    require(not (here and below), f"{folder.name} must hold images or folders of them, not both",
            got=_first(folder, here, below), do="move those beside the folders")  # fmt: skip
    lower = [] if here else [inner for place in within for inner in _folders(place)]
    deeper = _ending((*IMAGES, *OTHERS), lower)
    require(not deeper, f"images must lie in {folder.name} or in folders of it",
            got=_first(folder, deeper), do="name the folder that holds theirs, or move them"
    )  # fmt: skip
    files = here or below
    require(bool(files), "the folder must hold PNG or JPEG images, or folders of them",
            got=f"none in {folder.name!r}", do="convert the images to .png")  # fmt: skip
    return files


def _ending(ends: tuple[str, ...], places: list[Path]) -> list[Path]:
    """The files of these kinds in some folders, one after another."""
    return [file for place in places for file in _shown(place) if file.suffix.lower() in ends]


def _folders(place: Path) -> list[Path]:
    return [found for found in _shown(place) if found.is_dir()]


def _shown(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if not file.name.startswith("."))


def _first(folder: Path, *found: list[Path]) -> list[str]:
    """One of each, by its way from the folder."""
    return [str(file.relative_to(folder)) for files in found for file in files[:1]]
