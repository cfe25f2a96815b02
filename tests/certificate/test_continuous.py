"""Theorem 1 at a score and a reference, inside the ladder, and limits that hold at every n."""

import math
from dataclasses import replace

import pytest
import torch

from wasserscore.certificate import certify
from wasserscore.certificate.concavity import LogConcave
from wasserscore.certificate.constants import OneSided, estimate, from_concavity
from wasserscore.certificate.continuous import continuous_bound
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.refinement import steps_gap
from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.data import Scaling
from wasserscore.dynamics import TimeGrid
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
    assert expected * (1 - 1e-6) <= found.integral.value <= 1.05 * expected
    corollary = {1.0: 0.394512, 0.0: 0.3}[eta]
    assert corollary * (1 - 1e-6) <= found.cauchy_schwarz.value <= 1.05 * corollary
    assert 0.09 * (1 - 1e-6) <= found.score_matching <= 1.1 * 0.09  # J = .09 T / 2
    assert found.offset == 0.0
    assert torch.allclose(found.error, torch.full_like(found.error, 0.09), rtol=1e-9)
    # its integrand is what a page plots: k I sqrt(b)
    k = (1 + eta**2) / 2
    exact = k * torch.exp(found.times * (0.5 - k)) * 0.3
    assert torch.allclose(found.integrand, exact, rtol=2e-3)


def test_the_denoising_form_is_the_published_one():  # A8: 1.921948, from samples of the target
    found = continuous_bound(coupling(start="reference"), EXACT, n=16, level=0.9)
    assert 1.921948 <= found.denoising.value <= 1.1 * 1.921948


def test_the_offset_is_the_exact_one_for_gaussians():
    narrow = GaussianScore(torch.zeros(1, dtype=F64), torch.full((1, 1), 0.25, dtype=F64), UNIT)
    constant = from_concavity(LogConcave(4.0, 4.0), UNIT)
    found = continuous_bound(coupling(narrow, narrow), constant, n=16, level=0.99)
    v, sigma = 0.25 * math.exp(-2) + 1 - math.exp(-2), math.sqrt(1 - math.exp(-2))
    growth = math.exp(-1) * 0.25 / v  # I(T) = alpha_T v_0 / v_T
    exact = growth * abs(math.sqrt(v) - sigma)
    assert exact <= found.offset <= exact * (1 + 2e-3)  # an upper sum over thousands of cells
    assert found.integral.value == pytest.approx(found.offset, abs=1e-6)


@pytest.mark.parametrize(("name", "eta"), [("exponential", 0.0), ("euler_maruyama", 1.0)])
def test_the_steps_gap_covers_the_distance_to_a_very_fine_sampler(name, eta):
    one = coupling(name=name, eta=eta, steps=12)
    found = steps_gap(one, 64, 0.99)
    half = steps_gap(coupling(name=name, eta=eta, steps=24), 64, 0.99)
    assert found.limit >= found.estimate.value > 0
    # first order, with additive noise too
    assert 1.6 < found.estimate.value / half.estimate.value < 2.4
    assert found.ratio == pytest.approx(0.25, abs=0.1)
    assert found.assumption.status == "assumed"


@pytest.mark.slow
def test_the_theorems_rungs_stand_in_the_ladder_and_hold():
    found = certify(
        biased, STANDARD, solver="exponential", eta=1.0, steps=10, grid="uniform",
        start="reference", stop=1e-4, n=32, constant=EXACT,
    )  # fmt: skip
    names = [rung.name for rung in found.rungs]
    assert names[:3] == [
        "theorem, denoising form", "theorem, Cauchy-Schwarz", "theorem, integral"
    ]  # fmt: skip
    denoising, corollary, integral = (rung.upper.value for rung in found.rungs[:3])
    assert denoising > corollary > integral
    values = {rung.name: rung.upper.value for rung in found.rungs}
    assert integral > values["synchronous coupling"]
    estimates = {"fallback, moments", "effective constant", "pathwise constant"}
    assert all(rung.valid != (rung.name in estimates) for rung in found.rungs)
    # a bias has one constant everywhere, so the coupling's own says what the theorem does
    for name in ("effective constant", "pathwise constant"):
        assert values[name] == pytest.approx(0.379272, rel=0.15)
    # nobody has verified what the user says of the model's score
    constant = next(a for a in found.assumptions if "one-sided constant holds" in a.name)
    assert constant.status == "assumed"
    assert found.rungs[2].details.times.shape == (64,)
    assert not found.certified


