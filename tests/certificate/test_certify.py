import json
import math
from dataclasses import replace

import pytest
import torch
from jaxtyping import TypeCheckError

from wasserscore.certificate import certify
from wasserscore.certificate.coupling import Coupling, sampling_dtype
from wasserscore.certificate.offset import stopping
from wasserscore.core.errors import AssumptionError, InputError
from wasserscore.core.random import Streams
from wasserscore.data import Scaling
from wasserscore.process import EDM, VP
from wasserscore.sampling import sample, solver, time_grid
from wasserscore.score import EmpiricalScore, GaussianScore, MixtureScore

F64 = torch.float64
VP_LINEAR = VP.linear(a=19.9, b=0.1, horizon=1.0)


def gaussian(process=VP_LINEAR, scaling=None):
    mean = torch.tensor([0.5, -1.0], dtype=F64)
    covariance = torch.tensor([[1.0, 0.6], [0.6, 0.5]], dtype=F64)
    return GaussianScore(mean, covariance, process, scaling=scaling)


def mixture(process=VP_LINEAR):
    return MixtureScore(
        torch.tensor([0.4, 0.6], dtype=F64),
        torch.tensor([[-1.0, 0.0], [1.0, 0.5]], dtype=F64),
        torch.full((2,), 0.04, dtype=F64),
        process,
    )


def coupling(score, reference, *, name="heun", steps=10, eta=None, start="prior", parts=2):
    method = solver(name)
    grid = time_grid(reference.process, steps)
    return Coupling(score, reference, method, grid, method.eta(eta), start, parts, Streams(5))


def test_a_pure_bias_is_certified_exactly():
    # both runs move the bias by the same affine steps: |X - Y| is the same for every pair
    reference = GaussianScore(torch.zeros(1, dtype=F64), torch.eye(1, dtype=F64), VP_LINEAR)
    biased = lambda x, t: reference(x, t) + 0.3
    found = certify(biased, reference, solver="ancestral", steps=30, start="reference", n=64)
    steps = time_grid(VP_LINEAR, 30)
    method, off = solver("ancestral"), 0.0
    for _, t, s in steps.pairs():
        e, q, _ = (float(c) for c in method.coefficients(VP_LINEAR, t, s, 1.0))
        off = (e - q) * off + 0.3 * q  # the score of N(0, 1) under this process is -x
    assert found.terms["score"].value == pytest.approx(off, rel=1e-10)


def test_the_models_side_is_what_sample_returns():
    for reference, name in ((gaussian(), "heun"), (mixture(), "ancestral")):
        ends = coupling(reference, reference, name=name).run(20)
        drawn = sample(reference, 20, solver=name, steps=10, seed=5, dtype=F64)
        assert torch.equal(ends.model, drawn)


@pytest.mark.slow
def test_the_models_side_is_what_sample_returns_in_its_own_dtype():
    points = torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
    reference = EmpiricalScore(points, VP_LINEAR, bandwidth=0.2)
    for name in ("heun", "ancestral"):
        coupled = replace(coupling(reference, reference, name=name), dtype=torch.float32)
        drawn = sample(reference, 20, solver=name, steps=10, seed=5)
        assert drawn.dtype == torch.float32
        assert torch.equal(coupled.run(20).model, drawn.double())
    assert sampling_dtype(reference) == torch.float32
    assert sampling_dtype(lambda x, t: x) == torch.float64


@pytest.mark.parametrize("name", ["ancestral", "dpmpp_2m_sde"])
def test_pairs_share_their_noise_in_both_dtypes(name):
    # of one point the reverse SDE is affine and these steps are exact: X and Y are one path
    for dtype, off in ((F64, 1e-12), (torch.float32, 1e-5)):
        reference = EmpiricalScore(torch.ones(1, 2, dtype=dtype), VP_LINEAR)
        given = {"solver": name, "eta": 1.0, "steps": 10, "stop": 0.05, "n": 32}
        found = certify(reference, reference, **given)
        assert sampling_dtype(reference) == dtype
        assert found.terms["steps"].value < off


