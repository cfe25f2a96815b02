"""The engine on a GPU: the same contract, whichever way the sums are made."""

import pytest
import torch
from tests.kernel.test_softmax import SIGMAS, draw

from wasserscore.core.errors import InputError
from wasserscore.kernel import Keys, effective_size, nearest, softmax_mean, softmax_pick
from wasserscore.kernel.device import has_kernel
from wasserscore.kernel.stream import Block, blocks

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]


def truth(x, y, sigma, **settings):
    """The sums in float64 on the CPU, whose accuracy has tests of its own."""
    settings = {k: v.double() if isinstance(v, torch.Tensor) else v for k, v in settings.items()}
    return softmax_mean(x.double(), y.double(), sigma, **settings)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [1, 2, 16, 64, 100, 128, 256, 784])
def test_accuracy_at_every_sigma(d, dtype):
    y = draw(3000, d, dtype=dtype)
    y[10] = y[11]
    near = draw(150, d, seed=1, dtype=dtype)
    x = torch.cat([near, y[:2], (y[2:4] + y[4:6]) / 2, 30 * near[:3], 1e4 * near[:3]])
    keys, scale = Keys(y.cuda()), float(y.norm(dim=1).max())
    for sigma in SIGMAS:
        got = softmax_mean(x.cuda(), keys, sigma)
        expected = truth(x, y, sigma)
        tolerance = 1e-5 if dtype == torch.float32 else 1e-10 + 4e-16 * scale**2 / sigma**2
        assert got.mean.is_cuda
        assert got.mean.dtype == dtype
        assert float((got.mean.cpu() - expected.mean).abs().max()) / scale < tolerance, sigma
        relative = (got.log_sum.cpu() - expected.log_sum).abs() / (1 + expected.log_sum.abs())
        assert float(relative.max()) < (2e-5 if dtype == torch.float32 else 1e-10), sigma
        size = effective_size(x.cuda(), keys, sigma).cpu()
        ratio = (size / effective_size(x.double(), y.double(), sigma) - 1).abs()
        assert float(ratio.max()) < 10 * max(tolerance, 1e-9), sigma


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("sigma", "n", "d", "dv"),
    [(0.3, 40_000, 5, 9), (6.0, 40_000, 5, 9), (0.3, 700, 5, 9), (30.0, 3000, 200, 220),
     (2.0, 3000, 200, 220)],
)  # fmt: skip
def test_weights_values_and_keys_left_out(dtype, sigma, n, d, dv):
    y, x, v = (
        draw(m, e, seed=k, dtype=dtype) for k, (m, e) in enumerate([(n, d), (70, d), (n, dv)])
    )
    b = draw(n, 1, seed=3, dtype=dtype)[:, 0]
    b[7] = -torch.inf
    got = softmax_mean(x.cuda(), y.cuda(), sigma, values=(v + 100).cuda(), log_weights=b.cuda())
    expected = truth(x, y, sigma, values=v + 100, log_weights=b)
    out = softmax_mean(y[:700].cuda(), y[:700].cuda(), sigma, leave_one_out=True)
    without = truth(y[:700], y[:700], sigma, leave_one_out=True)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-11
    for a, b in [(got, expected), (out, without)]:
        assert (
            float((a.mean.cpu() / b.mean.abs().max() - b.mean / b.mean.abs().max()).abs().max())
            < tolerance
        )
        assert float((a.log_sum.cpu() - b.log_sum).abs().max()) < 4 * tolerance


def test_the_fused_kernel_is_what_ran():
    pytest.importorskip("triton")
    keys = Keys(draw(500, 8).float().cuda())
    x = draw(20, 8, seed=1).float().cuda()
    for sigma in (0.1, 10.0):
        widths = torch.full((20,), sigma, dtype=torch.float64, device="cuda")
        whole = Block.of(keys, x, widths)
        (level,) = whole.levels().unique().tolist()
        for _, block in blocks(whole, torch.ones(20, device="cuda") > 0, level):
            assert has_kernel(block, keys.points)


def test_gradients():
    y, x = draw(200, 6), draw(30, 6, seed=1)
    slopes = []
    for device in ("cpu", "cuda"):
        points = x.to(device).requires_grad_()
        got = softmax_mean(points, y.to(device), 0.7)
        (slope,) = torch.autograd.grad(got.mean.square().sum() + got.log_sum.sum(), points)
        slopes.append(slope.cpu())
    assert torch.allclose(*slopes, rtol=1e-10, atol=1e-10)


def test_neighbours_and_draws_are_those_of_the_cpu():
    y, x = draw(5000, 12), draw(300, 12, seed=1)
    y[20] = y[10]
    far, near = nearest(x.cuda(), y.cuda(), 5), nearest(x, y, 5)
    assert torch.equal(far[1].cpu(), near[1])
    assert torch.allclose(far[0].cpu(), near[0], rtol=1e-12)
    u = torch.rand(300, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    picked = softmax_pick(x.cuda(), y.cuda(), 1.5, u.cuda())
    assert torch.equal(picked.cpu(), softmax_pick(x, y, 1.5, u))


@pytest.mark.parametrize("sigma", [0.3, 6.0])
def test_keys_in_the_memory_of_the_cpu(monkeypatch, sigma):
    monkeypatch.setattr("wasserscore.kernel.streamed.PART_BYTES", 4000 * 200 * 4)
    y, x = (draw(n, 200, seed=k, dtype=torch.float32) for k, n in enumerate((10_000, 64)))
    got, expected = softmax_mean(x.cuda(), y, sigma), truth(x, y, sigma)
    assert got.mean.is_cuda
    assert float((got.mean.cpu() - expected.mean).abs().max()) < 1e-5 * float(y.norm(dim=1).max())
    assert torch.allclose(got.log_sum.cpu().double(), expected.log_sum, rtol=2e-5, atol=2e-5)
    with pytest.raises(InputError, match="keys must be where the queries are"):
        softmax_mean(y[:9].cuda(), y[:9], sigma, leave_one_out=True)
