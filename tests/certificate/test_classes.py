"""Classes together against exact transport between Gaussian mixtures."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

import wasserscore as ws
from wasserscore.core.errors import InputError
from wasserscore.process import EDM
from wasserscore.proximal import fit_classes
from wasserscore.score import GaussianScore, MixtureScore, ProximalScore
from wasserscore.score.spiked import Spiked

PROCESS = EDM(sigma_max=500.0)
WEIGHTS = {"a": 0.9, "b": 0.1}


def gaussian(mean, std):
    at = torch.tensor([mean], dtype=torch.float64)
    return GaussianScore(at, torch.tensor([std**2], dtype=torch.float64), PROCESS)


def transport(weights, one, other):
    """W2 between two mixtures of Gaussians on the line, by their quantile functions."""

    x, levels = np.linspace(-15, 15, 30_001), (np.arange(5000) + 0.5) / 5000

    def quantiles(laws):
        cdf = sum(w * norm.cdf(x, m, s) for w, (m, s) in zip(weights, laws, strict=True))
        return np.interp(levels, cdf, x)

    return float(np.sqrt(np.mean((quantiles(one) - quantiles(other)) ** 2)))


def bound(one, other, **settings):
    """Of a model whose classes are N(m', s'), for data whose classes are N(m, s)."""
    settings = {"n": 32, "steps": 20, "start": "reference"} | settings
    pairs = (dict(zip(WEIGHTS, (gaussian(*law) for law in laws), strict=True))
             for laws in (other, one))  # fmt: skip
    return ws.certify_classes(*pairs, weights=WEIGHTS, **settings)


def test_it_is_transport_where_classes_are_far_apart():
    one, other = ((-9.0, 1.0), (9.0, 1.0)), ((-8.5, 1.0), (6.0, 1.0))
    found, truth = bound(one, other), transport(WEIGHTS.values(), one, other)
    assert truth == pytest.approx(math.sqrt(0.9 * 0.25 + 0.1 * 9), rel=0.01)
    assert 0.995 * truth < found.upper.value < 1.05 * truth


@pytest.mark.parametrize("model", [((-0.4, 0.8), (1.5, 0.3)), ((1.0, 0.5), (-0.5, 1.0))])
def test_it_is_above_transport_where_they_overlap(model):
    """The second model has the classes the wrong way round."""
    data = ((-0.5, 1.0), (1.0, 0.5))
    assert bound(data, model).upper.value > transport(WEIGHTS.values(), data, model)


def test_the_table_names_every_class_at_its_part_of_the_level():
    found = bound(((0.0, 1.0), (3.0, 1.0)), ((0.1, 1.0), (3.0, 2.0)), level=0.9)
    assert found.weights == (0.9, 0.1)
    assert (found.upper.level, found["a"].level) == (0.9, pytest.approx(0.95))
    squares = 0.9 * found["a"].upper.value ** 2 + 0.1 * found["b"].upper.value ** 2
    assert found.upper.value == pytest.approx(math.sqrt(squares))
    alone = ws.certify(gaussian(0.1, 1.0), gaussian(0.0, 1.0), n=32, steps=20,
                       start="reference", level=0.95)  # fmt: skip
    assert found["a"].upper.value == alone.upper.value
    lines = repr(found).split("\n")
    assert lines[0].startswith(
        f"all classes: W2 <= {found.upper.value:.4g} data units (at level 0.9"
    )
    assert [line.split()[0] for line in lines[2:]] == ["a", "b"]
    assert found.to_dict()["classes"] == ["a", "b"]


def test_a_class_whose_certificate_is_not_valid_is_marked():
    laws = {"a": gaussian(0.0, 1.0), "b": gaussian(3.0, 1.0)}
    found = ws.certify_classes({**laws, "b": lambda x, t: x / 0.0}, laws, n=32, steps=5)
    assert ["NOT VALID" in line for line in repr(found).split("\n")[2:]] == [False, True]
    assert [c["valid"] for c in found.to_dict()["certificates"]] == [True, False]


def test_a_class_without_weight_takes_no_part_in_the_mixture():
    laws = {"a": gaussian(0.0, 1.0), "b": gaussian(9.0, 1.0)}
    models = {"a": gaussian(0.5, 1.0), "b": lambda x, t: x / 0}
    found = ws.certify_classes(models, laws, weights={"a": 2.0, "b": 0.0}, n=32, steps=10)
    assert found["b"].upper.value == math.inf
    assert found.upper.value == found["a"].upper.value


def test_a_score_that_knows_classes_against_laws_that_do():
    process = EDM(sigma_max=20.0)
    points = torch.tensor([[-2.0], [-1.5], [1.5], [2.0]], dtype=torch.float64)
    score = ProximalScore(points, Spiked.pooled(4, torch.tensor(0.25).double(), 1), process)
    classes = fit_classes(score, points, [0, 0, 1, 1])
    laws = {name: classes.given(name) for name in classes.classes}

    class Conditional:
        def conditioned(self, name):
            means = points[2 * name : 2 * name + 2]
            return MixtureScore(
                torch.ones(2).double(), means, torch.full((2,), 0.25).double(), process
            )

    found = ws.certify_classes(
        Conditional(), laws, n=16, steps=20, solver="euler_maruyama", parts=1
    )
    assert found.weights == (0.5, 0.5)
    assert found.upper.value < 0.4  # the classes are 3.5 apart


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"weights": {"a": 1.0}}, r"weights must name the classes \['a', 'b'\]"),
        ({"weights": {"a": -1.0, "b": 2.0}}, "weights must be non-negative"),
        ({"level": 1.0}, r"level must lie in \(0, 1\)"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, match):
    laws = {"a": gaussian(0.0, 1.0), "b": gaussian(1.0, 1.0)}
    with pytest.raises(InputError, match=match):
        ws.certify_classes(laws, laws, n=16, **settings)
    with pytest.raises(InputError, match="there must be a class"):
        ws.certify_classes({}, {})


def test_all_classes_have_a_score_before_the_first_is_certified():
    asked = []

    def score(x, t):
        asked.append(t)
        return laws["a"](x, t)

    laws = {"a": gaussian(0.0, 1.0), "b": gaussian(1.0, 1.0)}
    with pytest.raises(InputError, match=r"a score of the class 'b', got \['a'\]"):
        ws.certify_classes({"a": score}, laws, n=16)
    assert not asked
    with pytest.raises(InputError, match=r"must know classes, got .*; give one with conditioned"):
        ws.certify_classes(score, laws, n=16)
    found = ws.certify_classes(laws, laws, n=16, steps=4)
    with pytest.raises(InputError, match=r"one of \['a', 'b'\], got 'c'"):
        found["c"]
