import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from tests.audit.laws import split

from wasserscore.audit import audit
from wasserscore.audit.features import feature_map
from wasserscore.core.errors import InputError


def test_principal_components_are_those_of_train():
    train, rows, _ = (torch.from_numpy(x) for x in split("digits", 0))
    embed, name = feature_map("pca", train)
    assert name == "64 components of train"
    peer = PCA(64).fit(train.numpy())
    found, expected = embed(rows).numpy()[:, :20], peer.transform(rows.numpy())[:, :20]
    assert np.abs(found) == pytest.approx(np.abs(expected), rel=1e-6, abs=1e-8)


def test_no_more_than_64_components_and_all_of_fewer_keep_distances():
    wide = torch.randn(200, 90, generator=torch.Generator().manual_seed(0)).double()
    assert feature_map("pca", wide)[0](wide).shape == (200, 64)
    train, rows, holdout = split("moons", 0)
    found = audit(train=train, generated=rows[:300], holdout=holdout[:300], features="pca")
    plain = audit(train=train, generated=rows[:300], holdout=holdout[:300])
    assert found.features == "2 components of train"
    assert found.nearest_distance.value == pytest.approx(plain.nearest_distance.value, rel=1e-9)
    assert found.verdict == plain.verdict


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match='must be "pca"'):
        feature_map("inception", torch.zeros(3, 2))


def test_fewer_rows_than_components_have_no_more_than_their_span(generator):
    """Other components would be any directions at all: other ones where columns trade places."""
    train, fresh = (torch.randn(n, 200, generator=generator, dtype=torch.float64) for n in (12, 9))
    order = torch.randperm(200, generator=generator)
    embed, name = feature_map("pca", train)
    assert name == "11 components of train"
    moved = feature_map("pca", train[:, order])[0](fresh[:, order])
    torch.testing.assert_close(torch.cdist(moved, moved), torch.cdist(embed(fresh), embed(fresh)))
    torch.testing.assert_close(torch.cdist(embed(train), embed(train)), torch.cdist(train, train))


@pytest.mark.parametrize("unit", [1.0, 1e8])
def test_components_do_not_end_where_one_column_is_large(unit, generator):
    """An income beside shares: variances 1e16 apart, of which float64 sees both."""
    train = torch.randn(300, 70, generator=generator, dtype=torch.float64)
    train[:, 0] *= unit
    assert feature_map("pca", train)[1] == "64 components of train"


def test_rows_without_components_are_too_few():
    same = torch.ones(9, 100)
    with pytest.raises(InputError, match="distinct"):
        audit(train=same, generated=same, features="pca")