@pytest.mark.slow
def test_an_estimated_constant_never_makes_the_bound():
    mix = two_modes(VP.linear(a=19.9, b=0.1, horizon=1.0))
    wrong = lambda x, t: mix(x, t) + 0.1 + 0.15 * torch.sin(2 * x)
    generator = torch.Generator().manual_seed(0)
    clouds = [
        (t, mix.sample_marginal(32, t, generator=generator)) for t in (0.001, 0.05, 0.3, 1.0)
    ]
    found = certify(wrong, mix, steps=6, n=32, constant=estimate(wrong, clouds))
    theorem = [rung for rung in found.rungs if rung.name.startswith("theorem")]
    assert theorem
    assert not any(rung.valid for rung in theorem)
    assert all(rung.vacuous for rung in theorem)
    assert all(rung.upper.kind == "estimated" for rung in theorem)
    assert not found.best().name.startswith("theorem")
    assert "certified" not in next(
        a.detail for a in found.assumptions if "constant holds" in a.name
    )


@pytest.mark.slow
def test_atoms_have_no_theorem():
    atoms = EmpiricalScore(torch.tensor([[-1.0], [1.0]], dtype=F64), UNIT)
    with pytest.raises(InputError, match="bandwidth"):
        continuous_bound(coupling(atoms, atoms), EXACT, n=16, level=0.9)
    stopped = coupling(atoms, atoms, stop=0.1, steps=10)
    assert continuous_bound(stopped, EXACT, n=16, level=0.9).integral.value > 0


@pytest.mark.slow
def test_clipping_makes_limits_that_hold_at_every_n():
    mix = two_modes(UNIT)
    run = lambda n: certify(mix, mix, steps=20, n=n, clip=(-2.0, 2.0), level=0.95)
    small, large = run(64), run(1024)
    for found in (small, large):
        assert [rung.name for rung in found.rungs] == ["synchronous coupling", "coupled transport"]
        assert all(rung.upper.kind == "finite_sample" and rung.valid for rung in found.rungs)
        assert found.reference.endswith("clipped to [-2, 2]")
        assert not any("rare jumps" in a.name for a in found.assumptions)
        assert found.upper.value <= 4.0
    # an unseen jump of probability p costs p R^2: about 3 / n
    assert large.upper.value < small.upper.value
    assert large.upper.value > certify(mix, mix, steps=20, n=1024).upper.value


def test_a_box_without_width_is_refused():
    with pytest.raises(InputError, match="clip"):
        certify(STANDARD, STANDARD, clip=(1.0, 1.0), n=32)


@pytest.mark.slow
def test_the_fallback_rung_is_a_bound_only_for_clipped_laws():
    settings = {"solver": "exponential", "eta": 1.0, "steps": 10, "grid": "uniform", "n": 32,
                "start": "reference", "stop": 1e-6, "constant": EXACT}  # fmt: skip
    free = certify(biased, STANDARD, **settings)
    boxed = certify(biased, STANDARD, clip=(-3.0, 3.0), **settings)
    moments = next(r for r in free.rungs if r.name == "fallback, moments")
    support = next(r for r in boxed.rungs if r.name == "fallback, bounded support")
    assert not moments.valid
    assert support.valid
    # J_SM = .09 T / 2 = .09 nats, Delta = 6, and the steps on top
    expected = 6 * math.sqrt(math.sqrt(0.09 / 2))
    assert expected <= support.upper.value <= expected * 1.15
    flow = certify(biased, STANDARD, constant=EXACT, n=16, steps=4)
    assert not any(r.name.startswith("fallback") for r in flow.rungs)


