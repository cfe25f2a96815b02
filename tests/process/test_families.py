"""What distinguishes each family: its own formulas, and the coefficients it refuses."""

import math

import pytest
import torch
from scipy.stats import norm

from wasserscore.core.errors import InputError
from wasserscore.process import EDM, OU, VE, VP, LinearSDE, Prior, SubVP, from_dict
from wasserscore.process.keywords import non_negative, positive

T = torch.linspace(0, 1, 7, dtype=torch.float64)


@pytest.mark.parametrize(
    ("shape", "order", "sigma"),
    [
        ("exponential", None, lambda t: 0.02 * (30 / 0.02) ** t),
        ("constant", None, lambda t: (0.02**2 + (30**2 - 0.02**2) * t) ** 0.5),
        ("sqrt", None, lambda t: (0.02**2 + (30**2 - 0.02**2) * t**2) ** 0.5),
        (
            "polynomial",
            3.0,
            lambda t: (0.02 ** (1 / 3) + (30 ** (1 / 3) - 0.02 ** (1 / 3)) * t) ** 3,
        ),
        ("polynomial", 0.5, lambda t: (0.02**2 + (30**2 - 0.02**2) * t) ** 0.5),
    ],
)
def test_ve_from_sigmas_has_the_kernel_variance_of_its_levels(shape, order, sigma):
    process = VE.from_sigmas(sigma_min=0.02, sigma_max=30.0, shape=shape, order=order)
    torch.testing.assert_close(
        process.variance(T), sigma(T) ** 2 - 0.02**2, rtol=1e-12, atol=1e-15
    )
    assert process.horizon == 1


@pytest.mark.parametrize(
    ("shape", "order", "beta"),
    [
        ("linear", None, lambda t: 0.1 + 19.9 * t),
        ("polynomial", 5.0, lambda t: (0.1**0.2 + (20**0.2 - 0.1**0.2) * t) ** 5),
        ("exponential", None, lambda t: 0.1 * 200**t),
    ],
)
def test_vp_from_betas_has_the_rates_asked_for(shape, order, beta):
    process = VP.from_betas(beta_min=0.1, beta_max=20.0, shape=shape, order=order)
    torch.testing.assert_close(process.g2(T), beta(T), rtol=1e-13, atol=0)
    torch.testing.assert_close(process.f(T), beta(T) / 2, rtol=1e-13, atol=0)


