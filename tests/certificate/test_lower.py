"""Lower estimates: potentials, valid whatever they were fitted on, asked of other pairs."""

import math

import pytest
import torch
from scipy.stats import binom

from wasserscore.certificate.lower import _left, lower_estimates, monotone, quadratic

F64 = torch.float64


def drawn(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=F64)


@pytest.mark.parametrize("fit", [quadratic, monotone])
def test_potentials_of_any_points_are_never_above_a_cost(fit):
    x, y = drawn(40, 3, 0).round(decimals=1), 5 + drawn(40, 3, 1) ** 3  # ties, and heavy tails
    wasted = fit(x, y)
    for a, b in ((drawn(200, 3, 2), drawn(200, 3, 3) * 100), (x, x), (y, x)):
        assert float(wasted(a, b).min()) >= 0
    # f(x) + g(y) = |x - y|^2 - wasted is a sum: no other pairing of the points changes its total
    total = lambda a, b: float(((a - b).square().sum(1) - wasted(a, b)).sum())
    a, b = drawn(50, 3, 4), drawn(50, 3, 5)
    assert total(a, b) == pytest.approx(total(a, b.roll(1, 0)), rel=1e-9)


def test_potentials_waste_nothing_on_pairs_of_their_own_map():
    x = drawn(50, 4, 0)
    turn = torch.linalg.qr(drawn(4, 4, 1)).Q
    stretch = turn @ torch.diag(torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=F64)) @ turn.mT
    wasted = quadratic(x, x @ stretch + 1)
    new = drawn(20, 4, 2)
    # its ridge, a millionth of the variance, is all that is between the two maps
    assert float(wasted(new, new @ stretch + 1).max()) < 1e-9
    assert float(monotone(x, x.exp())(x, x.exp()).max()) < 1e-12


@pytest.mark.parametrize("law", ["gaussian", "two modes", "wide tails"])
def test_clouds_of_one_law_are_not_apart_in_the_mean(law):
    # two standard errors above zero once in twenty at most, as far as forty draws can tell
    over = dict.fromkeys(("Gelbrich", "sqrt(d) sliced"), 0)
    for seed in range(40):
        z = drawn(128, 2, seed)
        generator = torch.Generator().manual_seed(seed)
        coin = torch.rand(128, 1, generator=generator, dtype=F64)
        if law == "two modes":
            z = 0.15 * z + (2.0 * (coin < 0.5) - 1)
        elif law == "wide tails":
            z = z * torch.where(coin < 0.1, 3.0, 1.0)
        for name, found in lower_estimates(z[:64], z[64:], batches=8, seed=seed).items():
            over[name] += found.value > 2 * found.stderr
    assert max(over.values()) <= binom.ppf(0.999, 40, 0.05)


def test_what_is_left_of_the_square_is_at_most_the_squared_distance_in_the_mean():
    # independent clouds, a shift of one half apart: without fresh pairs it would be .65
    squares = []
    for seed in range(60):
        z = drawn(128, 2, seed)
        z[:64, 0] += 0.5
        found = lower_estimates(z[:64], z[64:], batches=8, seed=seed)
        squares.append([e.value**2 for e in found.values()])
    mean = torch.tensor(squares, dtype=F64)
    error = mean.std(0) / math.sqrt(len(mean))
    assert bool((mean.mean(0) <= 0.25 + 3 * error).all())
    assert bool((mean.mean(0) >= 0.05).all())


def test_two_errors_below_the_root_is_the_root_of_two_errors_below_the_mean():
    """Potentials that waste nothing leave the squares themselves: 1, 4 and 9, a third each."""
    square = torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64).repeat(100)
    nothing = lambda x, y: lambda a, b: torch.zeros(len(a), dtype=torch.float64)
    found = _left(nothing, square.sqrt()[:, None], torch.zeros(300, 1).double(), 4)
    error = float(square.std()) / 300**0.5
    assert found.value == pytest.approx(float(square.mean()) ** 0.5)
    assert (found.value - 2 * found.stderr) ** 2 == pytest.approx(float(square.mean()) - 2 * error)