# What would make a bound wrong ------------------------------------------------------------------


def by_name(found):
    return {rung.name: rung for rung in found.rungs}


@pytest.mark.slow
def test_a_grid_that_starts_below_the_horizon_grows_only_from_there():  # B1
    process = VP.linear(a=19.9, b=0.1, horizon=1.0)
    narrow = GaussianScore(torch.full((1,), 2.0, dtype=F64), torch.full((1, 1), 0.25, dtype=F64),
                           process)  # fmt: skip
    grid = TimeGrid(torch.linspace(0.15, 0, 20, dtype=F64))
    found = certify(narrow, narrow, solver="exponential", eta=1.0, grid=grid, n=64,
                    constant=from_concavity(LogConcave(4.0, 4.0), process))  # fmt: skip
    rung = by_name(found)["theorem, integral"]
    # I(t) W2(p_t, q_t) = alpha v_0 / v_t (alpha |m| + ...) is exact for a shift and a scale
    alpha, sigma = float(process.alpha(0.15)), float(process.sigma(0.15))
    v = 0.25 * alpha**2 + sigma**2
    offset = alpha * 0.25 / v * math.hypot(2 * alpha, math.sqrt(v) - sigma)
    assert rung.valid
    assert offset <= rung.upper.value <= 1.02 * offset + 0.08
    assert found.upper.value >= 0.96  # the truth, from moments


@pytest.mark.slow
def test_scores_in_other_units_are_not_compared():  # B2
    scaled = lambda k: GaussianScore(
        torch.zeros(1, dtype=F64), torch.eye(1, dtype=F64), UNIT,
        scaling=Scaling(torch.zeros(1, dtype=F64), torch.tensor([k], dtype=F64)),
    )  # fmt: skip
    settings = {"solver": "exponential", "eta": 1.0, "steps": 6, "n": 32, "constant": EXACT}
    found = certify(scaled(1.0), scaled(2.0), **settings)
    assert not any(r.valid for r in found.rungs if r.name.startswith(("theorem", "fallback")))
    assert "scaled differently" in by_name(found)["theorem, integral"].note
    assert found.upper.value > 0.6  # the distance at six steps; the theorem would have said .07
    assert set(found.terms) == {"steps", "score and start"}
    assert by_name(certify(scaled(2.0), scaled(2.0), **settings))["theorem, integral"].valid
    with pytest.raises(InputError, match="units"):
        certify(scaled(1.0), scaled(2.0), start="reference")


def test_the_theorem_is_for_samplers_that_tend_to_the_eta_law():  # B3
    own = replace(solver("exponential"), name="mine", eta_law=False)
    for method in ("heun_churn", "pc", "adaptive", own):
        found = certify(STANDARD, STANDARD, solver=method, steps=5, n=16, constant=EXACT)
        rung = by_name(found)["theorem, integral"]
        assert not rung.valid
        assert "need not tend" in rung.note
        assert by_name(found)["synchronous coupling"].valid  # B13: one refusal refuses one


@pytest.mark.slow
def test_a_constant_that_the_score_contradicts_is_violated():
    # the true score's constant does not bound a flatter model: the rung would be below the truth
    flat = lambda x, t: 0.3 * STANDARD(x, t)
    found = certify(flat, STANDARD, solver="exponential", eta=1.0, steps=5, n=32, constant=EXACT)
    rung = by_name(found)["theorem, integral"]
    assert not rung.valid
    assert any(a.status == "violated" for a in rung.assumptions)
    assert "NOT VALID" not in found.reading()  # the best rung does not rest on it
    right = OneSided(lambda t: torch.full_like(t, -0.3), "stated")
    again = certify(flat, STANDARD, solver="exponential", eta=1.0, steps=5, n=32, constant=right)
    assert by_name(again)["theorem, integral"].valid


