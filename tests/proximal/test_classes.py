"""Classes of a mixture: Bayes' rule, the law of one class, and shares from labelled points."""

import numpy as np
import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.process import VE, VP
from wasserscore.proximal import fit_proximal
from wasserscore.proximal.classes import ClassMixtures, fit_classes
from wasserscore.score.proximal import ProximalScore
from wasserscore.score.spiked import Spiked

CLOCK = VE.constant(a=1.0, horizon=100.0)


def law(process=CLOCK, apart: float = 1.0) -> ProximalScore:
    """Four components in three dimensions with weights 1 : 2 : 3 : 4."""
    g = torch.Generator().manual_seed(3)
    centres = apart * torch.randn(4, 3, generator=g, dtype=torch.float64)
    factors = 0.4 * torch.randn(4, 3, 2, generator=g, dtype=torch.float64)
    floor = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    return ProximalScore(centres, Spiked(factors, floor), process, weights=weights)


def classes(process=CLOCK) -> ClassMixtures:
    """Component 0 is all "a", component 3 all "b", the others are shared."""
    shares = torch.tensor([[1.0, 0.0], [0.25, 0.75], [0.6, 0.4], [0.0, 1.0]], dtype=torch.float64)
    return ClassMixtures(law(process), ("a", "b"), shares)


def points(n: int = 50) -> torch.Tensor:
    return 1.5 * torch.randn(n, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_the_prior_is_the_weight_of_a_class():
    expected = torch.tensor([0.1 + 0.25 * 0.2 + 0.6 * 0.3, 0.75 * 0.2 + 0.4 * 0.3 + 0.4])
    torch.testing.assert_close(classes().prior, expected.double())


@pytest.mark.parametrize("process", [CLOCK, VP.linear(a=8.0, b=0.1, horizon=1.0)])
@pytest.mark.parametrize("t", [0.0, 0.3])
def test_probabilities_are_bayes_rule_with_the_laws_of_the_classes(process, t):
    mixture, x = classes(process), points()
    joint = torch.stack([mixture.given(c).log_prob(x, t).exp() for c in "ab"], 1) * mixture.prior
    torch.testing.assert_close(joint.sum(1), mixture.score.log_prob(x, t).exp())
    torch.testing.assert_close(mixture.probabilities(x, t), joint / joint.sum(1, keepdim=True))


def test_shares_are_what_components_explain_of_each_class():
    score, x = law(apart=1.0), points(40)
    labels = np.where(x[:, 0] > 0, "right", "left")
    r = score.law.log_joint(x).softmax(1)
    right = r[x[:, 0] > 0].sum(0) / r.sum(0)
    found = fit_classes(score, x, labels)
    assert found.classes == ("left", "right")
    torch.testing.assert_close(found.shares[:, 1], right)
    torch.testing.assert_close(found.shares.sum(1), torch.ones(4).double())


def test_rows_of_two_far_apart_classes_give_the_law_of_each():
    g = torch.Generator().manual_seed(0)
    ones = torch.randn(60, 2, generator=g, dtype=torch.float64)
    twos = 100 + 0.5 * torch.randn(30, 2, generator=g, dtype=torch.float64)
    x, labels = torch.cat([ones, twos]), [1] * 60 + [2] * 30
    found = fit_classes(fit_proximal(x, CLOCK, method="columns"), x, labels)
    torch.testing.assert_close(found.prior, torch.tensor([2 / 3, 1 / 3]).double())
    alone = found.given(2)
    assert alone.components == 30
    torch.testing.assert_close(alone.moments()[0], twos.mean(0))


def test_a_latent_law_has_classes_too():
    g = torch.Generator().manual_seed(0)
    flat = torch.randn(80, 2, generator=g, dtype=torch.float64)
    flat[:40, 0] += 6
    turn = torch.linalg.qr(torch.randn(5, 5, generator=g, dtype=torch.float64))[0]
    x = flat @ turn[:2] + 0.05 * torch.randn(80, 5, generator=g, dtype=torch.float64)
    score = fit_proximal(x, CLOCK, method="columns", latent=2)
    found = fit_classes(score, x, [0] * 40 + [1] * 40)
    plain = fit_classes(score.full(), x, [0] * 40 + [1] * 40)
    torch.testing.assert_close(found.probabilities(x, 0.5), plain.probabilities(x, 0.5))
    torch.testing.assert_close(found.given(1).log_prob(x), plain.given(1).log_prob(x))


@pytest.mark.parametrize(
    ("labels", "message"),
    [([1, 2], "one class per point"), ([1.0, float("nan"), 1.0], "missing label"),
     ([None, "a", "b"], "missing label")],
)  # fmt: skip
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        fit_classes(law(), points(3), np.array(labels, dtype=object))


def test_an_unknown_class_is_named():
    with pytest.raises(InputError, match=r"one of \['a', 'b'\], got 'c'"):
        classes().given("c")
