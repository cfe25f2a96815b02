"""A transformer of patches, told the noise level by adaptive normalisation."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from wasserscore.core.errors import require
from wasserscore.core.typing import PerPoint, Points
from wasserscore.network.conditioned import Fixed
from wasserscore.network.linear import Linear
from wasserscore.network.picture import Picture
from wasserscore.network.told import Condition, Labels, Told


class Positions(Fixed):
    r"""Where a patch is: waves :math:`\sin(p w_k), \cos(p w_k)` of its row and of its column.

    :math:`w_k = 10000^{-4 k / width}`, a quarter of the width for each of the four.
    """

    table: Tensor

    def __init__(self, rows: int, columns: int, width: int) -> None:
        super().__init__()
        self.rows, self.columns, self.width = rows, columns, width
        self.register_buffer("table", torch.empty(rows * columns, width))

    @torch.no_grad()
    def fill(self) -> None:
        """Write the waves."""
        quarter = self.width // 4
        waves = torch.exp(torch.arange(quarter) * (-math.log(1e4) / quarter))
        places = torch.cartesian_prod(torch.arange(self.rows), torch.arange(self.columns))
        angle = places.reshape(-1, 2, 1) * waves
        self.table.copy_(torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1))

    def forward(self, h: Tensor) -> Tensor:
        """Patches ``(b, n, width)`` moved to their places."""
        return h + self.table


class Block(nn.Module):
    r"""Attention and a perceptron, each shifted, scaled and gated by the embedding ``e``.

    .. math:: h \leftarrow h + g_1\,\mathrm{attention}((1 + s_1)\,\mathrm{norm}(h) + b_1), \qquad
              h \leftarrow h + g_2\,\mathrm{perceptron}((1 + s_2)\,\mathrm{norm}(h) + b_2)

    with :math:`(b_1, s_1, g_1, b_2, s_2, g_2) = W e`; W starts at zero, so the block starts as
    the identity (adaLN-zero).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.told = Linear(width, 6 * width)
        self.into, self.out = Linear(width, 3 * width), Linear(width, width)
        self.wide, self.back = Linear(width, 4 * width), Linear(4 * width, width)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        """Patches ``(b, n, width)`` to patches."""
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = self.told(e)[:, None].chunk(6, -1)
        h = h + gate_1 * self.attention((1 + scale_1) * self.norm(h) + shift_1)
        inner = self.wide((1 + scale_2) * self.norm(h) + shift_2)
        out: Tensor = h + gate_2 * self.back(functional.gelu(inner, approximate="tanh"))
        return out

    def attention(self, h: Tensor) -> Tensor:
        """Every patch looks at every other."""
        q, k, v = self.into(h).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return out


class DiT(Picture):
    r"""Diffusion transformer: an image as a row of patches, blocks with adaLN-zero.

    Weights are drawn from a generator of their own; blocks start as the identity and the output at
    zero, so with EDM preconditioning the untrained network is the linear denoiser.

    Source: Peebles and Xie, "Scalable diffusion models with transformers" (ICCV 2023), section 3.

    Args:
        shape: Of an image, ``(channels, height, width)``; both sizes must be divisible by
            ``patch``.
        patch: Side of a patch, in pixels.
        width: Hidden units of a patch; divisible by 4 and by ``heads``.
        depth: Blocks.
        heads: Of attention.
        classes: How many classes there are; 0 where images have none.
        condition: Length of a vector that comes with an image; 0 where none does.
        seed: Of the initial weights; the same seed gives the same bits.

    Raises:
        InputError: If a size is not a positive integer of sensible magnitude, or does not fit.
    """

    def __init__(
        self,
        shape: tuple[int, ...] | list[int],
        patch: int = 2,
        width: int = 256,
        depth: int = 6,
        heads: int = 4,
        *,
        classes: int = 0,
        condition: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        sizes = {"patch": patch, "width": width, "depth": depth, "heads": heads}
        patch, width, depth, heads = self.admit(shape, sizes)
        self.patch, self.width, self.depth, self.heads = patch, width, depth, heads
        channels, height, breadth = self.shape
        require(height % patch == 0 and breadth % patch == 0,
                f"height and width must be divisible by the patch of {patch}",
                got=self.shape[1:])  # fmt: skip
        require(width % 4 == 0 and width % heads == 0, "width must be divisible by 4 and by heads",
                got=f"width {width} and {heads} heads")  # fmt: skip
        numbers = channels * patch**2
        with self.drawn(seed):
            self.told = Told(width, classes, condition)
            self.first = Linear(numbers, width)
            self.positions = Positions(height // patch, breadth // patch, width)
            self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
            self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
            self.modulate = Linear(width, 2 * width)
            self.last = Linear(width, numbers)

    def silent(self) -> list[nn.Module]:
        """The output, and all modulations."""
        told = [m.told for m in self.modules() if isinstance(m, Block)]
        return [self.last, self.modulate, *told]

    def config(self) -> dict[str, Any]:
        """What rebuilds this network, as JSON types; the weights come beside it."""
        known = {"condition": self.condition} if self.condition else {}
        return {"class": "DiT", "shape": list(self.shape), "patch": self.patch,
                "width": self.width, "depth": self.depth, "heads": self.heads,
                "classes": self.classes, **known}  # fmt: skip

    def forward(
        self, x: Points, c_noise: PerPoint, labels: Labels | None = None,
        condition: Condition | None = None,
    ) -> Points:  # fmt: skip
        """Images ``(b, *shape)`` and noise labels ``(b,)`` to outputs shaped like ``x``."""
        e, p = self.told(c_noise, labels, condition), self.patch
        patches = functional.pixel_unshuffle(self.images(x), p)
        h = self.positions(self.first(patches.flatten(2).transpose(1, 2)))
        for block in self.blocks:
            h = block(h, e)
        shift, scale = self.modulate(e)[:, None].chunk(2, -1)
        out: Tensor = self.last((1 + scale) * self.norm(h) + shift)
        spread = out.transpose(1, 2).reshape(patches.shape)
        return functional.pixel_shuffle(spread, p).reshape(x.shape)