@pytest.mark.parametrize(
    ("process", "g"),
    [
        (VE.constant(a=1.7), lambda t: 1.7 + 0 * t),
        (VE.sqrt(a=1.7), lambda t: (2 * 1.7 * t) ** 0.5),
        (VE.polynomial(a=1.7, b=0.2, c=0.8), lambda t: (0.2 + 1.7 * t) ** 0.8),
        (VE.exponential(a=1.7, b=0.2), lambda t: 1.7 * torch.exp(0.2 * t)),
        (VP.constant(beta=1.7), lambda t: 1.7**0.5 + 0 * t),
        (VP.linear(a=1.7, b=0.2), lambda t: (0.2 + 1.7 * t) ** 0.5),
        (VP.polynomial(a=1.7, b=0.2, rho=3.0), lambda t: (0.2 + 1.7 * t) ** 1.5),
        (VP.exponential(a=1.7, b=0.2), lambda t: (1.7 * torch.exp(0.2 * t)) ** 0.5),
        (OU(alpha=1.7, sigma=0.2), lambda t: 0.2 + 0 * t),
        (EDM(), lambda t: (2 * t) ** 0.5),
    ],
    ids=lambda value: value.family if hasattr(value, "family") else "",
)
def test_diffusion_of_the_general_parametrisation(process, g):
    torch.testing.assert_close(process.g2(T), g(T) ** 2, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("wrong", ["1", None, [1.0]])
def test_coefficients_are_numbers(wrong):
    with pytest.raises(InputError, match="VE: a must be positive, got"):
        positive("VE", a=wrong)
    with pytest.raises(InputError, match="VE: b must be non-negative, got"):
        non_negative("VE", b=wrong)


def test_edm_is_the_sqrt_process():
    edm, sqrt = EDM(sigma_max=80.0), VE.sqrt(a=1.0, horizon=80.0)
    for name in ("g2", "variance", "time_at"):
        torch.testing.assert_close(getattr(edm, name)(T), getattr(sqrt, name)(T))


def test_cosine_signal_factor():
    process = VP.cosine(offset=0.008)
    t = T * process.horizon
    angle = lambda u: (u + 0.008) / 1.008 * math.pi / 2
    torch.testing.assert_close(process.alpha(t), torch.cos(angle(t)) / math.cos(angle(0)))


def test_cosine_keeps_its_digits_near_the_data():
    """B(t) = 2 v tan(v o) t + O(t^2), also at t = 1e-12, where cosines agree to all digits."""
    process, t = VP.cosine(), 1e-12
    speed = math.pi / 2 / 1.008
    slope = 2 * speed * math.tan(speed * 0.008)
    assert float(process.variance(t)) == pytest.approx(slope * t, rel=1e-9)
    assert float(process.time_at(slope * t)) == pytest.approx(t, rel=1e-9)


def test_strasman_rate_and_its_linear_limit():
    process = VP.strasman(beta_min=0.1, beta_max=20.0, curvature=2.5)
    expected = 0.1 + 19.9 * (torch.exp(2.5 * T) - 1) / (math.exp(2.5) - 1)
    torch.testing.assert_close(process.g2(T), expected)
    flat = VP.strasman(beta_min=0.1, beta_max=20.0, curvature=1e-12)
    linear = VP.from_betas(beta_min=0.1, beta_max=20.0)
    torch.testing.assert_close(flat.variance(T), linear.variance(T), rtol=1e-11, atol=1e-14)


def test_small_exponents_approach_the_constant_process():
    t = 0.7
    for b in (1e-3, 1e-6, 1e-12):
        near, flat = VE.exponential(a=1.3, b=b), VE.constant(a=1.3)
        assert float(near.variance(t)) == pytest.approx(float(flat.variance(t)), rel=1.1 * b)
        near, flat = VP.exponential(a=1.3, b=b), VP.constant(beta=1.3)
        assert float(near.variance(t)) == pytest.approx(float(flat.variance(t)), rel=1.1 * b)


def test_sub_vp_clock_keeps_its_digits():
    """S ~ B^2 near the data; the arccosh form of the inverse would return zero here."""
    process = SubVP.linear(a=1.0, b=1.0)
    t = 1e-9
    assert float(process.noise_to_signal(t)) == pytest.approx(1e-18, rel=2e-9)
    assert float(process.time_at(1e-18)) == pytest.approx(t, rel=2e-9)
    assert float(process.integrated_g2(t)) == pytest.approx(1e-18, rel=3e-9)


def test_default_horizons_reach_the_same_noise_to_signal():
    for process in (VE.sqrt(a=2.0), VP.linear(a=3.0, b=0.5), SubVP.linear(a=1.0, b=1.0)):
        assert float(process.noise_to_signal(process.horizon)) == pytest.approx(1e4)
    assert VP.constant(beta=2.0).horizon == pytest.approx(math.log(10001) / 2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: VE.constant(a=0.0), "VE.constant: a must be positive"),
        (lambda: VE.sqrt(a=-1.0), "VE.sqrt: a must be positive"),
        (lambda: VE.polynomial(a=0.0, b=1.0, c=1.0), "use VE.constant"),
        (lambda: VE.polynomial(a=1.0, b=1.0, c=-0.5), "the rate must grow"),
        (lambda: VE.polynomial(a=1.0, b=0.0, c=-0.2), "b must be positive"),
        (lambda: VE.polynomial(a=1.0, b=-1.0, c=1.0), "b must be non-negative"),
        (lambda: VE.exponential(a=1.0, b=0.0), "for b = 0 use VE.constant"),
        (lambda: VE.exponential(a=1.0, b=-1.0), "b must be positive"),
        (lambda: VE.constant(a=1.0, horizon=0.0), "horizon must be positive"),
        (lambda: VE.constant(a=1.0, horizon=float("nan")), "horizon must be positive"),
        (lambda: VE.from_sigmas(sigma_min=2.0, sigma_max=1.0), "sigma_max must exceed"),
        (lambda: VE.from_sigmas(sigma_min=0.0, sigma_max=1.0), "sigma_min must be positive"),
        (lambda: VE.from_sigmas(sigma_min=0.1, sigma_max=1.0, shape="cubic"), "unknown shape"),
        (
            lambda: VE.from_sigmas(sigma_min=0.1, sigma_max=1.0, shape="polynomial"),
            "needs an order",
        ),
        (lambda: VE.from_sigmas(sigma_min=0.1, sigma_max=1.0, order=2.0), "has an order"),
        (lambda: VP.constant(beta=0.0), "beta must be positive"),
        (lambda: VP.linear(a=0.0, b=1.0), "use VP.constant"),
        (lambda: VP.polynomial(a=0.0, b=1.0, rho=2.0), "use VP.constant"),
        (lambda: VP.polynomial(a=1.0, b=1.0, rho=-1.0), "exponent -1 from rho"),
        (lambda: VP.exponential(a=1.0, b=0.0), "for b = 0 use VP.constant"),
        (lambda: VP.exponential(a=-1.0, b=1.0), "a must be positive"),
        (lambda: VP.from_betas(beta_min=2.0, beta_max=1.0), "beta_max must exceed"),
        (lambda: VP.from_betas(beta_min=1.0, beta_max=2.0, shape="constant"), "one rate"),
        (lambda: VP.cosine(horizon=1.0), "below 1"),
        (
            lambda: VP.strasman(beta_min=0.1, beta_max=1.0, curvature=0.0),
            "curvature must not be 0",
        ),
        (lambda: SubVP.linear(a=0.0, b=1.0), "a must be positive"),
        (lambda: OU(alpha=0.0, sigma=1.0), "alpha must be positive"),
        (lambda: OU(alpha=1.0, sigma=-1.0), "sigma must be positive"),
        (lambda: EDM(sigma_max=0.0), "sigma_max must be positive"),
        (lambda: from_dict({"family": "VX"}), "unknown process family"),
    ],
)
def test_degenerate_coefficients_are_refused(make, words):
    """C20 and K14."""
    with pytest.raises(InputError) as caught:
        make()
    message = str(caught.value)
    assert words.replace("the rate must grow", "must grow") in message
    assert ", got " in message


