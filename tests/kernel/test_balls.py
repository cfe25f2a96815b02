"""Balls against the definition, where rounding, ties and tiles would show."""

import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.kernel import in_balls, stream


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def brute(x, y, radii):
    inside = (x[:, None] - y[None]).square().sum(2).sqrt() < radii
    return inside.sum(1), inside.any(0)


def same(found, expected):
    return all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("d", [1, 3, 30])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_counts_are_the_definition(d, offset):
    x, y = draw(300, d) + offset, draw(170, d, seed=1) + offset
    radii = draw(170, seed=2).abs() * d**0.5
    counts, holds = brute(x, y, radii)
    assert 0 < holds.sum() < 170
    assert same(in_balls(x, y, radii), (counts, holds))


def test_spheres_are_outside_whatever_the_offset():
    """On a lattice every radius meets points; at 1e6 the product alone is off by 1e-4."""
    g = torch.Generator().manual_seed(0)
    for offset in (0.0, 1e6):
        x, y = (torch.randint(0, 4, (n, 3), generator=g).double() + offset for n in (90, 60))
        radii = torch.randint(0, 3, (60,), generator=g).double()
        assert same(in_balls(x, y, radii), brute(x, y, radii))


def test_tiles_do_not_change_the_result(monkeypatch):
    x, y, radii = draw(60, 3), draw(50, 3, seed=1), draw(50, seed=2).abs()
    whole = in_balls(x, y, radii)
    monkeypatch.setattr(stream, "TILE_BYTES", 8 * 7 * 5)
    monkeypatch.setattr(stream, "ROWS", 7)
    assert same(in_balls(x, y, radii), whole)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="a radius each"):
        in_balls(draw(4, 2), draw(5, 2), torch.ones(4))
