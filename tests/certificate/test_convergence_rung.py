"""The convergence theorem in the ladder: only for its own scheme, never below the distance."""

import pytest
import torch

from wasserscore.certificate import certify
from wasserscore.certificate.concavity import LogConcave
from wasserscore.certificate.convergence import DataLaw, convergence_bound
from wasserscore.process import VE
from wasserscore.score import GaussianScore

F64 = torch.float64
PROCESS = VE.constant(a=1.0, horizon=4.0)
LAW = GaussianScore(torch.tensor([0.3, -0.2], dtype=F64), torch.tensor([1.0, 1.5]).to(F64),
                    PROCESS)  # fmt: skip


def rung(score, reference=LAW, **settings):
    given = {"solver": "integrated_euler", "grid": "uniform", "steps": 200, "n": 16} | settings
    found = certify(score, reference, **given)
    return found, next((r for r in found.rungs if r.name == "convergence theorem"), None)


def test_it_is_the_theorems_bound_and_above_the_distance():
    found, one = rung(LAW)
    law = DataLaw(LogConcave(1 / 1.5, 1.0), 2, (2.5 + 0.13) ** 0.5, 1.0)
    # the rate of change of the score: 1 / v^2 of the narrow direction at time 0, or the mean's
    exact = convergence_bound(PROCESS, law, 200)
    assert one.valid
    assert one.upper.value == pytest.approx(exact.start + exact.steps, rel=0.01)
    moments = found.rungs[-1]
    assert moments.name == "exact moments"
    assert moments.upper.value <= one.upper.value


@pytest.mark.slow
def test_a_bias_along_the_path_is_its_score_error():
    exact = rung(LAW)[1]
    biased = lambda x, t: LAW(x, t) + torch.tensor([0.3, 0.4], dtype=F64)
    found = rung(biased)[1]
    law = lambda error: DataLaw(LogConcave(1 / 1.5, 1.0), 2, 1.0, 1.0, error)
    extra = convergence_bound(PROCESS, law(0.5), 200).score
    assert found.upper.value - exact.upper.value == pytest.approx(extra, rel=1e-6)


def test_too_large_a_step_is_violated():
    _, one = rung(LAW, steps=2)
    assert not one.valid
    assert any(a.name.startswith("A4") and a.status == "violated" for a in one.assumptions)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"start": "reference"}, "from the prior"),
        ({"grid": "karras"}, "uniform"),
        ({"stop": 0.1}, "uniform grid from the horizon to the data"),
    ],
)
@pytest.mark.slow
def test_another_sampler_of_the_scheme_has_no_such_theorem(change, words):
    _, one = rung(LAW, **change)
    assert not one.valid
    assert words in one.note


def test_another_scheme_is_not_mentioned():
    assert rung(LAW, solver="exponential", eta=1.0, steps=4)[1] is None