@pytest.mark.parametrize("horizon", [0.0, -1.0, math.inf, math.nan])
@pytest.mark.parametrize(
    "make",
    [
        lambda h: VE.constant(a=1.0, horizon=h),
        lambda h: VE.sqrt(a=1.0, horizon=h),
        lambda h: VE.polynomial(a=1.0, b=1.0, c=1.0, horizon=h),
        lambda h: VE.exponential(a=1.0, b=1.0, horizon=h),
        lambda h: VP.constant(beta=1.0, horizon=h),
        lambda h: VP.linear(a=1.0, b=1.0, horizon=h),
        lambda h: VP.polynomial(a=1.0, b=1.0, rho=2.0, horizon=h),
        lambda h: VP.exponential(a=1.0, b=1.0, horizon=h),
        lambda h: SubVP.linear(a=1.0, b=1.0, horizon=h),
        lambda h: OU(alpha=1.0, sigma=1.0, horizon=h),
    ],
    ids=["ve_constant", "ve_sqrt", "ve_polynomial", "ve_exponential", "vp_constant", "vp_linear",
         "vp_polynomial", "vp_exponential", "sub_vp", "ou"],
)  # fmt: skip
def test_a_horizon_that_is_no_time_is_refused(make, horizon):
    """C20: T = 0 and what is worse."""
    with pytest.raises(InputError, match="horizon must be positive"):
        make(horizon)


def test_prior_density_and_samples(generator):
    prior = Prior(std=2.5, shape=(3,))
    x = prior.sample(4000, generator=generator)
    assert x.shape == (4000, 3)
    assert float(x.std()) == pytest.approx(2.5, rel=0.03)
    expected = norm(0, 2.5).logpdf(x[:5].numpy()).sum(1)
    torch.testing.assert_close(prior.log_prob(x[:5]), torch.from_numpy(expected))
    torch.testing.assert_close(prior.from_noise(x), 2.5 * x)
    with pytest.raises(InputError, match="shape"):
        prior.log_prob(x[:, :2])
    with pytest.raises(InputError, match="at least 1"):
        prior.sample(0, generator=generator)


