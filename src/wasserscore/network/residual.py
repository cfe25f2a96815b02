"""The blocks of a U-Net: convolutions beside a bypass, self-attention, halves and doubles."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from wasserscore.network.linear import Linear

HALF = 0.5**0.5
"""Sums of two streams are multiplied by this, so that they keep their variance."""
HEAD = 64
"""Channels of one head of attention."""


def normalised(channels: int) -> nn.GroupNorm:
    """Group normalisation, at most 32 groups of at least four channels."""
    most = min(32, max(1, channels // 4))
    groups = next(g for g in range(most, 0, -1) if channels % g == 0)
    return nn.GroupNorm(groups, channels, eps=1e-6)


def smaller(x: Tensor) -> Tensor:
    """Half the size: means of 2 x 2 pixels."""
    return functional.avg_pool2d(x, 2)


def larger(x: Tensor) -> Tensor:
    """Twice the size: every pixel four times."""
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def same(x: Tensor) -> Tensor:
    """The size as it is."""
    return x


def smooth(x: Tensor) -> Tensor:
    """Filtered by (1, 2, 1) / 4 along both sides, zeros around: means of two neighbours, twice."""
    return functional.avg_pool2d(functional.avg_pool2d(x, 2, 1, padding=1), 2, 1)


RESAMPLE: dict[str, Callable[[Tensor], Tensor]] = {
    "smaller": smaller,
    "larger": larger,
    "smaller, smooth": lambda x: smaller(smooth(x)),
    "larger, smooth": lambda x: smooth(larger(x)),
    "": same,
}
"""The smooth ones are the finite impulse response (1, 3, 3, 1)."""


class Residual(nn.Module):
    r"""Two convolutions beside a bypass P, both after the resampling R.

    .. math:: h = W_1 * R\,\mathrm{silu}(\mathrm{norm}(x)) + V e, \qquad
              y = (P R x + W_2 * \mathrm{silu}(\mathrm{norm}(h))) / \sqrt 2

    Args:
        into: Channels of ``x``.
        out: Channels of ``y``; P is a 1 x 1 convolution where they differ.
        features: Length of the embedding ``e``.
        resample: A name of ``RESAMPLE``.
        attend: Whether self-attention follows.
    """

    def __init__(
        self, into: int, out: int, features: int, resample: str = "", attend: bool = False
    ) -> None:
        super().__init__()
        self.resample, self.grows = RESAMPLE[resample], resample.startswith("larger")
        self.norm = normalised(into)
        self.first = nn.Conv2d(into, out, 3, padding=1)
        self.told = Linear(features, out)
        self.middle = normalised(out)
        self.second = nn.Conv2d(out, out, 3, padding=1)
        self.bypass = nn.Conv2d(into, out, 1) if into != out else nn.Identity()
        self.attention = Attention(out) if attend else nn.Identity()

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """Hidden ``(b, into, h, w)`` to ``(b, out, h', w')``."""
        h = self.first(self.resample(functional.silu(self.norm(x))))
        h = h + self.told(e)[:, :, None, None]
        h = self.second(functional.silu(self.middle(h)))
        out: Tensor = self.attention((self.bypass(self.resample(x)) + h) * HALF)
        return out


class Attention(nn.Module):
    r"""Every pixel looks at every other.

    .. math:: y = (x + W\,\mathrm{softmax}(q k^T / \sqrt c)\,v) / \sqrt 2

    Queries, keys and values are 1 x 1 convolutions of the normalised ``x``, in heads of 64
    channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = channels // HEAD if channels % HEAD == 0 else 1
        self.norm = normalised(channels)
        self.into = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Hidden ``(b, c, h, w)`` to hidden."""
        b, c, height, width = x.shape
        parts = self.into(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, height * width)
        q, k, v = parts.transpose(3, 4).unbind(1)
        seen = functional.scaled_dot_product_attention(q, k, v)
        mixed = self.out(seen.transpose(2, 3).reshape(b, c, height, width))
        out: Tensor = (x + mixed) * HALF
        return out
