"""The swapped form for the sampler as it is: never below the truth, tight where it can be."""

import math

import pytest
import torch

from wasserscore.certificate import certify
from wasserscore.certificate.closed import certified
from wasserscore.certificate.concavity import LogConcave, Smoothed
from wasserscore.certificate.constants import OneSided, from_concavity
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.frozen import freezes, frozen_steps, within
from wasserscore.certificate.swapped import swapped_bound
from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.process import OU, VE, VP
from wasserscore.sampling import solver, time_grid
from wasserscore.score import GaussianScore, MixtureScore

F64 = torch.float64
UNIT = VP.constant(beta=1.0, horizon=2.0)
STANDARD = GaussianScore(torch.zeros(1, dtype=F64), torch.eye(1, dtype=F64), UNIT)
EXACT = from_concavity(LogConcave(1.0, 1.0), UNIT)


def biased(x, t):
    return STANDARD(x, t) + 0.3


def coupling(
    score, reference=STANDARD, *, name="heun", eta=0.0, steps=40, start="reference", stop=None
):
    grid = time_grid(reference.process, steps, "karras", stop=stop)
    return Coupling(score, reference, solver(name), grid, eta, start, 1, Streams(2))


FREEZING = [("heun", 0.0), ("dpmpp_2m", 0.0), ("ddim", 0.0), ("exponential", 0.0), ("ddim", 1.0),
            ("ancestral", 1.0), ("dpmpp_1s", 0.4), ("dpmpp_1s", 1.0)]  # fmt: skip


@pytest.mark.parametrize(("name", "eta"), FREEZING)
def test_frozen_steps_end_where_the_sampler_does(name, eta):
    one = coupling(biased, name=name, eta=eta, steps=6)
    assert freezes(one)
    n, process = 8, UNIT
    steps, noise = list(frozen_steps(one, n)), one.noise(n)
    for step, after in zip(steps, [*steps[1:], None], strict=True):
        z = noise(step.k).flatten(1) if eta > 0 else torch.zeros(n, 1, dtype=F64)
        end = within(step, eta, torch.full((n,), step.lower, dtype=F64), z)
        begin = within(step, eta, torch.full((n,), step.upper, dtype=F64), z)
        assert torch.allclose(begin, step.y, atol=1e-12)
        if after is not None:
            assert torch.allclose(end, after.y, atol=1e-9)
    last = float(process.alpha(0.0)) * end
    assert torch.allclose(last, one.run(n).model, atol=1e-9)


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_a_frozen_step_solves_its_equation(eta):
    # by halves: the process from t to a middle and on to s has the law of the one step
    step = next(iter(frozen_steps(coupling(biased, name="dpmpp_1s", eta=eta, steps=6), 4)))
    middle, w = math.sqrt(step.upper * step.lower), (1 + eta**2) / 2
    size = lambda t, s: s * (1 - (s / t) ** (eta**2))
    first, second = (middle / step.upper) ** w, (step.lower / middle) ** w
    assert first * second == pytest.approx((step.lower / step.upper) ** w)
    composed = second**2 * size(step.upper, middle) + size(middle, step.lower)
    assert composed == pytest.approx(size(step.upper, step.lower))
    # and a short stretch of it moves by w (D - y) / tau and has noise eta^2 per unit of the clock
    h = 1e-6 * step.upper
    at = torch.full((4,), step.upper - h, dtype=F64)
    moved = within(step, eta, at, torch.zeros(4, 1, dtype=F64)) - step.y
    assert torch.allclose(moved / h, w * (step.data - step.y) / step.upper, rtol=1e-4, atol=1e-8)
    assert size(step.upper, step.upper - h) / h == pytest.approx(eta**2, rel=1e-4)


def test_samplers_with_another_noise_are_refused():
    for name, eta in (
        ("exponential", 1.0),
        ("euler_maruyama", 0.5),
        ("ddim", 0.5),
        ("heun_churn", 1.0),
    ):
        assert not freezes(coupling(biased, name=name, eta=eta))
    with pytest.raises(InputError, match="noise of frozen data"):
        swapped_bound(coupling(biased, name="euler_maruyama", eta=1.0), EXACT, n=8, level=0.9)


def test_the_models_constant_is_refused():
    mine = OneSided(EXACT.value, "analytic", of="model")
    with pytest.raises(InputError, match="constant of the reference"):
        swapped_bound(coupling(biased), mine, n=8, level=0.9)


def test_a_bias_under_the_flow_is_met_to_a_percent():  # A2, with the steps of a real sampler
    found = swapped_bound(coupling(biased, steps=80), EXACT, n=256, level=0.95)
    assert 0.3 <= found.upper.value <= 0.3 * 1.005
    assert found.offset == 0.0
    assert found.upper.kind == "asymptotic"
    assert float(found.shares.sum()) == pytest.approx(1.0)


def test_more_steps_bring_the_exact_score_to_nothing():
    values = [swapped_bound(coupling(STANDARD, steps=k), EXACT, n=64, level=0.95).upper.value
              for k in (10, 20, 40)]  # fmt: skip
    assert values[0] / values[1] == pytest.approx(2.0, rel=0.2)
    assert values[1] / values[2] == pytest.approx(2.0, rel=0.2)


