import math

import pytest
import torch
from scipy import stats
from scipy.integrate import quad

from wasserscore.core.errors import InputError
from wasserscore.process import EDM, OU, VP, SubVP
from wasserscore.training import Bound, LogNormal, MinSNR, ScoreMatching
from wasserscore.training.weighting import stratified, weighting_named

PROCESSES = [
    EDM(),
    VP.from_betas(beta_min=0.1, beta_max=20.0),
    VP.cosine(),
    SubVP.linear(a=19.9, b=0.1),
    OU(alpha=0.7, sigma=1.3),
]
MIDPOINTS = (torch.arange(20000, dtype=torch.float64) + 0.5) / 20000


def largest(process):
    return math.sqrt(float(process.noise_to_signal(process.horizon)))


def test_edm_levels_and_weight_are_the_paper_s():
    """Karras et al. write sigma for data of deviation 1/2: ln sigma ~ N(-1.2, 1.2^2)."""
    r, weight = LogNormal(-1.2 + math.log(2), 1.2)(EDM(), 0.5, MIDPOINTS)
    assert float(r.log().mean()) == pytest.approx(-1.2, abs=1e-3)
    assert float(r.log().std()) == pytest.approx(1.2, abs=2e-3)
    torch.testing.assert_close(weight, (r**2 + 0.25) / (0.5 * r) ** 2, rtol=1e-12, atol=0)
    assert LogNormal().mean == pytest.approx(-1.2 + math.log(2), abs=0.01)


def test_edm_levels_stop_at_the_horizon():
    process = OU(alpha=1.0, sigma=1.0, horizon=0.5)
    top = largest(process)
    r, _ = LogNormal(0.3, 0.8)(process, 1.5, MIDPOINTS)
    assert float(r.max()) <= top
    law = stats.norm(math.log(1.5) + 0.3, 0.8)
    for level in (0.2 * top, 0.5 * top, 0.9 * top):
        expected = law.cdf(math.log(level)) / law.cdf(math.log(top))
        assert float((r < level).double().mean()) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.name)
@pytest.mark.parametrize("lam", ["likelihood", "uniform", "quadratic"])
def test_score_matching_is_the_time_integral(process, lam):
    """E[w h(r)] = 1/2 int lam(t) h(r) / (alpha r^2)^2 dt, by quadrature in forward time."""
    function = {
        "likelihood": process.g2,
        "uniform": torch.ones_like,
        "quadratic": lambda t: 1 + t**2,
    }[lam]
    own = ScoreMatching(None if lam == "likelihood" else function, lam, smallest=0.1)

    def error(r2):
        return r2 / (1 + r2) ** 1.5  # any smooth |D - x0|^2

    r, weight = own(process, 1.0, MIDPOINTS)
    found = float((weight * error(r.square())).mean())

    def integrand(t):
        t = torch.tensor(t, dtype=torch.float64)
        r2 = process.noise_to_signal(t)
        return float(0.5 * function(t) * error(r2) / (process.alpha(t) * r2) ** 2)

    start = float(process.time_at(0.01))
    middle = [start + (process.horizon - start) * f for f in (1e-3, 1e-2, 0.1, 0.5)]
    expected, _ = quad(integrand, start, process.horizon, points=middle, limit=500)
    assert found == pytest.approx(expected, rel=1e-5)


def test_names_give_the_weightings():
    own = ScoreMatching(torch.ones_like, "mine")
    assert weighting_named(own) is own
    assert weighting_named("edm") == LogNormal()
    likelihood, uniform = weighting_named("likelihood"), weighting_named("uniform")
    r, weight = likelihood(EDM(), 1.0, MIDPOINTS)
    assert torch.equal(uniform(EDM(), 1.0, MIDPOINTS).r, r)
    torch.testing.assert_close(
        uniform(EDM(), 1.0, MIDPOINTS).weight, weight / (2 * r), rtol=1e-12, atol=0
    )
    assert len({str(w.to_dict()) for w in (own, likelihood, uniform, LogNormal())}) == 4


def test_settings_are_refused_by_name():
    with pytest.raises(InputError, match=r"weighting must be one of .*'snr'"):
        weighting_named("snr")
    with pytest.raises(InputError, match="std of a log-normal"):
        LogNormal(std=0.0)
    with pytest.raises(InputError, match="smallest must lie"):
        ScoreMatching(smallest=0.0)(EDM(), 1.0, MIDPOINTS)


@pytest.mark.parametrize("weighting", [LogNormal(), ScoreMatching(), Bound()])
def test_data_far_larger_than_all_noise_are_refused(weighting):
    """In their units EDM's noise up to 80 is none: levels were drawn beyond the horizon."""
    with pytest.raises(InputError, match="with 80 at the horizon; scale the data"):
        weighting(EDM(sigma_max=80.0), 1e6, MIDPOINTS)
    assert float(weighting(EDM(sigma_max=80e6), 1e6, MIDPOINTS).r.max()) <= 80e6


def test_stratified_numbers_fill_every_interval_and_are_uniform(generator):
    for _ in range(20):
        u = stratified(64, generator)
        assert torch.equal((u * 64).floor().sort().values, torch.arange(64.0).double())
    many = torch.stack([stratified(64, generator) for _ in range(500)])
    first, inside = many[:, 0].numpy(), (64 * many % 1).flatten().numpy()
    assert stats.kstest(first, "uniform").pvalue > 1e-3
    assert stats.kstest(inside, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("process", PROCESSES[1:], ids=lambda p: p.name)
def test_min_snr_is_the_mean_over_uniform_time(process):
    """E[w h(r)] = 1/T int min(s^2 / r^2, gamma) / s^2 h(r) dt."""
    s, gamma = 1.4, 3.0

    def error(r2):
        return r2 / (1 + r2) ** 1.5

    r, weight = MinSNR(gamma)(process, s, MIDPOINTS)
    found = float((weight * error(r.square())).mean())

    def integrand(t):
        r2 = float(process.noise_to_signal(torch.tensor(t, dtype=torch.float64)))
        return min(s**2 / r2, gamma) / s**2 * error(r2) if r2 else 0.0

    knee = float(process.time_at(s**2 / gamma))
    expected, _ = quad(integrand, 0, process.horizon, points=[knee], limit=500)
    assert found == pytest.approx(expected / process.horizon, rel=1e-4)
    assert weighting_named("min_snr") == MinSNR(5.0)