@pytest.mark.slow
def test_the_error_of_a_solved_start_is_added():
    # a short horizon: the start is solved to 1e-8 of its noise, not exactly
    process = VP.linear(a=19.9, b=0.1, horizon=0.2)
    given = {"solver": "ancestral", "steps": 5, "n": 16, "parts": 1}
    found = certify(mixture(process), mixture(process), **given)
    shift = found.terms["start solved"].value
    assert 0 < shift < 0.02
    assert found.rungs[0].estimate.value > shift


def test_the_exact_score_from_the_reference_leaves_only_the_steps():
    found = certify(mixture(), mixture(), start="reference", steps=40, n=64)
    assert found.terms["start"].value == 0.0
    assert found.terms["score"].value == 0.0
    assert found.upper.value < 0.1


def test_the_terms_add_up_to_at_least_the_synchronous_rung():
    reference = mixture()
    found = certify(lambda x, t: 0.9 * reference(x, t), reference, n=64)
    total = sum(found.terms[name].value for name in ("start", "steps", "score"))
    path = found.terms["reference path"].value
    assert total >= found.rungs[0].estimate.value - path


@pytest.mark.slow
def test_transport_is_at_most_the_coupling_and_lower_estimates_are_at_most_both():
    reference = mixture()
    found = certify(lambda x, t: 0.8 * reference(x, t), reference, solver="ancestral", n=128)
    sync, transport = (rung.estimate.value for rung in found.rungs)
    assert found.lower.value <= transport * 1.001 <= sync * 1.002
    assert found.upper.value == min(rung.upper.value for rung in found.rungs)
    assert all(rung.upper.level == pytest.approx(0.975) for rung in found.rungs)
    assert found.upper.level == 0.95


@pytest.mark.slow
def test_a_higher_level_costs_something():
    reference = mixture()
    wrong = lambda x, t: 1.1 * reference(x, t)
    low, high = (
        certify(wrong, reference, n=64, steps=10, level=level).upper.value
        for level in (0.9, 0.999)
    )
    assert low < high


def test_the_starts_of_a_mixture_have_their_laws_and_are_nearly_optimal():
    process = EDM(sigma_max=20.0)
    reference = mixture(process)
    x, y, rough, shift = coupling(reference, reference).starts(20000)
    (mean, covariance), n = reference.moments(), 20000
    expected = covariance + 400 * torch.eye(2, dtype=F64)
    assert torch.allclose(x.mean(0), mean, atol=5 * 20 / math.sqrt(n))
    assert torch.allclose(x.T.cov(), expected, atol=5 * 400 * math.sqrt(2 / n))
    assert torch.equal(y, 20 * Streams(5).normal("start", 0, n, (2,), y))
    assert 0 < float((x - rough).norm(dim=1).max()) < 1e-6
    assert 0 < shift < 1e-3
    # W2(p_T, prior) is the shift of the mean up to 1/20 of the spread; the common noise leaves 1.1
    gap = float((x - y).square().sum(1).mean().sqrt())
    assert gap == pytest.approx(float(mean.norm()), abs=0.06)


def test_scaling_is_undone_on_both_sides():
    scaling = Scaling(torch.tensor([3.0, -1.0], dtype=F64), torch.tensor([10.0, 10.0], dtype=F64))
    plain, scaled = gaussian(), gaussian(scaling=scaling)
    wrong = lambda x, t: 1.2 * plain(x, t)
    before = certify(wrong, plain, n=64, stop=1e-3)
    after = certify(Wrong(scaled), scaled, n=64, stop=1e-3)
    for name in ("start", "steps", "score"):
        assert after.terms[name].value == pytest.approx(10 * before.terms[name].value, rel=1e-9)
    assert after.spread == pytest.approx(10 * before.spread, rel=1e-12)
    assert after.upper.value == pytest.approx(10 * before.upper.value, rel=1e-9)