def test_the_offset_is_contracted_by_the_references_constant():  # A6
    narrow = GaussianScore(torch.zeros(1, dtype=F64), torch.full((1,), 0.25, dtype=F64), UNIT)
    constant = certified(narrow)
    for eta, power in ((0.0, 0.5), (1.0, 1.0)):
        one = coupling(narrow, narrow, name="dpmpp_1s", eta=eta, steps=20, start="prior")
        found = swapped_bound(one, constant, n=64, level=0.95)
        alpha, v = math.exp(-1), 0.25 * math.exp(-2) + 1 - math.exp(-2)
        start = abs(math.sqrt(v) - math.sqrt(1 - math.exp(-2))) / alpha
        growth = (0.25 / (v / alpha**2)) ** power
        assert found.offset == pytest.approx(growth * start, rel=0.02)
        assert found.offset >= growth * start


@pytest.mark.parametrize(("name", "eta"), FREEZING)
@pytest.mark.parametrize(
    "process", [UNIT, VE.constant(a=1.0, horizon=9.0), OU(alpha=1.0, sigma=1.5)]
)
def test_it_is_above_the_coupling_of_the_same_runs(name, eta, process):
    generator = torch.Generator().manual_seed(1)
    root = torch.randn(3, 3, generator=generator, dtype=F64) / 2
    law = GaussianScore(
        torch.ones(3, dtype=F64), root @ root.mT + 0.2 * torch.eye(3, dtype=F64), process
    )
    model = lambda x, t: 0.8 * law(x, t) + 0.1
    one = coupling(model, law, name=name, eta=eta, steps=8, start="prior", stop=0.01)
    found = swapped_bound(one, certified(law), n=128, level=0.95)
    ends = one.run(128)
    coupled = float((ends.reference - ends.model).square().sum(1).mean().sqrt())
    assert coupled <= found.upper.value <= 20 * coupled


def test_a_constant_that_explodes_gives_a_finite_logarithm_and_a_vacuous_bound():
    narrow = MixtureScore(torch.ones(2, dtype=F64), torch.tensor([[-1.0], [1.0]], dtype=F64),
                          torch.full((2,), 1e-4, dtype=F64), UNIT)  # fmt: skip
    found = swapped_bound(coupling(narrow, narrow), from_concavity(Smoothed(1.0, 0.01), UNIT),
                          n=16, level=0.95)  # fmt: skip
    assert float(found.log_growth[0]) > 1e3
    assert bool(torch.isfinite(found.log_growth).all())
    assert found.upper.value == math.inf


def test_an_estimated_constant_gives_an_estimate():
    guess = OneSided(EXACT.value, "estimated", of="reference")
    found = swapped_bound(coupling(biased), guess, n=32, level=0.95)
    assert found.upper.kind == "estimated"


@pytest.mark.slow
def test_the_rung_stands_in_the_ladder_where_the_constant_is_the_references():
    found = certify(
        biased, STANDARD, steps=60, n=128, start="reference", constant=certified(STANDARD)
    )
    rungs = {rung.name: rung for rung in found.rungs}
    swapped = rungs["theorem, swapped"]
    assert swapped.valid
    assert swapped.upper.value == pytest.approx(0.3, abs=0.01)
    (constant,) = [a for a in swapped.assumptions if "one-sided" in a.name]
    assert constant.status == "checked"  # proved, for this very reference
    # and it makes no bound of the model's form
    model = rungs["theorem, integral"]
    assert not model.valid
    assert "swapped form" in model.note


@pytest.mark.slow
def test_a_constant_of_the_true_score_is_no_certificate_of_a_weaker_model():  # the audit's B4
    weak = lambda x, t: 0.3 * STANDARD(x, t)
    for of in ("reference", "model"):
        constant = from_concavity(LogConcave(1.0, 1.0), UNIT, of=of)
        found = certify(weak, STANDARD, solver="ddim", eta=1.0, steps=10, n=32, constant=constant)
        theorem = [
            r for r in found.rungs if r.name in ("theorem, integral", "theorem, denoising form")
        ]
        assert theorem
        assert not any(rung.valid for rung in theorem)
    refuted = next(a for a in found.assumptions if "one-sided" in a.name)
    assert refuted.status == "violated"


def test_a_constant_of_the_reference_that_is_too_small_is_refuted_with_a_witness():
    low = OneSided(lambda t: torch.full_like(t, -2.0), "stated", of="reference")
    found = certify(biased, STANDARD, steps=10, n=32, constant=low)
    rung = next(r for r in found.rungs if r.name == "theorem, swapped")
    assert not rung.valid
    (constant,) = [a for a in rung.assumptions if "one-sided" in a.name]
    assert "-1 > -2" in constant.detail


def test_an_estimate_of_the_reference_is_shown_and_never_certified():
    guess = OneSided(EXACT.value, "estimated", of="reference")
    found = certify(biased, STANDARD, steps=10, n=32, constant=guess)
    rung = next(r for r in found.rungs if r.name == "theorem, swapped")
    assert not rung.valid
    text = repr(rung) + rung.note + "".join(map(repr, rung.assumptions))
    assert "certified" not in text
