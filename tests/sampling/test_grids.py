"""Time grids: the steps asked for, where they were asked for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wasserscore.core.errors import InputError
from wasserscore.dynamics import TimeGrid
from wasserscore.process import EDM, OU, VE, VP, SubVP
from wasserscore.sampling import time_grid
from wasserscore.sampling.grids import KINDS

PROCESSES = [
    EDM(sigma_max=80.0),
    VE.constant(a=1.0),
    VE.from_sigmas(sigma_min=0.01, sigma_max=50.0),
    VP.linear(a=19.9, b=0.1),
    VP.cosine(),
    SubVP.linear(a=19.9, b=0.1),
    OU(alpha=1.0, sigma=2.0),
]


@given(steps=st.integers(1, 1000), kind=st.sampled_from(KINDS),
       process=st.sampled_from(PROCESSES), early=st.booleans())  # fmt: skip
def test_exactly_the_steps_asked_for(steps, kind, process, early):
    """Never a doubled time, never a zero-length last step (both shipped in peers for months)."""
    stop = 0.01 * process.horizon if early else None
    grid = time_grid(process, steps, kind, stop=stop)
    assert grid.steps == steps == grid.times.unique().numel() - 1
    assert grid.start == process.horizon
    assert grid.stop == (stop or 0.0)


def test_karras_is_the_published_schedule():
    """Karras et al. 2022, eq. (5), with their defaults."""
    n, low, high = 18, 0.002, 80.0
    expected = [
        (high ** (1 / 7) + i / (n - 1) * (low ** (1 / 7) - high ** (1 / 7))) ** 7 for i in range(n)
    ]
    times = time_grid(EDM(sigma_max=80.0), n).times
    assert times.tolist() == pytest.approx([*expected, 0.0], rel=1e-12)


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.name)
def test_spacings_are_in_the_noise_to_signal_ratio(process):
    ratio = lambda grid: process.noise_to_signal(grid.times).sqrt()
    r = ratio(time_grid(process, 20, "logsnr"))[:-1].log().diff()
    assert torch.allclose(r, r[0].expand_as(r), rtol=1e-6)
    r = (ratio(time_grid(process, 20, "karras", rho=5.0))[:-1] ** 0.2).diff()
    assert torch.allclose(r, r[0].expand_as(r), rtol=1e-6)
    top = float(process.noise_to_signal(process.horizon)) ** 0.5
    for kind in ("logsnr", "karras"):
        last = float(ratio(time_grid(process, 20, kind, least_noise=0.01))[-2])
        assert last == pytest.approx(min(0.01, top / 1000), rel=1e-6)
    with_stop = ratio(time_grid(process, 20, "logsnr", stop=0.1 * process.horizon)).log().diff()
    assert torch.allclose(with_stop, with_stop[0].expand_as(with_stop), rtol=1e-6)


@pytest.mark.parametrize("kind", ["karras", "logsnr"])
def test_a_chain_is_not_asked_before_its_first_step(kind):
    chain = VP.chain(betas=[0.01 + 0.002 * k for k in range(100)])
    times = time_grid(chain, 18, kind).times
    assert times[-2:].tolist() == pytest.approx([1.0, 0.0], abs=1e-9)
    assert float(times[:-1].min()) >= 1.0
    assert float(time_grid(chain, 18, kind, stop=0.5).times[-1]) == 0.5  # as you say
    assert time_grid(chain, 5, kind, start=0.9).steps == 5
    fine = VP.chain(betas=[1e-6] + [0.1] * 50)  # its first step is no noise to speak of
    assert float(time_grid(fine, 18, kind).times[-2]) > 1.0


@pytest.mark.parametrize("steps", [4, 10, 25])
def test_a_uniform_grid_of_a_chain_neither(steps):
    chain = VP.chain(betas=[0.05] * 10)
    times = time_grid(chain, steps, "uniform").times
    expected = torch.linspace(10, 0, steps + 1, dtype=torch.float64)
    if steps > 10:
        expected = torch.cat([torch.linspace(10, 1, steps, dtype=torch.float64), torch.zeros(1)])
    torch.testing.assert_close(times, expected, rtol=1e-14, atol=0)
    below = time_grid(chain, steps, "uniform", stop=0.5).times
    torch.testing.assert_close(below.diff(), below.diff().mean().expand(steps))
    assert float(time_grid(chain, steps, "uniform", start=0.8).times[0]) == 0.8


def test_uniform_is_in_time():
    assert time_grid(EDM(sigma_max=4.0), 4, "uniform").times.tolist() == [4, 3, 2, 1, 0]
    between = time_grid(EDM(sigma_max=4.0), 2, "uniform", start=3.0, stop=1.0)
    assert between.times.tolist() == [3, 2, 1]


def test_a_grid_of_your_own_is_checked_and_kept():
    grid = TimeGrid(torch.tensor([2.0, 1.0, 0.5]))
    process = EDM(sigma_max=80.0)
    assert time_grid(process, kind=grid) is grid
    assert time_grid(process, 2, grid, start=2.0, stop=0.5) is grid
    for options in ({"steps": 3}, {"stop": 0.1}, {"start": 3.0}):
        with pytest.raises(InputError, match="must match the grid"):
            time_grid(process, kind=grid, **options)
    with pytest.raises(InputError, match="horizon"):
        time_grid(EDM(sigma_max=1.0), kind=grid)


@pytest.mark.parametrize(
    "options",
    [{"steps": 0}, {"kind": "edm"}, {"stop": -0.1}, {"start": 99.0}, {"start": 1.0, "stop": 1.0}],
)
def test_impossible_grids_are_refused(options):
    with pytest.raises(InputError):
        time_grid(EDM(sigma_max=80.0), **options)


def test_18_steps_by_default():
    assert time_grid(EDM(sigma_max=80.0)).steps == 18
