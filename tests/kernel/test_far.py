"""The engine's tiles on another device, pretended: no operation mixes devices."""

import pytest
import torch
from tests.far_device import far_device
from tests.kernel.test_softmax import draw

from wasserscore.kernel import Keys, effective_size, nearest, softmax_mean, softmax_pick


def test_the_pretended_device_refuses_to_mix():
    with far_device():
        x = torch.ones(3).cuda()
        assert x.is_cuda
        assert torch.zeros(2, device=x.device).is_cuda
        assert float((x + 1).sum()) == 6
        with pytest.raises(RuntimeError, match="on cuda:0 and on cpu"):
            x + torch.ones(3)
    assert not torch.zeros(2).is_cuda


@pytest.mark.parametrize("sigma", [1e-3, 0.3, 30.0])
@pytest.mark.parametrize("d", [2, 40])
def test_sums_are_those_of_the_cpu(d, sigma):
    y, x, v = draw(700, d), draw(60, d, seed=1), draw(700, 3, seed=2)
    b = draw(700, 1, seed=3)[:, 0]
    u = torch.rand(60, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = []
    with far_device():
        for where in ("cpu", "cuda"):
            p, q, w, c = (a.to(where) for a in (x, y, v, b))
            keys = Keys(q, c)
            sums = [*softmax_mean(p, keys, sigma), *softmax_mean(p, keys, sigma, values=w)]
            sums += [*softmax_mean(q, q, sigma, leave_one_out=True), effective_size(p, q, sigma)]
            exact = [nearest(p, q, 3)[1], softmax_pick(p, q, sigma, u.to(where))]
            assert all(a.is_cuda == (where == "cuda") for a in [*sums, *exact])
            found.append([a.cpu() for a in [*sums, *exact]])
        from_memory = softmax_mean(x.cuda(), y, sigma, values=v, log_weights=b)
        found[1] += [a.cpu() for a in from_memory]
    found[0] += found[0][2:4]
    for near, far in zip(*found, strict=True):
        assert torch.allclose(near.double(), far.double(), rtol=1e-9, atol=1e-12)
