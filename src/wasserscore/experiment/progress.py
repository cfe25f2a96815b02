"""How far a stage of a run has come."""

from collections.abc import Callable

Progress = Callable[[str, int, int], object]
"""``progress(stage, done, total)``."""


def silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""
