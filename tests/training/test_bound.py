"""The certificate's own weight: closed forms, the same integral, the same growth."""

import math

import pytest
import torch
from scipy.integrate import quad

from wasserscore.certificate.concavity import LogConcave
from wasserscore.certificate.constants import from_concavity
from wasserscore.core.errors import InputError
from wasserscore.process import EDM, OU, VP, SubVP
from wasserscore.training import Bound, LogNormal, Tabulated
from wasserscore.training.weighting import weighting_named

F64 = torch.float64
PROCESSES = [EDM(), VP.linear(a=19.9, b=0.1, horizon=1.0), SubVP.linear(a=19.9, b=0.1),
             OU(alpha=0.7, sigma=1.3)]  # fmt: skip
MIDPOINTS = (torch.arange(20000, dtype=F64) + 0.5) / 20000
S = 0.7


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.name)
@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_flat_is_the_growth_of_a_gaussian_of_the_data_s_size(process, eta):
    """lambda = k I: the same I as the theorem's, from the constant of N(0, s^2 I)."""
    times = process.horizon * torch.tensor([1e-3, 0.03, 0.2, 0.6, 1.0], dtype=F64)
    constant, share = from_concavity(LogConcave(S**-2, S**-2), process), (1 + eta**2) / 2

    def rate(t):
        t = torch.tensor([t], dtype=F64)
        return float(process.f(t) + share * process.g2(t) * constant.value(t))

    growth = [quad(rate, 0, t, epsabs=1e-9, limit=200)[0] for t in times.tolist()]
    found = Bound(eta, "flat").log_weight(process, S, process.noise_to_signal(times).sqrt())
    expected = torch.tensor(growth, dtype=F64) + math.log(share)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_the_unit_gaussian_under_constant_vp():
    """N(0, 1), beta = 1: L = -1, so lambda = g^2 I = exp(-t/2), and exp(-t/2) / sqrt(c) else."""
    process = VP.constant(beta=1.0, horizon=2.0)
    t = torch.tensor([0.1, 0.7, 2.0], dtype=F64)
    r = process.noise_to_signal(t).sqrt()
    found = Bound(1.0, "flat").log_weight(process, 1.0, r)
    torch.testing.assert_close(found, -t / 2, rtol=0, atol=1e-12)
    c = 1 / process.variance(t) - 1  # what a denoising target adds for N(0, 1)
    torch.testing.assert_close(Bound().log_weight(process, 1.0, r), -t / 2 - c.log() / 2)


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.name)
@pytest.mark.parametrize("own", [Bound(), Bound(0.0), Bound(0.6, "flat")], ids=str)
def test_levels_and_weights_are_the_time_integral(process, own):
    """E[w h(r)] = 1/2 int lambda(t) h(r) / (alpha r^2)^2 dt, by quadrature in forward time."""
    own = type(own)(own.eta, own.error, smallest=0.1)

    def error(r2):
        return r2 / (1 + r2) ** 1.5  # any smooth |D - x0|^2

    r, weight = own(process, S, MIDPOINTS)
    found = float((weight * error(r.square())).mean())

    def integrand(t):
        t = torch.tensor([t], dtype=F64)
        r2 = process.noise_to_signal(t)
        log = own.log_weight(process, S, r2.sqrt())
        lam = log.exp() * process.g2(t)
        return float(0.5 * lam * error(r2) / (process.alpha(t) * r2) ** 2)

    start = float(process.time_at((0.1 * S) ** 2))
    middle = [start + (process.horizon - start) * f for f in (1e-3, 1e-2, 0.1, 0.5)]
    expected, _ = quad(integrand, start, process.horizon, points=middle, limit=300)
    assert found == pytest.approx(expected, rel=2e-4)


def test_it_is_edm_s_weight_at_other_levels():
    """(r^2 + s^2) / (r s)^2 times s; r / sqrt(r^2 + s^2) uniform, so ln(r/s) has known moments."""
    r, weight = Bound(smallest=1e-5)(EDM(sigma_max=1e4), S, MIDPOINTS)
    edm = (r**2 + S**2) / (r * S).square()
    torch.testing.assert_close(weight, S * edm, rtol=0.05, atol=0)
    assert float((weight / (S * edm)).log().mean()) == pytest.approx(0.0, abs=1e-3)
    sine = r / (r**2 + S**2).sqrt()
    torch.testing.assert_close(sine, MIDPOINTS, rtol=0, atol=2e-3)
    x = (r / S).log()
    assert float(x.mean()) == pytest.approx(-math.log(2), abs=5e-3)
    assert float(x.std()) == pytest.approx(math.pi / math.sqrt(6), abs=5e-3)
    assert abs(float(x.mean()) - LogNormal().mean) < 0.2


def test_for_the_flow_the_angle_is_uniform():
    r, _ = Bound(0.0, smallest=1e-4)(EDM(sigma_max=1e4), S, MIDPOINTS)
    torch.testing.assert_close((r / S).atan() * 2 / math.pi, MIDPOINTS, rtol=0, atol=2e-3)


def test_a_table_is_the_weight_it_was_made_from():
    process, own = PROCESSES[1], Bound()
    r = torch.logspace(-3, math.log10(150), 3000, dtype=F64)
    table = Tabulated(r, own.log_weight(process, S, r))
    for one, other in zip(own(process, S, MIDPOINTS), table(process, S, MIDPOINTS), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=0)
    assert table.to_dict() != Tabulated(r, 2 * table.log_weight).to_dict()
    assert table.to_dict() == Tabulated(r.clone(), table.log_weight.clone()).to_dict()


def test_names_and_refusals():
    assert weighting_named("certificate") == Bound()
    r = torch.tensor([1.0, 2.0])
    for message, make in {
        "error must be one of": lambda: Bound(error="none"),
        "eta must not be negative": lambda: Bound(-1.0),
        "r must be positive and increasing": lambda: Tabulated(r.flip(0), r),
        "log_weight must be finite": lambda: Tabulated(r, r / 0),
        "smallest must lie": lambda: Bound(smallest=1e9)(EDM(), 1.0, MIDPOINTS),
    }.items():
        with pytest.raises(InputError, match=message):
            make()
