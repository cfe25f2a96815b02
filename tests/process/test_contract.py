"""The contract of every family: closed forms against quadrature, identities, round trips."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from tests.process.families import MEMBERS

from wasserscore.core.errors import InputError
from wasserscore.process import EDM, VP, LinearSDE, Process, from_dict
from wasserscore.process.base import as_time

pytestmark = pytest.mark.filterwarnings("ignore::scipy.integrate.IntegrationWarning")
FRACTIONS = (1e-6, 0.05, 0.4, 0.9)
members = pytest.mark.parametrize("process", MEMBERS.values(), ids=MEMBERS)
keywords_only = pytest.mark.parametrize(
    "process", [p for p in MEMBERS.values() if not isinstance(p, LinearSDE)]
)


def integral(function, low, high):
    value, _ = quad(lambda u: float(function(u)), low, high, epsabs=0, epsrel=1e-12, limit=400)
    return value


def close(value, expected, rel=1e-10):
    assert float(value) == pytest.approx(expected, rel=rel, abs=1e-300)


def check_closed_forms(p: Process, t: float) -> None:
    """C1: H, G, the variance, S and the theorem's exponent against quadrature of f and g2."""
    close(p.integrated_f(t), integral(p.f, 0, t))
    close(p.integrated_g2(t), integral(p.g2, 0, t))
    shrink = float(p.integrated_f(t))
    kernel = lambda u: math.exp(2 * float(p.integrated_f(u))) * float(p.g2(u))
    close(p.variance(t), integral(lambda u: math.exp(-2 * shrink) * kernel(u), 0, t))
    close(p.noise_to_signal(t), integral(kernel, 0, t))
    m0 = 4.0
    contraction = lambda u: (
        m0 * float(p.g2(u)) / (math.exp(-2 * float(p.integrated_f(u))) + m0 * float(p.variance(u)))
    )
    close(math.log1p(m0 * float(p.noise_to_signal(t))), integral(contraction, 0, t))


@members
@pytest.mark.parametrize("fraction", FRACTIONS)
def test_closed_forms_equal_quadrature(process, fraction):
    check_closed_forms(process, fraction * process.horizon)


@members
def test_closed_forms_at_the_times_of_the_paper_spec(process):
    for t in (0.05, 0.4, 1.0, 2.0):
        if t <= process.horizon:
            check_closed_forms(process, t)


@members
@pytest.mark.parametrize("ratio", [0.0, 0.5, 0.999])
def test_exponential_weight_equals_quadrature(process, ratio):
    for fraction in (1e-3, 0.3, 0.9):
        t = fraction * process.horizon
        s = ratio * t
        start = float(process.integrated_f(s))
        kernel = lambda u, start=start: (
            math.exp(float(process.integrated_f(u)) - start) * float(process.g2(u))
        )
        close(process.exponential_weight(t, s), integral(kernel, s, t))


@members
def test_derivatives(process):
    """dH = f, dG = g2, d variance = g2 - 2 f variance, dS = exp(2H) g2, by autograd."""
    t = (torch.tensor([1e-3, 0.2, 0.6, 0.95]).double() * process.horizon).requires_grad_()

    def slope(function):
        (grad,) = torch.autograd.grad(function(t).sum() + 0 * t.sum(), t)
        return grad

    f, g2 = process.f(t), process.g2(t)
    growth = torch.exp(2 * process.integrated_f(t)) * g2
    tight = {"rtol": 1e-9, "atol": 1e-14}
    torch.testing.assert_close(slope(process.integrated_f), f, **tight)
    torch.testing.assert_close(slope(process.integrated_g2), g2, **tight)
    torch.testing.assert_close(slope(process.noise_to_signal), growth, **tight)
    expected = g2 - 2 * f * process.variance(t)
    torch.testing.assert_close(slope(process.variance), expected, rtol=1e-8, atol=1e-10)


@members
@given(log_ratio=st.floats(-18, 0))
def test_time_at_inverts_noise_to_signal(process, log_ratio):
    ratio = math.exp(log_ratio) * float(process.noise_to_signal(process.horizon)) * 0.999
    t = process.time_at(ratio)
    assert 0 < float(t) <= process.horizon
    close(process.noise_to_signal(t), ratio, rel=1e-11)


@members
def test_marginals_agree_with_each_other(process):
    t = torch.linspace(0, 1, 9).double() * process.horizon
    alpha, sigma = process.alpha(t), process.sigma(t)
    torch.testing.assert_close(alpha, torch.exp(-process.integrated_f(t)))
    torch.testing.assert_close(sigma**2, process.variance(t))
    torch.testing.assert_close(process.noise_to_signal(t), (sigma / alpha) ** 2)
    assert float(alpha[0]) == 1
    assert float(sigma[0]) == 0
    assert bool((process.noise_to_signal(t).diff() > 0).all())


@members
def test_times_may_be_numbers_or_tensors(process):
    names = ("f", "g2", "integrated_f", "integrated_g2", "variance", "noise_to_signal", "time_at")
    times = torch.tensor([0.1, 0.5]).double() * process.horizon
    for name in names:
        function = getattr(process, name)
        both = function(times)
        assert both.dtype == torch.float64
        torch.testing.assert_close(
            both, torch.stack([function(float(t)) for t in times]), rtol=1e-13, atol=0
        )
        narrow = function(times.float())
        assert narrow.dtype == torch.float32
        torch.testing.assert_close(narrow.double(), both, rtol=1e-3, atol=1e-6)
    assert process.f(1 if process.horizon > 1 else 0).dtype == torch.float64