class TestLinearSDE:
    def test_agrees_with_a_closed_form(self):
        closed = VP.linear(a=19.9, b=0.1, horizon=1.0)
        own = LinearSDE(f=lambda t: (0.1 + 19.9 * t) / 2, g2=lambda t: 0.1 + 19.9 * t, horizon=1.0)
        t = torch.tensor([1e-9, 1e-4, 0.3, 1.0], dtype=torch.float64)
        for name in ("integrated_f", "integrated_g2", "variance", "noise_to_signal"):
            torch.testing.assert_close(
                getattr(own, name)(t), getattr(closed, name)(t), rtol=1e-12, atol=0
            )
        ratio = closed.noise_to_signal(t)
        torch.testing.assert_close(own.time_at(ratio), t, rtol=1e-11, atol=0)
        assert float(own.time_at(0.0)) == 0
        torch.testing.assert_close(
            own.exponential_weight(t, 0.4 * t), closed.exponential_weight(t, 0.4 * t),
            rtol=1e-12, atol=0,
        )  # fmt: skip

    def test_a_jump_and_a_root_singularity_are_integrated(self):
        own = LinearSDE(
            f=lambda t: torch.where(t < 1 / 3, 1.0, 4.0), g2=lambda t: 1 / t.sqrt(), horizon=1.0
        )
        assert float(own.integrated_f(1.0)) == pytest.approx(1 / 3 + 8 / 3, rel=1e-10)
        assert float(own.integrated_g2(0.25)) == pytest.approx(1.0, rel=1e-6)

    def test_constants_may_be_returned(self):
        own, closed = (
            LinearSDE(f=lambda t: 1.0, g2=lambda t: 4.0, horizon=2.0),
            OU(alpha=1.0, sigma=2.0),
        )
        assert float(own.variance(1.5)) == pytest.approx(float(closed.variance(1.5)), rel=1e-12)

    @pytest.mark.parametrize(
        ("keywords", "words"),
        [
            ({"f": lambda t: -t, "g2": lambda t: t, "horizon": 1.0}, "f(t) must be finite"),
            ({"f": lambda t: t, "g2": lambda t: -t, "horizon": 1.0}, "g2(t) must be finite"),
            ({"f": lambda t: t, "g2": lambda t: t / 0, "horizon": 1.0}, "g2(t) must be finite"),
            (
                {"f": lambda t: 0 * t, "g2": lambda t: 1 / t, "horizon": 1.0},
                "cannot be integrated",
            ),
            (
                {"f": lambda t: 0 * t, "g2": lambda t: 0 * t, "horizon": 1.0},
                "vanish everywhere",
            ),
            ({"f": lambda t: 1e3, "g2": lambda t: 1.0, "horizon": 1.0}, "must stay below 300"),
            ({"f": lambda t: t, "g2": lambda t: t, "horizon": 0.0}, "horizon must be positive"),
        ],
    )
    def test_unusable_coefficients_are_refused(self, keywords, words):
        with pytest.raises(InputError) as caught:
            LinearSDE(**keywords)
        assert words in str(caught.value)

    def test_times_outside_are_refused_and_it_cannot_be_stored(self):
        own = LinearSDE(f=lambda t: 0 * t, g2=lambda t: 1 + t, horizon=1.0)
        with pytest.raises(InputError, match="times must lie in"):
            own.variance(1.1)
        with pytest.raises(InputError, match="noise_to_signal must lie in"):
            own.time_at(10.0)
        with pytest.raises(InputError, match="cannot be saved"):
            own.to_dict()
        with pytest.raises(TypeError, match="keywords only"):
            LinearSDE(lambda t: t, lambda t: t, 1.0)


def test_long_chains_are_spelled_by_their_ends():
    process = VP.chain(betas=[0.01 * (k + 1) for k in range(20)])
    assert repr(process) == "VP.chain(betas=[0.01, 0.02, ..., 0.2], horizon=20.0)"
    assert VP.linear(a=1 / 3, b=0.1).call(2).startswith("VP.linear(a=0.33, b=0.1")
    assert from_dict(process.to_dict()) == process
