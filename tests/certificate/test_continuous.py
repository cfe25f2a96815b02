"""Theorem 1 at a score and a reference, inside the ladder, and limits that hold at every n."""

import math

import pytest
import torch

from wasserscore.certificate import certify
from wasserscore.certificate.concavity import LogConcave
from wasserscore.certificate.constants import OneSided, estimate, from_concavity
from wasserscore.certificate.continuous import continuous_bound, steps_gap
from wasserscore.certificate.coupling import Coupling
from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.process import VP
from wasserscore.sampling import solver, time_grid
from wasserscore.score import EmpiricalScore, GaussianScore, MixtureScore

F64 = torch.float64
UNIT = VP.constant(beta=1.0, horizon=2.0)
STANDARD = GaussianScore(torch.zeros(1, dtype=F64), torch.eye(1, dtype=F64), UNIT)
EXACT = OneSided(lambda t: torch.full_like(t, -1.0), "analytic", "s = -x + c")


def biased(x, t):
    return STANDARD(x, t) + 0.3


def two_modes(process):
    half, modes = torch.tensor([0.5, 0.5], dtype=F64), torch.tensor([[-1.0], [1.0]], dtype=F64)
    return MixtureScore(half, modes, torch.full((2,), 0.04, dtype=F64), process)


def coupling(score=biased, reference=STANDARD, *, name="exponential", eta=1.0, steps=60, stop=None,
             start="prior"):  # fmt: skip
    grid = time_grid(reference.process, steps, "uniform", stop=stop)
    return Coupling(score, reference, solver(name), grid, eta, start, 1, Streams(2))


@pytest.mark.parametrize(("eta", "expected"), [(1.0, 0.379272), (0.0, 0.3)])
def test_a_bias_under_vp_from_samples(eta, expected):  # A1, A2 by Monte Carlo
    found = continuous_bound(coupling(eta=eta, start="reference"), EXACT, n=16, level=0.99)
    assert found.integral.value == pytest.approx(expected, rel=2e-3)
    assert found.integral.value >= expected * (1 - 1e-6)
    assert found.integral.value <= found.cauchy_schwarz.value
    assert found.offset == 0.0
    assert torch.allclose(found.error, torch.full_like(found.error, 0.09), rtol=1e-9)
    # its integrand is what a page plots: k I sqrt(b)
    k = (1 + eta**2) / 2
    expected_integrand = k * found.log_growth.exp() * 0.3
    assert torch.allclose(found.integrand, expected_integrand, rtol=1e-9)


def test_the_offset_is_the_exact_one_for_gaussians():
    narrow = GaussianScore(torch.zeros(1, dtype=F64), torch.full((1, 1), 0.25, dtype=F64), UNIT)
    constant = from_concavity(LogConcave(4.0, 4.0), UNIT)
    found = continuous_bound(coupling(narrow, narrow), constant, n=16, level=0.99)
    v, sigma = 0.25 * math.exp(-2) + 1 - math.exp(-2), math.sqrt(1 - math.exp(-2))
    growth = math.exp(-1) * 0.25 / v  # I(T) = alpha_T v_0 / v_T
    assert found.offset == pytest.approx(growth * abs(math.sqrt(v) - sigma), rel=1e-4)
    assert found.integral.value == pytest.approx(found.offset, abs=1e-6)


@pytest.mark.parametrize(("name", "eta"), [("exponential", 0.0), ("euler_maruyama", 1.0)])
def test_the_steps_gap_covers_the_distance_to_a_very_fine_sampler(name, eta):
    one = coupling(name=name, eta=eta, steps=12)
    estimate_, limit = steps_gap(one, 64, 0.99)
    half, _ = steps_gap(coupling(name=name, eta=eta, steps=24), 64, 0.99)
    assert limit >= estimate_.value > 0
    assert 1.6 < estimate_.value / half.value < 2.4  # first order, with additive noise too


