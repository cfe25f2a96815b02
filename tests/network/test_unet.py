"""The U-Net against its formula, and its symmetry."""

import numpy as np
import pytest
import torch
from tests.network.pictures import SMALL, awake, inputs
from torch import nn
from torch.nn import functional

from wasserscore.network import UNet, describe, rebuild
from wasserscore.network.residual import RESAMPLE, Attention

HALF = 0.5**0.5


def silu(x):
    return x / (1 + torch.exp(-x))


class Written:
    """The forward pass of two levels, one block each, from the tensors alone."""

    def __init__(self, network):
        self.p = {name: value.detach() for name, value in network.state_dict().items()}

    def conv(self, name, x, padding=1):
        return functional.conv2d(x, self.p[f"{name}.weight"], self.p[f"{name}.bias"], 1, padding)

    def norm(self, name, x):
        """Groups of four channels."""
        groups = x.reshape(len(x), x.shape[1] // 4, -1)
        mean, variance = groups.mean(2, keepdim=True), groups.var(2, keepdim=True, correction=0)
        x = ((groups - mean) / (variance + 1e-6).sqrt()).reshape(x.shape)
        shape = (1, -1, 1, 1)
        return x * self.p[f"{name}.weight"].reshape(shape) + self.p[f"{name}.bias"].reshape(shape)

    def linear(self, name, x):
        return x @ self.p[f"{name}.weight"].T + self.p[f"{name}.bias"]

    def told(self, c):
        angle = c[:, None] * torch.from_numpy(np.geomspace(0.5, 32.0, 16, dtype=np.float32))
        waves = torch.cat([angle.cos(), angle.sin()], 1)
        return silu(self.linear("told.linear", silu(self.linear("told.level.linear", waves))))

    def block(self, name, x, e, resample=lambda x: x, attend=False):
        h = self.conv(f"{name}.first", resample(silu(self.norm(f"{name}.norm", x))))
        h = h + self.linear(f"{name}.told", e)[:, :, None, None]
        h = self.conv(f"{name}.second", silu(self.norm(f"{name}.middle", h)))
        x = resample(x)
        if f"{name}.bypass.weight" in self.p:
            x = self.conv(f"{name}.bypass", x, 0)
        out = (x + h) * HALF
        return self.attention(f"{name}.attention", out) if attend else out

    def attention(self, name, x):
        q, k, v = self.conv(f"{name}.into", self.norm(f"{name}.norm", x), 0).flatten(2).chunk(3, 1)
        weights = torch.softmax(torch.einsum("bci,bcj->bij", q, k) / q.shape[1] ** 0.5, -1)
        seen = torch.einsum("bij,bcj->bci", weights, v).reshape(x.shape)
        return (x + self.conv(f"{name}.out", seen, 0)) * HALF

    def __call__(self, x, c):
        e = self.told(c)
        half = lambda x: (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2]
                          + x[..., 1::2, 1::2]) / 4  # fmt: skip
        twice = lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        a = self.conv("first", x)
        b = self.block("down.0", a, e)
        d = self.block("down.1", b, e, half)
        f = self.block("down.2", d, e, attend=True)
        h = self.block("middle.1", self.block("middle.0", f, e, attend=True), e)
        h = self.block("up.0", torch.cat([h, f], 1), e)
        h = self.block("up.1", torch.cat([h, d], 1), e, attend=True)
        h = self.block("up.2", h, e, twice)
        h = self.block("up.3", torch.cat([h, b], 1), e)
        h = self.block("up.4", torch.cat([h, a], 1), e)
        return self.conv("last", silu(self.norm("norm", h)))


def test_forward_is_the_written_formula():
    network, (x, c) = awake(UNet((2, 8, 4), 8, (1, 2), 1, (4,))), inputs()
    expected = Written(network)(x, c)
    torch.testing.assert_close(network(x, c), expected, rtol=1e-6, atol=1e-6)


def test_heads_of_attention_see_their_own_channels():
    """Two heads of 64 channels are two attentions side by side."""
    network = awake(UNet((1, 4, 4), 128, (1,), 1, (4,)))
    attention, x = network.middle[0].attention, inputs(2, (128, 4, 4))[0]
    q, k, v = attention.into(attention.norm(x)).flatten(2).chunk(3, 1)
    seen = []
    for part in (slice(0, 64), slice(64, 128)):
        logits = torch.einsum("bci,bcj->bij", q[:, part], k[:, part]) / 8
        seen.append(torch.einsum("bij,bcj->bci", logits.softmax(-1), v[:, part]))
    expected = (x + attention.out(torch.cat(seen, 1).reshape(x.shape))) * HALF
    torch.testing.assert_close(attention(x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("attention", [(), (8, 2)])
def test_it_moves_with_the_image(attention):
    """On a torus, shifts by whole pixels of the coarsest level pass through; others do not."""
    network = awake(UNet((1, 8, 8), 8, (1, 1, 2), 1, attention))
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            module.padding_mode = "circular"
    x, c = inputs(2, (1, 8, 8))
    for shift in ((4, 0), (0, 4), (4, 4)):
        moved = network(x.roll(shift, (2, 3)), c)
        torch.testing.assert_close(moved, network(x, c).roll(shift, (2, 3)), rtol=1e-9, atol=1e-9)
    moved = network(x.roll(1, 2), c) - network(x, c).roll(1, 2)
    assert float(moved.detach().abs().max()) > 1e-3


def test_blocks_start_as_the_bypass_and_levels_as_asked():
    network = UNet((3, 16, 16), 8, (1, 2, 3), 2, (8,))
    assert [b.first.out_channels for b in network.down] == [8, 8, 8, 16, 16, 16, 24, 24]
    plain = [isinstance(b.attention, nn.Identity) for b in network.down]
    assert plain == [True] * 3 + [False] * 2 + [True] * 3
    x = torch.randn(2, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    out = network.down[0](x, torch.ones(2, 32))
    torch.testing.assert_close(out, x * HALF)


def test_smooth_resampling_is_the_published_filter():
    """(1, 3, 3, 1) along both sides, as a convolution of stride two and its transpose."""
    x, _ = inputs()
    row = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype) / 8
    kernel = torch.outer(row, row).expand(2, 1, 4, 4)
    down = functional.conv2d(x, kernel, stride=2, padding=1, groups=2)
    up = functional.conv_transpose2d(x, 4 * kernel, stride=2, padding=1, groups=2)
    torch.testing.assert_close(RESAMPLE["smaller, smooth"](x), down)
    torch.testing.assert_close(RESAMPLE["larger, smooth"](x), up)


def test_a_network_with_filters_is_another_and_comes_back():
    (x, c), made = inputs(), [awake(SMALL["UNet"](fir=fir)) for fir in (False, True)]
    plain, filtered = (network(x, c).detach() for network in made)
    assert float((plain - filtered).abs().max()) > 1e-3
    again = rebuild(describe(made[1]), dict(made[1].state_dict()))
    assert torch.equal(again(x, c), filtered)
    assert "fir" not in made[0].config()


@pytest.mark.parametrize(
    ("side", "heights"), [(8, (8,)), (28, (14,)), (32, (16,)), (64, (16,)), (128, ())]
)
def test_images_of_any_size_have_attention_where_they_are_small(side, heights):
    network = UNet((1, side, side), 4, blocks=1)
    assert network.attention == heights
    assert any(isinstance(m, Attention) for m in network.modules()) == bool(heights)