class Wrong:
    """A wrong score that knows its scaling and process."""

    def __init__(self, right):
        self.right, self.scaling, self.process = right, right.scaling, right.process

    def __call__(self, x, t):
        return 1.2 * self.right(x, t)


def test_a_plain_callable_has_the_references_units():
    scaling = Scaling(torch.zeros(2, dtype=F64), torch.tensor([2.0, 5.0], dtype=F64))
    scaled = gaussian(scaling=scaling)
    bare = certify(lambda x, t: 1.2 * scaled(x, t), scaled, n=64)
    assert bare.upper.value == pytest.approx(certify(Wrong(scaled), scaled, n=64).upper.value)


def test_early_stopping_is_added_in_closed_form():
    reference = gaussian()
    t = 0.02
    alpha, sigma = float(VP_LINEAR.alpha(t)), float(VP_LINEAR.sigma(t))
    cost = math.sqrt((1 - alpha) ** 2 * (1.5 + 1.25) + 2 * sigma**2)
    assert stopping(reference, t).value == pytest.approx(cost, rel=1e-12)
    stopped = certify(lambda x, t: reference(x, t), reference, stop=t, n=64)
    assert stopped.terms["stop"].value == pytest.approx(cost, rel=1e-12)
    assert stopped.upper.value > cost
    assert any("early stopping" in a.name for a in stopped.assumptions)


def test_a_bound_above_the_spread_is_vacuous_and_says_so():
    reference = gaussian()
    found = certify(lambda x, t: -0.5 * x, reference, n=64)
    assert found.upper.value > found.spread == pytest.approx(math.sqrt(1.5))
    assert found.vacuous
    assert "vacuous" in found.reading()
    assert not certify(reference, reference, n=64).vacuous


def test_output_that_is_not_finite_has_an_infinite_bound():
    reference = gaussian()
    found = certify(lambda x, t: x / 0.0, reference, n=32)
    assert found.upper.value == math.inf
    assert found.vacuous
    assert [a.name for a in found.violated] == ["the sampler's output is finite"]
    said = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert not said["valid"]
    assert not any(rung["valid"] for rung in said["rungs"])


def test_a_reference_path_with_another_law_is_noticed():
    class Shifted(MixtureScore):
        def reverse_transition(self, x_t, t, s, *, noise, uniform):
            return super().reverse_transition(x_t, t, s, noise=noise, uniform=uniform) + 0.1

    right = mixture()
    wrong = Shifted(right.weights, right.means, right.covariances, VP_LINEAR)
    found = certify(right, wrong, solver="ancestral", steps=20, n=64)
    assert any(a.status == "violated" for a in found.assumptions)
    assert "NOT VALID" in found.reading()
    assert not found.certified


def test_the_certificate_reads_well_and_is_plain_json():
    found = certify(mixture(), mixture(), n=64)
    text = found.reading()
    assert "With 95 % confidence" in text
    assert f"at {found.lower.value:.3g} ± {found.lower.stderr:.2g}." in text  # may pass the bound
    assert "a mixture law in 2 dimensions" in text
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["upper"]["level"] == 0.95
    assert data["valid"]
    assert [rung["valid"] for rung in data["rungs"]] == [rung.valid for rung in found.rungs]
    assert data["best"] in ("synchronous coupling", "coupled transport")
    assert {rung["name"] for rung in data["rungs"]} >= {
        "synchronous coupling",
        "coupled transport",
    }
    for word in ("upper bounds", "terms", "assumptions", "Gelbrich", "heun, 40 steps"):
        assert word in repr(found)


@pytest.mark.slow
def test_an_empirical_reference_names_its_points_and_bandwidth():
    points = torch.randn(30, 2, generator=torch.Generator().manual_seed(0), dtype=F64)
    found = certify(
        EmpiricalScore(points, VP_LINEAR, bandwidth=0.2),
        EmpiricalScore(points, VP_LINEAR, bandwidth=0.2),
        n=32, steps=12,
    )  # fmt: skip
    assert found.reference == "the law of 30 points smoothed by bandwidth 0.2"
    assert found.upper.value < 1.0


