"""A U-Net of residual blocks, told the noise level, with self-attention where images are small."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer
from wasserscore.core.typing import PerPoint, Points
from wasserscore.network.picture import Picture
from wasserscore.network.residual import Attention, Residual, normalised
from wasserscore.network.told import Condition, Labels, Told

ATTENTIVE = 16
"""Rows of an image at which pixels look at each other, if nothing is said: DDPM++ does at 16."""


class UNet(Picture):
    r"""The U-Net "DDPM++" of score-based models, for images of any number of channels.

    Down through ``multipliers`` (each level half the size of the one before), and up again, every
    block seeing what the block of its size on the way down gave. Resampling is plain (means, and
    repetition), or smooth. Weights are drawn from a generator of their own; the last layer of each
    branch starts near nothing, the output at zero, so with EDM preconditioning the untrained
    network is the linear denoiser.

    Left out of the published network: dropout.

    Source: :cite:`song2021` appendix H, as laid out by :cite:`karras2022` table 7.

    Args:
        shape: Of an image, ``(channels, height, width)``; both sizes must be divisible by
            ``2 ** (len(multipliers) - 1)``.
        width: Channels of the first level.
        multipliers: Channels of each level, in units of ``width``.
        blocks: Residual blocks of each level on the way down; one more on the way up.
        attention: Heights of the levels whose blocks end with self-attention; by default the
            first level of at most 16 rows.
        fir: Whether images are filtered by (1, 3, 3, 1) where their size changes.
        classes: How many classes there are; 0 where images have none.
        condition: Length of a vector that comes with an image; 0 where none does.
        seed: Of the initial weights; the same seed gives the same bits.

    Raises:
        InputError: If a size is not a positive integer of sensible magnitude, or does not fit.
    """

    def __init__(
        self,
        shape: tuple[int, ...] | list[int],
        width: int = 64,
        multipliers: Sequence[int] = (1, 2, 2),
        blocks: int = 2,
        attention: Sequence[int] | None = None,
        *,
        fir: bool = False,
        classes: int = 0,
        condition: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.fir = fir
        sizes = {f"multipliers[{i}]": m for i, m in enumerate(multipliers)}
        self.width, self.blocks, *whole = self.admit(
            shape, {"width": width, "blocks": blocks, **sizes}
        )
        self.multipliers = tuple(whole)
        factor = 2 ** (len(self.multipliers) - 1)
        require(
            bool(sizes) and all(size % factor == 0 for size in self.shape[1:]),
            f"height and width must be divisible by {factor}, for {len(sizes)} multipliers",
            got=self.shape[1:],
            do="pad the images, or take fewer multipliers",
        )
        heights = [self.shape[1] >> level for level in range(len(sizes))]
        if attention is None:
            attention = [height for height in heights if height <= ATTENTIVE][:1]
        self.attention = tuple(as_integer(height, "attention") for height in attention)
        require(
            set(self.attention) <= set(heights),
            f"attention must name heights of the levels, {heights}",
            got=self.attention,
        )
        with self.drawn(seed):
            self._build(heights, Told(4 * self.width, classes, condition))

    def _build(self, heights: list[int], told: Told) -> None:
        """The layers; ``passed`` are the channels of what the way down hands over."""
        self.told, features = told, told.linear.out_features
        channels, how = self.width, ", smooth" if self.fir else ""
        self.first = nn.Conv2d(self.shape[0], channels, 3, padding=1)
        self.down, self.up, passed = nn.ModuleList(), nn.ModuleList(), [channels]
        for level, (height, multiplier) in enumerate(zip(heights, self.multipliers, strict=True)):
            if level:
                self.down.append(Residual(channels, channels, features, f"smaller{how}"))
                passed.append(channels)
            for _ in range(self.blocks):
                out = self.width * multiplier
                attend = height in self.attention
                self.down.append(Residual(channels, out, features, attend=attend))
                channels = out
                passed.append(channels)
        self.middle = nn.ModuleList(
            Residual(channels, channels, features, attend=bool(self.attention) and not k)
            for k in range(2)
        )
        for level in reversed(range(len(heights))):
            attend = heights[level] in self.attention
            for k in range(self.blocks + 1):
                out = self.width * self.multipliers[level]
                last = attend and k == self.blocks
                self.up.append(Residual(channels + passed.pop(), out, features, attend=last))
                channels = out
            if level:
                self.up.append(Residual(channels, channels, features, f"larger{how}"))
        self.norm = normalised(channels)
        self.last = nn.Conv2d(channels, self.shape[0], 3, padding=1)

    def silent(self) -> list[nn.Module]:
        """The output, and what ends every branch."""
        branches = [m.second for m in self.modules() if isinstance(m, Residual)]
        return [self.last, *branches, *(m.out for m in self.modules() if isinstance(m, Attention))]

    def config(self) -> dict[str, Any]:
        """What rebuilds this network, as JSON types; the weights come beside it."""
        filtered = {"fir": True} if self.fir else {}
        known = {"condition": self.condition} if self.condition else {}
        return {"class": "UNet", "shape": list(self.shape), "width": self.width, **filtered,
                "multipliers": list(self.multipliers), "blocks": self.blocks,
                "attention": list(self.attention), "classes": self.classes, **known}  # fmt: skip

    def forward(
        self, x: Points, c_noise: PerPoint, labels: Labels | None = None,
        condition: Condition | None = None,
    ) -> Points:  # fmt: skip
        """Images ``(b, *shape)`` and noise labels ``(b,)`` to outputs shaped like ``x``."""
        e, h = self.told(c_noise, labels, condition), self.first(self.images(x))
        passed = [h]
        for block in self.down:
            h = block(h, e)
            passed.append(h)
        for block in self.middle:
            h = block(h, e)
        for block in self.up:
            h = block(h if block.grows else torch.cat([h, passed.pop()], dim=1), e)
        out: Tensor = self.last(functional.silu(self.norm(h)))
        return out.reshape(x.shape)