def test_the_theorems_rungs_stand_in_the_ladder_and_hold():
    found = certify(
        biased, STANDARD, solver="exponential", eta=1.0, steps=60, grid="uniform",
        start="reference", n=64, constant=EXACT,
    )  # fmt: skip
    names = [rung.name for rung in found.rungs]
    assert names[:2] == ["theorem, Cauchy-Schwarz", "theorem, integral"]
    values = {rung.name: rung.upper.value for rung in found.rungs}
    assert values[names[0]] >= values[names[1]] * (1 - 1e-9)
    assert values[names[1]] > values["synchronous coupling"]
    assert all(rung.valid for rung in found.rungs if rung.name != "fallback, moments")
    constant = next(a for a in found.assumptions if "one-sided" in a.name)
    assert constant.status == "checked"


def test_an_estimated_constant_never_makes_the_bound():
    mix = two_modes(VP.linear(a=19.9, b=0.1, horizon=1.0))
    wrong = lambda x, t: mix(x, t) + 0.1 + 0.15 * torch.sin(2 * x)
    generator = torch.Generator().manual_seed(0)
    clouds = [
        (t, mix.sample_marginal(32, t, generator=generator)) for t in (0.001, 0.05, 0.3, 1.0)
    ]
    found = certify(wrong, mix, steps=20, n=32, constant=estimate(wrong, clouds))
    theorem = [rung for rung in found.rungs if rung.name.startswith("theorem")]
    assert theorem
    assert not any(rung.valid for rung in theorem)
    assert all(rung.vacuous for rung in theorem)
    assert all(rung.upper.kind == "estimated" for rung in theorem)
    assert not found.best().name.startswith("theorem")
    assert "certified" not in next(a.detail for a in found.assumptions if "one-sided" in a.name)


def test_atoms_have_no_theorem():
    atoms = EmpiricalScore(torch.tensor([[-1.0], [1.0]], dtype=F64), UNIT)
    with pytest.raises(InputError, match="bandwidth"):
        continuous_bound(coupling(atoms, atoms), EXACT, n=16, level=0.9)
    stopped = coupling(atoms, atoms, stop=0.1, steps=10)
    assert continuous_bound(stopped, EXACT, n=16, level=0.9).integral.value > 0


def test_clipping_makes_limits_that_hold_at_every_n():
    mix = two_modes(UNIT)
    run = lambda n: certify(mix, mix, steps=20, n=n, clip=(-2.0, 2.0), level=0.95)
    small, large = run(64), run(1024)
    for found in (small, large):
        (rung,) = found.rungs
        assert rung.upper.kind == "finite_sample"
        assert found.reference.endswith("clipped to [-2, 2]")
        assert not any("rare jumps" in a.name for a in found.assumptions)
        assert found.upper.value <= 4.0
    # an unseen jump of probability p costs p R^2: about 3 / n
    assert large.upper.value < small.upper.value
    assert large.upper.value > certify(mix, mix, steps=20, n=1024).upper.value


def test_a_box_without_width_is_refused():
    with pytest.raises(InputError, match="clip"):
        certify(STANDARD, STANDARD, clip=(1.0, 1.0), n=32)


def test_the_fallback_rung_is_a_bound_only_for_clipped_laws():
    settings = {"solver": "exponential", "eta": 1.0, "steps": 60, "grid": "uniform", "n": 64}
    free = certify(biased, STANDARD, constant=EXACT, start="reference", **settings)
    boxed = certify(
        biased, STANDARD, constant=EXACT, start="reference", clip=(-3.0, 3.0), **settings
    )
    moments = next(r for r in free.rungs if r.name == "fallback, moments")
    support = next(r for r in boxed.rungs if r.name == "fallback, bounded support")
    assert not moments.valid
    assert support.valid
    # J_SM = .09 T / 2 = .09 nats, Delta = 6, and the steps on top
    expected = 6 * math.sqrt(math.sqrt(0.09 / 2))
    assert expected <= support.upper.value <= expected * 1.1
    flow = certify(biased, STANDARD, constant=EXACT, n=64)
    assert not any(r.name.startswith("fallback") for r in flow.rungs)
