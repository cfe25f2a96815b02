"""What networks of images share: their shape, and what they are told besides the image."""

from collections.abc import Mapping

import torch
from jaxtyping import Int
from torch import Tensor, nn

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer
from wasserscore.core.typing import PerPoint, Points
from wasserscore.network.conditioned import Fourier, Seeded

Labels = Int[Tensor, " b"]
"""A class per point, 0 to ``classes - 1``; ``classes`` itself says that the class is not told."""


class Told(nn.Module):
    r"""Noise level and class as features: :math:`\mathrm{silu}(W(e(c) + E_y))`.

    The table E has one row per class and one for "not told", all zero at first: an untrained
    network does not know classes apart.
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.level = Fourier(features)
        self.table = nn.Embedding(classes + 1, features) if classes else None
        self.linear = nn.Linear(features, features)

    def forward(self, c_noise: PerPoint, labels: Labels | None) -> Tensor:
        """Features ``(b, features)``."""
        h = self.level(c_noise)
        if self.table is not None:
            if labels is None:
                labels = torch.full(c_noise.shape, self.classes, device=c_noise.device)
            h = h + self.table(labels)
        out: Tensor = nn.functional.silu(self.linear(h))
        return out


class Picture(Seeded):
    """A network of images ``(channels, height, width)``, a noise label and perhaps a class."""

    gain = 3**0.5
    shape: tuple[int, int, int]
    classes: int

    def admit(
        self, shape: tuple[int, ...] | list[int], classes: int, sizes: Mapping[str, int]
    ) -> list[int]:
        """Note the shape and the classes; return the sizes as they came, as Python ints.

        Raises:
            InputError: Names the setting that is no image, no number of classes or no size.
        """
        require(len(shape) == 3, "shape must be (channels, height, width), positive integers",
                got=tuple(shape))  # fmt: skip
        channels, height, width = (as_integer(k, "shape", most=2**14) for k in shape)
        self.shape = (channels, height, width)
        self.classes = as_integer(classes, "classes", least=0, most=2**20)
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
