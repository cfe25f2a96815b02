"""A score made of another one."""

from abc import ABC, abstractmethod
from typing import Any

from wasserscore.data import Scaling
from wasserscore.process.base import Process


class Derived(ABC):
    """Process, shape and scaling are those of the score it is made of."""

    @property
    @abstractmethod
    def origin(self) -> Any:
        """That score."""

    @property
    def process(self) -> Process:
        """The forward process."""
        process: Process = self.origin.process
        return process

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one point."""
        return tuple(self.origin.shape)

    @property
    def scaling(self) -> Scaling | None:
        """How model units came from data units."""
        scaling: Scaling | None = getattr(self.origin, "scaling", None)
        return scaling
