"""What networks of images share: their shape, and what they are told besides the image."""

from collections.abc import Mapping

import torch
from jaxtyping import Int
from torch import Tensor, nn

from wasserscore.core.errors import require
from wasserscore.core.typing import PerPoint, Points
from wasserscore.network.conditioned import Fourier, Seeded, require_size

Labels = Int[Tensor, " b"]
"""A class per point, 0 to ``classes - 1``; ``classes`` itself says that the class is not told."""

LARGEST = {"width": 2**16, "classes": 2**20}
"""Sizes above are refused, and all others above 256."""


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

    def admit(self, shape: tuple[int, ...] | list[int], sizes: Mapping[str, int]) -> None:
        """Note the shape; refuse one that is no image, and sizes that are no sizes.

        Raises:
            InputError: Names the setting.
        """
        require(
            len(shape) == 3 and all(isinstance(k, int) and 1 <= k <= 2**14 for k in shape),
            "shape must be (channels, height, width), positive integers",
            got=tuple(shape),
        )
        for name, value in sizes.items():
            least = 0 if name == "classes" else 1
            require_size(name, value, LARGEST.get(name, 2**8), least=least)
        self.shape = (shape[0], shape[1], shape[2])
        self.classes = sizes["classes"]

    @property
    def dim(self) -> int:
        """Number of coordinates of an image."""
        channels, height, width = self.shape
        return channels * height * width

    def images(self, x: Points) -> Tensor:
        """Points, flat ones too, as images ``(b, channels, height, width)``.

        Raises:
            InputError: If they have another number of entries.
        """
        require(x[:1].numel() in (0, self.dim), f"points must have {self.dim} entries each",
                got=f"shape {tuple(x.shape)}")  # fmt: skip
        return x.reshape(-1, *self.shape)
