"""Guidance against closed forms: Gaussians, and the gradient of the density it climbs."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

import wasserscore as ws
from wasserscore.core.errors import InputError
from wasserscore.data import Scaling
from wasserscore.network import MLP
from wasserscore.process import EDM, VP
from wasserscore.proximal import fit_proximal
from wasserscore.score import EmpiricalScore, GaussianScore, MixtureScore, NetworkScore
from wasserscore.score.guidance import ClassifierFree, Guided

PROCESS = VP.from_betas(beta_min=0.1, beta_max=20.0)
MEANS = torch.tensor([[-1.0, 0.5], [1.0, 0.0], [0.3, 2.0]], dtype=torch.float64)
WEIGHTS = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
VARIANCES = torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Classes:
    """A mixture whose components are classes."""

    law: MixtureScore
    process: Any = PROCESS
    shape: tuple[int, ...] = (2,)
    scaling: Any = None

    def __call__(self, x, t):
        return self.law(x, t)

    def conditioned(self, y):
        one = slice(y, y + 1)
        law = MixtureScore(torch.ones(1).double(), MEANS[one], VARIANCES[one], PROCESS)
        return replace(self, law=law)


SCORE = Classes(MixtureScore(WEIGHTS, MEANS, VARIANCES, PROCESS))


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
def test_it_climbs_the_density_of_all_times_the_power_of_the_class(scale, generator):
    """log p + c log p(y | x) with p(y | x) ~ p(x | y) / p(x), differentiated."""
    x = torch.randn(6, 2, generator=generator, dtype=torch.float64).requires_grad_()
    one = SCORE.conditioned(1).law
    for t in (0.02, 0.3, 0.9):
        log = SCORE.law.log_prob(x, t)
        log = log + scale * (one.log_prob(x, t) - log)
        (expected,) = torch.autograd.grad(log.sum(), x)
        found = ClassifierFree(SCORE, 1, scale)(x.detach(), t)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.slow
def test_samples_at_scale_one_are_of_the_class():
    x = ws.sample(ClassifierFree(SCORE, 2, 1.0), 2000, steps=30, seed=1)
    assert x.dtype == torch.float64
    torch.testing.assert_close(x.mean(0), MEANS[2], atol=0.05, rtol=0)
    torch.testing.assert_close(x.var(0), VARIANCES[2].expand(2), atol=0.03, rtol=0)


def test_a_network_is_guided_by_its_own_label():
    network = ws.networks.UNet((1, 4, 4), 4, (1,), 1, (), classes=3).double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator).double())
    score = NetworkScore(network.requires_grad_(False), EDM(), shape=(1, 4, 4))
    x = torch.randn(3, 1, 4, 4, generator=generator, dtype=torch.float64)
    guided = ws.guidance.ClassifierFree(score, 2, 3.0)
    expected = score(x, 0.7) + 3 * (score.conditioned(2)(x, 0.7) - score(x, 0.7))
    torch.testing.assert_close(guided(x, 0.7), expected, rtol=1e-12, atol=1e-12)
    drawn = ws.sample(guided, 2, steps=3)
    assert (drawn.shape, drawn.dtype) == ((2, 1, 4, 4), torch.float64)


BAD = GaussianScore(torch.tensor([0.5, -1.0]).double(), torch.tensor([2.0, 1.5]).double(), EDM())
GOOD = GaussianScore(torch.tensor([1.0, 0.0]).double(), torch.tensor([1.0, 0.25]).double(), EDM())


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.8])
def test_two_gaussians_extrapolate_to_a_gaussian(scale, generator):
    """Precisions and precisions times means add up, at every noise level apart."""
    x = torch.randn(6, 2, generator=generator, dtype=torch.float64)
    for t in (0.1, 1.0, 5.0):
        bad, good = 1 / (BAD.covariance + t**2), 1 / (GOOD.covariance + t**2)
        precision = (1 - scale) * bad + scale * good
        mean = ((1 - scale) * bad * BAD.mean + scale * good * GOOD.mean) / precision
        expected = precision * (mean - x)
        torch.testing.assert_close(
            Guided(BAD, GOOD, scale)(x, t), expected, rtol=1e-12, atol=1e-14
        )


def test_a_worse_model_extrapolates_variances_as_powers():
    """Without noise a centred direction shrinks by the product of both flows' factors, each to
    its power: the samples have variance v0^(1 - c) v1^c."""
    scale, top = 1.8, 80.0
    bad, good = (replace(law, mean=torch.zeros(2).double()) for law in (BAD, GOOD))
    start = top * torch.eye(2).double()
    x = ws.sample(Guided(bad, good, scale), 2, start=start, steps=150)
    factor = [v / (v + top**2) for v in (BAD.covariance, GOOD.covariance)]
    expected = (factor[0] ** (1 - scale) * factor[1] ** scale).sqrt() * top
    torch.testing.assert_close(x, torch.diag(expected), rtol=2e-3, atol=1e-6)


def test_at_scale_one_it_is_the_good_model_to_the_last_bit(generator):
    x = torch.randn(6, 2, generator=generator, dtype=torch.float64)
    assert torch.equal(Guided(BAD, GOOD, 1.0)(x, 0.7), GOOD(x, 0.7))


def test_scores_that_do_not_fit_are_refused():
    for scale in (-1.0, float("inf")):
        with pytest.raises(InputError, match=f"must be finite and non-negative, got {scale}"):
            ClassifierFree(SCORE, 0, scale)
    good = NetworkScore(MLP(2, 4, 1), EDM())
    with pytest.raises(InputError, match="the same process"):
        Guided(replace(good, process=PROCESS), good, 2.0)
    with pytest.raises(InputError, match="the same shape"):
        Guided(NetworkScore(MLP(3, 4, 1), EDM()), good, 2.0)
    units = [Scaling(torch.zeros(2), torch.tensor(size)) for size in (1.0, 2.0, 2.0)]
    one, other, alike = (replace(good, scaling=own) for own in units)
    assert Guided(other, alike, 2.0).scaling is alike.scaling
    for poor in (one, good):
        with pytest.raises(InputError, match="the same scaling, got two; train both on points in"):
            Guided(poor, other, 2.0)
    with pytest.raises(InputError, match="a condition must be finite"):
        NetworkScore(MLP(2, 4, 1, condition=2), EDM()).conditioned([1.0, float("nan")])
    with pytest.raises(InputError, match="knows no classes"):
        ClassifierFree(good, 0, 2.0)


def by_closed_form(law, y):
    return lambda: ClassifierFree(law, y, 2.0)


GAUSSIAN = GaussianScore(torch.zeros(2).double(), torch.eye(2).double(), PROCESS)
EMPIRICAL = EmpiricalScore(torch.eye(2), PROCESS, 0.1)
UNFIT = {
    "a law": (by_closed_form(GAUSSIAN, 1), "must know classes or conditions, got GaussianScore"),
    "points": (
        by_closed_form(EMPIRICAL, 1),
        "must know classes or conditions, got EmpiricalScore",
    ),
    "a part": (by_closed_form(GAUSSIAN, [0.0, float("nan")]), "must know classes or conditions"),
    "a function": (
        by_closed_form(lambda x, t: -x, 1),
        "must know classes or conditions, got func",
    ),
    "a word": (lambda: Guided(GAUSSIAN, GAUSSIAN, "two"), "finite and non-negative, got two"),
    "no process": (lambda: Guided(lambda x, t: -x, GAUSSIAN, 2.0), "need a process and a shape"),
    "a class of a law": (lambda: GAUSSIAN.conditioned(1), "a number for each of 2 coordinates"),
    "no numbers": (lambda: GAUSSIAN.conditioned("a"), "y must be numbers"),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("case", UNFIT)
def test_what_has_no_classes_is_refused_in_a_sentence(case):
    call, match = UNFIT[case]
    with pytest.raises(InputError, match=match):
        call()


@pytest.mark.usefixtures("unchecked")
def test_a_law_is_conditioned_on_a_list_as_on_a_tensor():
    y = [0.5, float("nan")]
    for law in (GAUSSIAN, fit_proximal(torch.randn(40, 2, generator=torch.Generator()), PROCESS)):
        found, same = law.conditioned(y), law.conditioned(torch.tensor(y))
        x = torch.ones(1, 1)
        torch.testing.assert_close(found(x, 1.0), same(x, 1.0))
