"""Fits per group: every law sees its own rows, and shares are those of the data."""

import pytest
import torch
from tests.score.contract import draw

from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.process import EDM
from wasserscore.proximal import fit_groups, fit_proximal
from wasserscore.proximal.groups import LEAST

CLOCK = EDM(sigma_max=80.0)


def rows(*sizes, seed=0):
    """Groups that differ in what the second column is of the first, in mixed order."""
    groups = torch.cat([torch.full((n,), g) for g, n in enumerate(sizes)])
    groups = groups[torch.randperm(len(groups), generator=torch.Generator().manual_seed(seed))]
    x = draw(len(groups), 2, seed=seed)
    slope = torch.tensor([1.0, -1.0, 0.0])[groups.clamp_max(2)]
    return torch.stack([x[:, 0], slope * x[:, 0] + 0.05 * x[:, 1]], dim=1), groups


def test_every_group_has_the_fit_of_its_rows():
    x, groups = rows(80, 120)
    told = []
    options = {"method": "local_pca", "seed": 3}
    score = fit_groups(x, groups, CLOCK, told=lambda *done: told.append(done), **options)
    torch.testing.assert_close(score.weights, torch.tensor([0.4, 0.6]).double())
    for g, law in enumerate(score.laws):
        seed = Streams(3).child("groups").key(str(g)) % 2**31
        own = fit_proximal(x[groups == g], CLOCK, method="local_pca", seed=seed)
        assert torch.equal(law.centres, own.centres)
        assert torch.equal(law.covariance.factors, own.covariance.factors)
    assert told == [(0, 2), (1, 2), (2, 2)]


def test_small_groups_are_fitted_together_or_with_the_largest():
    x, groups = rows(80, 60, LEAST - 1, 2)
    score = fit_groups(x, groups, CLOCK, method="isotropic")
    assert (score.weights * len(x)).round().tolist() == [80, 60, LEAST + 1]
    assert torch.equal(score.laws[2].centres, x[groups > 1].unique(dim=0))
    x, groups = rows(60, 80, 1, 1)
    score = fit_groups(x, groups, CLOCK, method="isotropic")
    assert (score.weights * len(x)).round().tolist() == [60, 82]
    assert torch.equal(score.laws[1].centres, x[groups > 0].unique(dim=0))


def test_a_group_of_equal_rows_is_no_group_of_its_own():
    x, groups = rows(80, 60, 60, 20)
    x[groups == 1] = x[groups == 1][:1]
    score = fit_groups(x, groups, CLOCK, method="isotropic")
    assert (score.weights * len(x)).round().tolist() == [80, 60, 80]


def test_a_thin_group_within_a_wide_one_keeps_its_width():
    """One fit has one floor, and neighbours of both."""

    def law(seed):
        x, groups = rows(200, 200, seed=seed)
        wide = torch.stack([x[:, 0], draw(400, seed=seed + 10)], dim=1)
        return torch.where(groups[:, None] == 0, x, wide), groups

    x, groups = law(0)
    fresh, _ = law(1)
    joint = float(fit_proximal(x, CLOCK).log_prob(fresh).mean())
    assert float(fit_groups(x, groups, CLOCK).log_prob(fresh).mean()) > joint + 0.05


def test_every_group_keeps_its_correlations_among_noise():
    """Two columns are one up to the sign of the group; thirty have nothing to do with them."""
    groups = torch.arange(200) % 2
    x = draw(200, 32)
    x[:, 0] = (1 - 2 * groups) * x[:, 1] + 0.05 * x[:, 0]

    def correlations(**options):
        score = fit_groups(x.reshape(200, 4, 8), groups, CLOCK, **options)
        drawn = [law.sample_marginal(5000, generator=torch.Generator().manual_seed(0))
                 for law in score.laws]  # fmt: skip
        return [float(torch.corrcoef(y.flatten(1)[:, :2].T)[0, 1]) for y in drawn]

    assert correlations() == pytest.approx([1, -1], abs=0.01)
    plain = correlations(method="isotropic")
    assert max(map(abs, plain)) < 0.9


@pytest.mark.parametrize("sizes", [(200,), (100, 2), (20, 20)])
def test_one_group_is_refused(sizes):
    x, groups = rows(*sizes)
    with pytest.raises(InputError, match=f"a group of {LEAST} rows and others beside it, got"):
        fit_groups(x, groups, CLOCK)