@members
def test_perturb_has_the_kernel_moments(process, generator):
    t = 0.5 * process.horizon
    x0 = torch.tensor([[2.0, -1.0]]).double().expand(20000, 2)
    x_t, z = process.perturb(x0, t, generator=generator)
    alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
    torch.testing.assert_close(x_t, alpha * x0 + sigma * z)
    error = 4 * sigma / math.sqrt(20000)
    torch.testing.assert_close(x_t.mean(0), alpha * x0[0], rtol=0, atol=error)
    torch.testing.assert_close(x_t.var(0) / sigma**2, torch.ones(2).double(), rtol=0.04, atol=0)


@members
def test_perturb_takes_a_time_per_point(process, generator):
    t = torch.tensor([0.1, 0.9]).double() * process.horizon
    x0 = torch.ones(2, 3, 2).double()
    x_t, z = process.perturb(x0, t, generator=generator)
    for row in range(2):
        expected = process.alpha(t[row]) * x0[row] + process.sigma(t[row]) * z[row]
        torch.testing.assert_close(x_t[row], expected)


@members
@pytest.mark.parametrize("t", [-1.0, float("nan"), torch.tensor([0.1, -1e-9])])
def test_no_function_of_time_takes_what_is_no_time(process, t, generator):
    weight = lambda t: process.exponential_weight(t, 0.0)
    perturb = lambda t: process.perturb(torch.ones(2, 3), t, generator=generator)
    for function in (process.f, process.g2, process.alpha, process.sigma, process.integrated_f,
                     process.integrated_g2, process.variance, process.noise_to_signal,
                     process.time_at, weight, perturb):  # fmt: skip
        with pytest.raises(InputError, match="must not be negative or NaN, got"):
            function(t)


def test_times_may_be_lists_and_arrays_of_numbers():
    for times in ([0.1, 0.9], np.array([0.1, 0.9])):
        assert as_time(times).tolist() == [0.1, 0.9]
    for wrong in ("half", None, 1j, ["a"]):
        with pytest.raises(InputError, match="t must be a number, got"):
            as_time(wrong)


def test_perturb_refuses_times_that_do_not_fit_the_points(generator):
    with pytest.raises(InputError, match="one for each of 2 points"):
        EDM().perturb(torch.zeros(2, 3), torch.ones(3), generator=generator)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_perturb_keeps_the_type_of_points(dtype, generator):
    drawn = EDM().perturb(torch.zeros(2, 3, dtype=dtype), torch.ones(2), generator=generator)
    assert [x.dtype for x in drawn] == [dtype, dtype]


@pytest.mark.parametrize("process", [EDM(), VP.linear(a=0.1, b=19.9)])
def test_functions_of_time_are_mapped_and_compiled_and_traced(process):
    times = torch.tensor([0.1, 0.2, 0.4])
    each = torch.stack([torch.func.grad(process.sigma)(t) for t in times])
    mapped = torch.vmap(torch.func.grad(process.sigma))(times)
    torch.testing.assert_close(mapped, each)
    whole = torch.compile(process.sigma, fullgraph=True, backend="eager")
    torch.testing.assert_close(whole(times), process.sigma(times))
    assert process.sigma(times.to("meta")).shape == (3,)


@members
def test_prior_is_the_noise_at_the_horizon(process):
    prior = process.prior((2, 3))
    assert prior.std == pytest.approx(float(process.sigma(process.horizon)), rel=1e-15)
    assert prior.shape == (2, 3)


@members
def test_describes_itself(process):
    text = process.describe()
    assert repr(process) in text
    assert "x_t | x_0 ~ N(" in text
    assert "source: " in text


@keywords_only
def test_the_stored_call_makes_the_process_again(process):
    again = from_dict(process.to_dict())
    assert again == process
    assert repr(again) == repr(process)
    t = 0.37 * process.horizon
    assert float(again.variance(t)) == float(process.variance(t))


@keywords_only
def test_positional_coefficients_are_refused_and_the_keywords_named(process):
    keywords = {k: v for k, v in process.to_dict().items() if k != "family"}
    call = type(process)
    if "." in process.family:
        call = getattr(call, process.family.split(".")[1])
    with pytest.raises(TypeError, match="keywords only") as caught:
        call(*keywords.values())
    assert all(f"{name}=" in str(caught.value) for name in keywords)


@pytest.mark.parametrize("shape", ["constant", "sqrt", "polynomial"])
def test_a_coefficient_that_is_not_the_derivative_is_rejected(shape):
    """C19: the exponential type's g under other marginals must fail the closed-form check."""
    right = MEMBERS[f"ve_sigmas_{shape}"]
    log_ratio = math.log(50.0 / 0.01)

    class Wrong(type(right)):
        def g2(self, t):
            return 2 * log_ratio * (self.variance(t) + 0.01**2)

    wrong = Wrong(schedule=right.schedule, horizon=1.0, recipe=right.recipe)
    check_closed_forms(right, 0.4)
    with pytest.raises(AssertionError):
        check_closed_forms(wrong, 0.4)
