"""What a weighting gives: noise levels to train at and what each counts."""

import math
from typing import Any, NamedTuple, Protocol, runtime_checkable

from wasserscore.core.errors import require
from wasserscore.core.typing import PerPoint
from wasserscore.process.base import Process


class Levels(NamedTuple):
    """Noise-to-signal ratios ``r`` and the weights of their squared denoising errors."""

    r: PerPoint
    weight: PerPoint


@runtime_checkable
class Weighting(Protocol):
    """What :func:`train_score` asks of a weighting."""

    def __call__(self, process: Process, data_std: float, uniform: PerPoint) -> Levels:
        """Noise levels for uniform numbers in [0, 1)."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """As JSON types, so that a resumed run can tell whether it is the same."""
        ...


def largest(process: Process) -> float:
    """The noise-to-signal ratio at the horizon."""
    return math.sqrt(float(process.noise_to_signal(process.horizon)))


def ends(process: Process, data_std: float, smallest: float) -> tuple[float, float]:
    """The noise-to-signal ratios between which a weighting draws: its least one, the horizon's.

    Args:
        process: The forward process.
        data_std: Root mean square of the data's entries.
        smallest: The least one over ``data_std``.

    Raises:
        InputError: If there are none between them, as of data far larger than all noise.
    """
    low, high = smallest * data_std, largest(process)
    require(0 < low < high, "smallest must lie between 0 and the horizon's noise",
            got=f"a ratio of {low:g}, with {high:g} at the horizon",
            do="scale the data to about unit size, or take a process with more noise")  # fmt: skip
    return low, high
