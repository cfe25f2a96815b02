"""Every kernel's pull is sigma^2 times the gradient of the log of its mean, by autograd."""

import math

import pytest
import torch
from tests.flow.clouds import draw, log_mean_kernel, score_of

from wasserscore.core.errors import InputError
from wasserscore.flow import radial
from wasserscore.flow.kernels import (
    KERNELS,
    Gaussian,
    InverseMultiquadric,
    Laplace,
    StudentT,
    Widths,
    as_kernel,
)
from wasserscore.kernel import Keys

D = 3
PROFILES = {
    Gaussian(): lambda v: -v / 2,
    InverseMultiquadric(0.5): lambda v: -0.5 * (1 + v).log(),
    InverseMultiquadric(2.0): lambda v: -2 * (1 + v).log(),
    Laplace(): lambda v: -(v + 1e-300).sqrt(),
    StudentT(3.0): lambda v: -(3 + D) / 2 * (1 + v / 3).log(),
}


@pytest.mark.parametrize("sigma", [0.3, 1.7])
@pytest.mark.parametrize("kernel", PROFILES, ids=repr)
def test_the_pull_is_the_score_of_the_proxy(kernel, sigma):
    z, y = draw(9, D), draw(40, D, seed=1, scale=2)
    found = kernel.sums(z, Keys(y), sigma)
    log = lambda z: log_mean_kernel(z, y, PROFILES[kernel], sigma)
    torch.testing.assert_close(found.pull, sigma**2 * score_of(z, log), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found.log_mean, log(z), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kernel", PROFILES, ids=repr)
def test_a_point_left_out_is_not_seen(kernel):
    x, sigma = draw(30, D), 0.8
    found = kernel.sums(x, Keys(x), sigma, leave_one_out=True)
    others = lambda z: log_mean_kernel(z, x, PROFILES[kernel], sigma, mask=torch.eye(30).bool())
    torch.testing.assert_close(found.pull, sigma**2 * score_of(x, others), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.log_mean, others(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kernel", PROFILES, ids=repr)
def test_the_curvature_is_the_stiffness_at_a_single_point(kernel):
    """Near its only point a proxy's pull is the curvature times the way there."""
    near = 1e-4 * draw(1, D)
    pull = kernel.sums(near, Keys(torch.zeros(1, D, dtype=torch.float64)), 1.0).pull
    if not isinstance(kernel, Laplace):  # which has a cusp
        torch.testing.assert_close(pull, -kernel.curvature(D) * near, rtol=1e-6, atol=0)


def test_effective_sizes():
    y = draw(50, D)
    far = 1e3 + draw(2, D, seed=1)
    assert Laplace().sums(far, Keys(y), 1e5).ess == pytest.approx([50, 50], rel=1e-3)
    assert Laplace().sums(y, Keys(y), 1e-3).ess == pytest.approx([1] * 50)


@pytest.mark.parametrize("base", [Gaussian(), StudentT()], ids=repr)
def test_a_mixture_of_widths_is_the_mixture_of_densities(base):
    """K8: the masses are those of densities, s^-d included; another dimension shows it."""
    z, y, sigma = draw(7, D), draw(25, D, seed=1, scale=2), 0.7
    ratios, weights = (0.5, 1.0, 3.0), (1.0, 2.0, 0.5)

    def log(z):
        parts = [log_mean_kernel(z, y, PROFILES[base], sigma * r) - D * math.log(r) + math.log(w)
                 for r, w in zip(ratios, weights, strict=True)]  # fmt: skip
        return torch.stack(parts).logsumexp(0)

    found = Widths(ratios, weights, base).sums(z, Keys(y), sigma)
    torch.testing.assert_close(found.pull, sigma**2 * score_of(z, log), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.log_mean, log(z), rtol=1e-10, atol=1e-10)
    assert Widths(ratios, weights, base).curvature(D) == pytest.approx(4 * base.curvature(D))


@pytest.mark.parametrize("run", [1, 17, 200])
@pytest.mark.parametrize("one_out", [False, True])
def test_C5_runs_of_any_length_give_the_same_sums(monkeypatch, run, one_out):
    """K3: with runs of one key, a run may be hidden whole; its maximum is minus infinity."""
    x = draw(60, D)
    whole = StudentT().sums(x, Keys(x), 0.5, leave_one_out=one_out)
    monkeypatch.setattr(radial, "KEYS", run)
    monkeypatch.setattr(radial, "QUERIES", 13)
    found = StudentT().sums(x, Keys(x), 0.5, leave_one_out=one_out)
    for a, b in zip(found, whole, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_float32_keeps_its_digits():
    x, y = draw(20, D).float(), draw(300, D, seed=1).float()
    for kernel in KERNELS.values():
        low, high = (kernel.sums(a, Keys(b), 0.3) for a, b in ((x, y), (x.double(), y.double())))
        assert low.pull.dtype == torch.float32
        scale = float(y.norm(dim=1).max())
        assert float((low.pull - high.pull).abs().max()) < 2e-6 * scale


def test_what_is_refused():
    with pytest.raises(InputError, match="unknown kernel, got 'box'"):
        as_kernel("box")
    for make in (lambda: StudentT(0.0), lambda: InverseMultiquadric(-1.0),
                 lambda: Widths((1.0, -1.0)), lambda: Widths((1.0,), (1.0, 2.0))):  # fmt: skip
        with pytest.raises(InputError, match="must be positive"):
            make()
    x = draw(3, D)
    with pytest.raises(InputError, match="sigma must be positive"):
        Laplace().sums(x, Keys(x), 0.0)
    with pytest.raises(InputError, match="two points"):
        Laplace().sums(x[:1], Keys(x[:1]), 1.0, leave_one_out=True)
    with pytest.raises(InputError, match="as many queries"):
        Laplace().sums(x[:2], Keys(x), 1.0, leave_one_out=True)