def test_a_short_burst_of_error_is_seen():  # B5
    centre, width = 0.8, 0.004
    bump = lambda x, t: STANDARD(x, t) + 2 * math.exp(-((t - centre) ** 2) / (2 * width**2))
    found = continuous_bound(coupling(bump, start="reference"), EXACT, n=16, level=0.99)
    truth = 2 * width * math.sqrt(2 * math.pi) * math.exp(-centre / 2)
    assert truth <= found.integral.value <= 4 * truth


@pytest.mark.slow
def test_without_an_early_stop_there_is_no_likelihood_weight():  # B6
    singular = lambda x, t: STANDARD(x, t) + 0.3 / UNIT.sigma(t)
    settings = {"solver": "exponential", "eta": 1.0, "steps": 6, "n": 32, "clip": (-4.0, 4.0)}
    free = by_name(certify(singular, STANDARD, constant=EXACT, **settings))
    for name in ("fallback, bounded support", "theorem, Cauchy-Schwarz"):
        assert not free[name].valid
        assert "early stop" in free[name].note
    assert free["theorem, integral"].valid  # finite: 1 / sigma is integrable against k
    stopped = by_name(certify(singular, STANDARD, constant=EXACT, stop=1e-3, **settings))
    assert stopped["fallback, bounded support"].valid
    smooth = by_name(certify(STANDARD, STANDARD, constant=EXACT, **settings))
    assert smooth["fallback, bounded support"].valid


@pytest.mark.slow
def test_an_asymptotic_rung_keeps_its_assumption_beside_finite_sample_ones():  # B7
    found = certify(biased, STANDARD, solver="exponential", eta=1.0, steps=6, n=32,
                    clip=(-6.0, 6.0), constant=EXACT)  # fmt: skip
    rungs = by_name(found)
    rare = [a for a in rungs["theorem, integral"].assumptions if "rare jumps" in a.name]
    assert len(rare) == 1
    assert rare[0] in found.assumptions
    assert rungs["synchronous coupling"].assumptions == ()


def test_a_grid_whose_error_does_not_halve_is_noticed():  # B8
    # a score with a kink in time far finer than the grid: refinement does not help yet
    kink = lambda x, t: STANDARD(x, t) + 3 * math.copysign(1, math.sin(4000 * t))
    found = steps_gap(coupling(kink, name="euler_maruyama", steps=4, start="reference"), 16, 0.9)
    assert found.ratio > 0.5
    assert found.assumption.status == "violated"


def test_vacuous_is_measured_against_the_clipped_spread():  # B12
    near = two_modes(VP.linear(a=19.9, b=0.1, horizon=1.0))
    wide = replace(near, means=5 * near.means)
    found = certify(lambda x, t: 0 * x, wide, n=64, steps=10, clip=(-1.0, 1.0))
    assert found.spread == pytest.approx(1.0, abs=0.1)
    assert found.vacuous


@pytest.mark.slow
@pytest.mark.parametrize("eta", [1.0, 0.5])
def test_the_weight_of_the_cauchy_schwarz_form_is_yours(eta):
    # b = .09, I = exp((1/2 - k) t); lambda = exp(-2 t)
    k, T = (1 + eta**2) / 2, 2.0
    rate = 3 - 2 * k
    K = k**2 * (math.exp(rate * T) - 1) / rate
    J = 0.09 / 2 * (1 - math.exp(-2 * T)) / 2
    found = continuous_bound(coupling(eta=eta, start="reference"), EXACT, n=512, level=0.9,
                             weight=lambda t: torch.exp(-2 * t))  # fmt: skip
    exact = math.sqrt(2 * K * J)
    assert exact * (1 - 1e-6) <= found.cauchy_schwarz.value <= 1.05 * exact
    # a factor of the weight changes nothing
    again = continuous_bound(coupling(eta=eta, start="reference"), EXACT, n=512, level=0.9,
                             weight=lambda t: 7 * torch.exp(-2 * t))  # fmt: skip
    assert again.cauchy_schwarz.value == pytest.approx(found.cauchy_schwarz.value, rel=1e-9)
    assert found.integral.value < found.cauchy_schwarz.value