def test_same_seed_same_certificate():
    reference = mixture()
    first, again = (
        certify(reference, reference, solver="ancestral", n=32, steps=8, seed=3) for _ in range(2)
    )
    assert first.to_dict() == again.to_dict()
    other = certify(reference, reference, solver="ancestral", n=32, steps=8, seed=4)
    assert other.upper.value != first.upper.value


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"level": 1.0}, "level"),
        ({"n": 8}, "two pairs"),
        ({"batches": 1}, "batches"),
        ({"parts": 0}, "parts"),
        ({"start": "noise"}, "start"),
        ({"eta": 1.0}, "heun"),
        ({"solver": "magic"}, "unknown solver"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, words):
    with pytest.raises(InputError, match=words):
        certify(gaussian(), gaussian(), **change)


def test_a_reference_without_a_closed_form_is_refused():
    with pytest.raises((InputError, TypeCheckError)):
        certify(gaussian(), lambda x, t: x)


def test_a_score_of_another_process_is_refused():
    with pytest.raises(InputError, match="under"):
        certify(gaussian(EDM(sigma_max=10.0)), gaussian())


def test_a_limit_answers_only_up_to_its_level():
    upper = certify(gaussian(), gaussian(), n=32).upper
    assert upper.upper(0.9) == upper.value
    with pytest.raises(AssumptionError, match="level"):
        upper.upper(0.99)


@pytest.mark.slow
def test_the_unsmoothed_data_set_costs_its_smoothing():
    points = torch.tensor([[-1.0, 0.0], [1.0, 0.5]], dtype=F64)
    scaling = Scaling(torch.zeros(2, dtype=F64), torch.tensor([1.0, 3.0], dtype=F64))
    for scale, factor in ((None, math.sqrt(2)), (scaling, math.sqrt(10))):
        score = EmpiricalScore(points, VP_LINEAR, bandwidth=0.1, scaling=scale)
        near, far = (
            certify(score, score, solver="ancestral", start="reference", n=16, steps=4, target=t)
            for t in ("reference", "data")
        )
        assert far.upper.value == pytest.approx(near.upper.value + 0.1 * factor, rel=1e-12)
        assert far.terms["smoothing"].value == pytest.approx(0.1 * factor)
        assert far.reference == "the empirical law of 2 points"
        assert any("not its population" in a.name for a in far.assumptions)
    with pytest.raises(InputError, match="smoothed data set"):
        certify(mixture(), mixture(), n=16, steps=4, target="data")


def test_the_sentence_shares_the_bound_out():
    found = certify(mixture(), mixture(), n=64)
    assert sum(found.shares.values()) == pytest.approx(found.upper.value)
    ratio = found.shares["start"] / found.shares["steps"]
    assert ratio == pytest.approx(found.terms["start"].value / found.terms["steps"].value)
    assert "(asymptotic)" in found.reading()
    assert "score error" in found.reading()


def test_certified_is_a_word_for_what_is_proved():
    reference = gaussian()
    some = lambda x, t: reference(x, t)  # nobody knows that it is affine
    assert not certify(some, reference, n=32).certified  # asymptotic
    boxed = certify(some, reference, n=32, clip=(-4.0, 4.0))
    assert boxed.upper.kind == "finite_sample"
    assert boxed.certified
    assert certify(reference, reference, n=32).certified  # by moments


@pytest.mark.parametrize("name", ["heun", "ancestral"])
def test_no_covariance_of_training_rows_is_formed_for_its_diagonal(name, monkeypatch, generator):
    """Of 2,000 rows in 3,072 columns each took 0.9 s, five times a certificate."""
    points = torch.randn(20, 3, generator=generator, dtype=F64)
    score = EmpiricalScore(points, EDM(sigma_max=80.0), bandwidth=0.2)
    formed, moments = [], EmpiricalScore.moments
    monkeypatch.setattr(EmpiricalScore, "moments", lambda law: formed.append(1) or moments(law))
    certify(score, score, solver=name, steps=4, n=16, seed=0)
    assert not formed
