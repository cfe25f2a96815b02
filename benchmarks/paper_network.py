"""Network, data, training and sampler of the certificate's paper, as in its notebook.

Kept from the notebook: three linear layers whose outputs a learned embedding of the step
multiplies, softplus, a linear output that predicts the noise; AdamW, batches of 128, gradients
clipped at norm 1, steps drawn in antithetic pairs; epochs that *raise* the loss first; the
ancestral sampler with variance beta_k, noise at the last step too. Left out: the average of
weights, which the notebook keeps and never samples from.
"""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from benchmarks.paper_chain import Chain
from wasserscore.core.random import normal_like
from wasserscore.process import VP
from wasserscore.score import MixtureScore

F64 = torch.float64
WIDTH, BATCH, RATE, CLIP = 64, 128, 1e-3, 1.0
ASCENT = 2
"""Epochs that raise the loss; the paper has ten, which take log J to 20, beyond its own axes."""
MOON_NODES = 60
Limits = Callable[[nn.Module], None]


def law(name: str, chain: Chain) -> MixtureScore:
    """The data as a law with a closed-form score, in a clock where the chain's times are B(t)."""
    process = VP.constant(beta=1.0, horizon=float(chain.clock[-1]))
    if name == "gaussian":
        return _isotropic(torch.zeros(1, 2, dtype=F64), 0.1, process)
    if name == "clusters":
        ends = torch.tensor([-0.5, 0.5], dtype=F64)
        return _isotropic(torch.cartesian_prod(ends, ends), 0.01, process)
    angle = torch.linspace(0, math.pi, MOON_NODES, dtype=F64)
    outer = torch.stack([angle.cos(), angle.sin()], 1)
    inner = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], 1)
    return _isotropic(torch.cat([outer, inner]) / 2, 0.05**2, process)


def _isotropic(means: Tensor, variance: float, process: VP) -> MixtureScore:
    count = len(means)
    return MixtureScore(torch.full((count,), 1 / count, dtype=F64), means,
                        torch.full((count,), variance, dtype=F64), process)  # fmt: skip


class StepNetwork(nn.Module):
    """The noise that a step of the chain added, predicted from the noisy point."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        sizes = (2, WIDTH, WIDTH, WIDTH)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.scales = nn.ModuleList(nn.Embedding(steps, WIDTH) for _ in range(3))
        self.last = nn.Linear(WIDTH, 2)
        for scale in self.scales:
            nn.init.uniform_(scale.weight)

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        """Noise ``(b, 2)`` from points ``(b, 2)`` and step numbers ``(b,)``."""
        for linear, scale in zip(self.hidden, self.scales, strict=True):
            x = nn.functional.softplus(scale(step) * linear(x))
        out: Tensor = self.last(x)
        return out


def build(steps: int, seed: int) -> StepNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return StepNetwork(steps)


def score_at(network: StepNetwork, chain: Chain, k: int) -> Callable[[Tensor, float], Tensor]:
    """The score after step k (from 0) that the network's noise means, in float64."""
    sigma = float(chain.variance[k]) ** 0.5

    def score(x: Tensor, t: float = 0.0) -> Tensor:
        step = torch.full((len(x),), k)
        return -network(x.float(), step).to(x.dtype) / sigma

    return score


def train(
    chain: Chain, data: Tensor, epochs: int, *, ascent: int = ASCENT, seed: int = 0,
    limits: Limits | None = None,
) -> Iterator[tuple[int, StepNetwork]]:  # fmt: skip
    """Train; yields (epoch, network) after each, numbered from 1 - ascent."""
    network = build(len(chain.betas), seed)
    if limits is not None:
        limits(network)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.01, fused=True)
    alpha, sigma = (v.float() for v in (chain.kept.sqrt(), chain.variance.sqrt()))
    weight = (chain.betas / chain.variance).float()
    points, steps = data.float(), len(chain.betas)
    for epoch in range(1 - ascent, epochs + 1):
        for rows in torch.randperm(len(points), generator=generator).split(BATCH):
            half = torch.randint(steps, (len(rows) // 2 + 1,), generator=generator)
            k = torch.cat([half, steps - 1 - half])[: len(rows)]
            x0 = points[rows]
            z = normal_like(x0, generator)
            guess = network(alpha[k, None] * x0 + sigma[k, None] * z, k)
            loss = ((guess - z).square().mean(1) * weight[k]).mean()
            optimizer.zero_grad()
            (-loss if epoch <= 0 else loss).backward()
            nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimizer.step()
            if limits is not None:
                limits(network)
        yield epoch, network


@torch.no_grad()
def noised(reference: MixtureScore, chain: Chain, k: int, n: int,
           generator: torch.Generator) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Points of the noised law after step k, and their noise."""
    x0 = reference.sample_marginal(n, generator=generator)
    z = normal_like(x0, generator)
    return chain.kept[k].sqrt() * x0 + chain.variance[k].sqrt() * z, z


@torch.no_grad()
def coupled(network: StepNetwork, reference: MixtureScore, chain: Chain, x: Tensor, y: Tensor,
            generator: torch.Generator) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The true reverse chain from x and the sampler from y, on the same noise."""
    times = [0.0, *chain.clock.tolist()]
    for k in range(len(chain.betas) - 1, -1, -1):
        beta, noise = float(chain.betas[k]), normal_like(y, generator)
        uniform = torch.rand(len(x), generator=generator, dtype=F64)
        x = reference.reverse_transition(x, times[k + 1], times[k], noise=noise, uniform=uniform)
        y = (y + beta * score_at(network, chain, k)(y)) / (1 - beta) ** 0.5 + beta**0.5 * noise
    return x, y
