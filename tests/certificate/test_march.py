"""Several inequalities for one distance, in logarithms."""

import math

import pytest
import torch
from scipy import integrate

from wasserscore.certificate.march import log_march

F64 = torch.float64
TIMES = torch.linspace(0, 2, 801, dtype=F64)
ZERO = torch.zeros((), dtype=F64)


def solved(rates, forcings, start):
    def rhs(tau, u):
        t = 2 - tau
        return [min(r(t) * u[0] + f(t) for r, f in zip(rates, forcings, strict=True))]

    return float(integrate.solve_ivp(rhs, (0, 2), [start], rtol=1e-10, atol=1e-12).y[0, -1])


def marched(rates, forcings, start):
    forms = [
        (torch.tensor([r(t) for t in TIMES.tolist()], dtype=F64),
         torch.tensor([f(t) for t in TIMES.tolist()], dtype=F64).log())
        for r, f in zip(rates, forcings, strict=True)
    ]  # fmt: skip
    return float(log_march(forms, TIMES, torch.tensor(start, dtype=F64).log()).exp())


RATES = (lambda t: math.cos(4 * t), lambda t: math.sin(3 * t))
FORCINGS = (lambda t: 0.5, lambda t: 0.2 + t)


def test_one_form_solves_its_equation():
    for r, f in zip(RATES, FORCINGS, strict=True):
        assert marched([r], [f], 0.3) == pytest.approx(solved([r], [f], 0.3), rel=1e-4)


def test_the_smaller_right_side_at_every_time_and_not_of_the_whole():  # K8
    both = marched(RATES, FORCINGS, 0.3)
    assert both == pytest.approx(solved(RATES, FORCINGS, 0.3), rel=1e-3)
    alone = [marched([r], [f], 0.3) for r, f in zip(RATES, FORCINGS, strict=True)]
    assert both < 0.97 * min(alone)


@pytest.mark.parametrize("rate", [1e5, -1e5, 0.0])
def test_exponents_of_any_size(rate):
    flat = torch.full_like(TIMES, rate)
    found = float(log_march([(flat, torch.zeros_like(TIMES))], TIMES, ZERO))
    exact = {1e5: 2e5 + math.log1p(1e-5), -1e5: math.log(1e-5), 0.0: math.log(3.0)}[rate]
    assert found == pytest.approx(exact, rel=1e-6)


def test_no_error_and_no_distance_stay_nothing():
    nothing = torch.full_like(TIMES, -torch.inf)
    assert (
        float(log_march([(TIMES, nothing)], TIMES, torch.tensor(-torch.inf, dtype=F64)))
        == -math.inf
    )


def test_rows_are_marched_apart():
    rate = torch.stack([TIMES, -TIMES], 1)
    forcing = torch.zeros_like(rate)
    start = torch.tensor([0.1, 2.0], dtype=F64).log()
    both = log_march([(rate, forcing)], TIMES, start)
    for i in range(2):
        one = log_march([(rate[:, i], forcing[:, i])], TIMES, start[i])
        assert float(both[i]) == pytest.approx(float(one), abs=1e-12)
