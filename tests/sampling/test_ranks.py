"""Samples of two processes are those of one, bit for bit."""

import pytest
import torch
from safetensors.torch import load_file
from tests.torchrun import torchrun

import wasserscore as ws


def samples():
    """Rows by samplers with and without noise, in shares that do not come out even."""
    points = torch.randn(40, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    reference = ws.EmpiricalScore(points, ws.EDM(sigma_max=20.0), bandwidth=0.2)
    network = ws.NetworkScore(ws.networks.MLP(3, 16, 1, seed=1), reference.process, data_std=1.0,
                              shape=(3,))  # fmt: skip
    options = {"steps": 3, "seed": 7}
    return {
        "network": ws.sample(network, 600, solver="ancestral", **options),
        "closed": ws.sample(reference, 513, batch_size=64, **options),
        "few": ws.sample(reference, 5, **options),
        "begun": ws.sample(reference, 300, start=torch.arange(900.0).reshape(300, 3), **options),
    }


SCRIPT = """
    from tests.sampling.test_ranks import samples
    from wasserscore.core.errors import InputError
    from wasserscore.process import EDM
    from wasserscore.sampling import sample
    rows, told = samples(), []
    bad = lambda x, t: x / (x[:, :1] < 1e3)  # not finite in the last rows, the other rank's
    start = torch.cat([torch.zeros(400, 2), torch.full((50, 2), 1e4)])
    try:
        sample(bad, 450, process=EDM(sigma_max=20.0), start=start, steps=2,
               callback=lambda *done: told.append(done))
    except InputError as error:
        assert "NaN or infinity in sample 400" in str(error)
    else:
        raise AssertionError("refused on both ranks")
    assert told == [(1, 2), (2, 2)]
    keep(**rows)
"""


@pytest.mark.slow
def test_two_ranks_draw_the_same_bits(tmp_path):
    torchrun(SCRIPT, tmp_path)
    rows = samples()
    for found in (load_file(tmp_path / f"{r}.safetensors") for r in (0, 1)):
        assert all(torch.equal(found[name], truth) for name, truth in rows.items())
