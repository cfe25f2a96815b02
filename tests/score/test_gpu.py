"""Closed-form scores on a GPU: every member of the contract, the numbers of the CPU."""

from dataclasses import fields, replace

import pytest
import torch
from tests.score.contract import BUILDERS, PROCESSES, draw

from wasserscore.score.base import ClosedFormScore
from wasserscore.score.spiked import Spiked

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]


def on_gpu(part):
    """A law, or what it is made of, with its tensors on the GPU."""
    if isinstance(part, torch.Tensor):
        return part.cuda()
    if isinstance(part, tuple):
        return tuple(map(on_gpu, part))
    if isinstance(part, Spiked):
        return Spiked(part.factors.cuda(), part.floor.cuda())
    if isinstance(part, ClosedFormScore):
        own = {f.name: getattr(part, f.name) for f in fields(part) if f.init}
        return replace(part, **{name: on_gpu(value) for name, value in own.items()})
    return part


def same_on_both(kind, process):
    """The numbers of a law are those of the CPU, and where its points are."""
    near = BUILDERS[kind](PROCESSES[process], 2)
    far, t, s = on_gpu(near), 0.4 * near.process.horizon, 0.1 * near.process.horizon
    x = near.sample_marginal(64, t, generator=torch.Generator().manual_seed(1))
    z, u = draw(64, 2, seed=2), draw(64, 1, seed=3)[:, 0].sigmoid()
    each = torch.linspace(0.1, 0.9, 64, dtype=torch.float64) * near.process.horizon
    for of in (
        lambda law, move: law(move(x), t),
        lambda law, move: law(move(x), move(each)),
        lambda law, move: law.log_prob(move(x), t),
        lambda law, move: law.denoise(move(x), t),
        lambda law, move: law.moments()[1],
        lambda law, move: law.sample_marginal(20, t, generator=torch.Generator().manual_seed(1)),
        lambda law, move: law.reverse_transition(move(x), t, s, noise=move(z), uniform=move(u)),
    ):
        there = of(far, torch.Tensor.cuda)
        assert there.is_cuda
        assert torch.allclose(there.cpu(), of(near, torch.Tensor.cpu), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("process", ["VP", "EDM", "linear SDE"])
@pytest.mark.parametrize("kind", BUILDERS)
def test_the_numbers_are_those_of_the_cpu(kind, process):
    same_on_both(kind, process)


def test_the_gradient_of_the_density_is_the_score():
    law = on_gpu(BUILDERS["empirical"](PROCESSES["VP"], 2))
    x = draw(32, 2, seed=4).cuda().requires_grad_()
    (slope,) = torch.autograd.grad(law.log_prob(x, 0.3).sum(), x)
    assert torch.allclose(slope, law(x.detach(), 0.3), rtol=1e-8, atol=1e-8)
