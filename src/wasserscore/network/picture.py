"""What networks of images share: their shape, and what they are told besides the image."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer, as_shape
from wasserscore.core.tensors import same_axes
from wasserscore.core.typing import Points
from wasserscore.network.told import Listening


class Picture(Listening):
    """A network of images ``(channels, height, width)``, told a noise label and perhaps more."""

    gain = 3**0.5
    shape: tuple[int, int, int]

    def admit(self, shape: Any, settings: Mapping[str, int]) -> list[int]:
        """Note the shape; return the settings as they came, as Python ints.

        Raises:
            InputError: Names what is no shape of an image, or no size.
        """
        sizes = as_shape(shape) if isinstance(shape, Iterable) else ()
        require(len(sizes) == 3, "shape must be (channels, height, width), positive integers",
                got=shape)  # fmt: skip
        channels, height, width = (as_integer(k, "shape", most=2**14) for k in sizes)
        self.shape = (channels, height, width)
        return [as_integer(value, name, most=2**16 if name == "width" else 2**8)
                for name, value in settings.items()]  # fmt: skip

    @property
    def dim(self) -> int:
        """Number of coordinates of an image."""
        channels, height, width = self.shape
        return channels * height * width

    def images(self, x: Points) -> Tensor:
        """Points, flat or without axes of length one, too, as ``(b, channels, height, width)``.

        Raises:
            InputError: If they have another number of entries, or their axes in another order.
        """
        good = x.shape[1:].numel() == self.dim
        require(good, f"points must have {self.dim} entries each", got=f"shape {tuple(x.shape)}")
        require(x.ndim == 2 or same_axes(x.shape[1:], self.shape),
                f"images must have shape {self.shape}",
                got=tuple(x.shape[1:]), do="put channels first: data.images(points)")  # fmt: skip
        return x.reshape(-1, *self.shape)
