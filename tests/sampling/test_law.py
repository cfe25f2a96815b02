"""The reverse-time law, and scores asked in tiles."""

import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.dynamics import EulerMaruyama, simulate
from wasserscore.process import VP, SubVP
from wasserscore.sampling import Law, Sampler, time_grid
from wasserscore.sampling.law import TiledScore

PROCESS = VP.linear(a=19.9, b=0.1, horizon=1.0)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("process", [PROCESS, SubVP.linear(a=19.9, b=0.1, horizon=1.0)])
def test_the_law_as_an_sde_is_the_euler_maruyama_solver(gaussian, process, eta, generator):
    grid, score = time_grid(process, 7, "uniform"), gaussian.score(process)
    x = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    z = torch.randn(7, 4, 3, generator=generator, dtype=torch.float64)
    law = Law(score, process, eta, grid)
    by_law = simulate(EulerMaruyama(law.sde()), x, grid, lambda k: z[k])
    solved = Sampler(score, process, "euler_maruyama", grid, eta).run(x, lambda k: z[k])
    assert torch.allclose(by_law, solved, rtol=1e-12)


def test_drift_and_diffusion_are_those_of_the_paper():
    """Song et al. 2021, eq. (6) and (13): f x + (1 + eta^2)/2 g^2 s, eta g."""
    grid = time_grid(PROCESS, 4, "uniform")
    beta, x = 0.1 + 19.9 * 0.75, torch.tensor([[2.0]], dtype=torch.float64)
    for eta, share in ((1.0, 1.0), (0.0, 0.5), (0.6, 0.68)):
        sde = Law(lambda x, t: -3 * x, PROCESS, eta, grid).sde()
        assert float(sde.drift(x, 0.75)) == pytest.approx(beta * (1 - 6 * share))
        assert sde.diffusion(0.75) == pytest.approx(eta * beta**0.5)


def test_a_score_sees_fixed_tiles_and_a_float64_time(generator):
    seen = []

    def score(x, t):
        seen.append((tuple(x.shape), t.dtype, tuple(t.shape), t.device))
        return -x * (1 + t).to(x.dtype).reshape(-1, 1)

    x = torch.randn(300, 2, generator=generator)
    tiled = TiledScore(score)
    assert torch.equal(tiled(x, 0.5), -x * 1.5)
    assert torch.equal(tiled(x, torch.full((300,), 0.5)), -x * 1.5)
    assert {shape for shape, *_ in seen} == {(256, 2)}
    assert seen[0][1:] == (torch.float64, (), x.device)
    assert seen[-1][2] == (256,)
    with pytest.raises(InputError, match="shaped like its points"):
        TiledScore(lambda x, t: x.sum(1))(x, 0.5)
    for value in (None, x[:256].numpy()):
        with pytest.raises(InputError, match="a score must return a tensor, got"):
            TiledScore(lambda x, t, value=value: value)(x, 0.5)
