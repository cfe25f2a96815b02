"""The transformer of patches against its formula."""

import numpy as np
import torch
from tests.network.pictures import awake, inputs
from torch import nn

from wasserscore.network import DiT


def silu(x):
    return x / (1 + torch.exp(-x))


def norm(x):
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, correction=0)
    return (x - mean) / (variance + 1e-6).sqrt()


def written(network, x, c):
    """One block, patches of 2 x 2, from the tensors alone; attention by torch's own module."""
    p = {name: value.detach() for name, value in network.state_dict().items()}
    linear = lambda name, h: h @ p[f"{name}.weight"].T + p[f"{name}.bias"]
    b, channels, height, width = x.shape
    angle = c[:, None] * torch.from_numpy(np.geomspace(0.5, 32.0, 16, dtype=np.float32))
    waves = torch.cat([angle.cos(), angle.sin()], 1)
    e = silu(linear("told.linear", silu(linear("told.level.linear", waves))))
    cells = [(i, j) for i in range(height // 2) for j in range(width // 2)]
    patches = torch.stack(
        [x[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].flatten(1) for i, j in cells], 1
    )
    size = network.width
    waves = 10000.0 ** (-np.arange(size // 4) / (size // 4))
    places = np.array([
        np.concatenate([f(k * waves) for k in cell for f in (np.sin, np.cos)]) for cell in cells
    ])  # fmt: skip
    h = linear("first", patches) + torch.from_numpy(places)
    shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = (
        part[:, None] for part in linear("blocks.0.told", e).split(size, 1)
    )
    look = nn.MultiheadAttention(size, network.heads, batch_first=True, dtype=torch.float64)
    look.load_state_dict({
        "in_proj_weight": p["blocks.0.into.weight"], "in_proj_bias": p["blocks.0.into.bias"],
        "out_proj.weight": p["blocks.0.out.weight"], "out_proj.bias": p["blocks.0.out.bias"],
    })  # fmt: skip
    inner = norm(h) * (1 + scale_1) + shift_1
    h = h + gate_1 * look(inner, inner, inner)[0]
    u = linear("blocks.0.wide", norm(h) * (1 + scale_2) + shift_2)
    gelu = u / 2 * (1 + torch.tanh((2 / np.pi) ** 0.5 * (u + 0.044715 * u**3)))
    h = h + gate_2 * linear("blocks.0.back", gelu)
    shift, scale = (part[:, None] for part in linear("modulate", e).split(size, 1))
    out = linear("last", norm(h) * (1 + scale) + shift)
    image = torch.zeros_like(x)
    for k, (i, j) in enumerate(cells):
        image[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = out[:, k].reshape(b, channels, 2, 2)
    return image


def test_forward_is_the_written_formula():
    with torch.random.fork_rng():
        network, (x, c) = awake(DiT((2, 8, 4), 2, 8, 1, 2)), inputs()
        torch.testing.assert_close(network(x, c), written(network, x, c), rtol=1e-5, atol=1e-6)


def test_blocks_start_as_the_identity():
    network = DiT((1, 4, 4), 2, 8, 2, 2, seed=1)
    h = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(network.blocks[0](h, torch.ones(2, 8)), h)
