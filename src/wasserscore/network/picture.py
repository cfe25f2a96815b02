"""What networks of images share: their shape, and what they are told besides the image."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer
from wasserscore.core.typing import Points
from wasserscore.network.told import Listening


class Picture(Listening):
    """A network of images ``(channels, height, width)``, told a noise label and perhaps more."""

    gain = 3**0.5
    shape: tuple[int, int, int]

    def admit(self, shape: tuple[int, ...] | list[int], sizes: Mapping[str, int]) -> list[int]:
        """Note the shape; return the sizes as they came, as Python ints.

        Raises:
            InputError: Names the setting that is no image or no size.
        """
        good = isinstance(shape, Sequence) and len(shape) == 3
        require(good, "shape must be (channels, height, width), positive integers", got=shape)
        channels, height, width = (as_integer(k, "shape", most=2**14) for k in shape)
        self.shape = (channels, height, width)
        return [as_integer(value, name, most=2**16 if name == "width" else 2**8)
                for name, value in sizes.items()]  # fmt: skip

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
        axes, own = ([k for k in shape if k > 1] for shape in (x.shape[1:], self.shape))
        require(x.ndim == 2 or axes == own, f"images must have shape {self.shape}",
                got=tuple(x.shape[1:]), do="put channels first: data.images(points)")  # fmt: skip
        return x.reshape(-1, *self.shape)
