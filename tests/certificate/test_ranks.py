"""Certificates of two processes are those of one, to the last bit of every number."""

import json

import pytest
import torch
from safetensors.torch import load_file
from tests.torchrun import torchrun

import wasserscore as ws

OPTIONS = {
    "flow": {"n": 32},
    "reverse": {
        "n": 32,
        "solver": "exponential",
        "eta": 1.0,
        "parts": 2,
        "cloud": 9,
        "batches": 3,
    },
    "mixed": {"n": 32, "solver": "euler_maruyama", "eta": 0.5, "parts": 2, "start": "reference"},
}


def certificates():
    """The whole record of each, as JSON."""
    points = torch.randn(40, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    reference = ws.EmpiricalScore(points, ws.EDM(sigma_max=20.0), bandwidth=0.2)
    network = ws.NetworkScore(ws.networks.MLP(3, 16, 1, seed=1), reference.process, data_std=1.0,
                              shape=(3,))  # fmt: skip
    return {
        name: json.dumps(ws.certify(network, reference, steps=4, seed=3, **options).to_dict())
        for name, options in OPTIONS.items()
    }


SCRIPT = """
    from tests.certificate.test_ranks import certificates
    texts = certificates()
    keep(**{name: torch.tensor(list(text.encode())) for name, text in texts.items()})
"""


@pytest.mark.slow
def test_two_ranks_certify_with_the_same_numbers(tmp_path):
    torchrun(SCRIPT, tmp_path)
    texts = certificates()
    for found in (load_file(tmp_path / f"{r}.safetensors") for r in (0, 1)):
        for name, text in texts.items():
            assert bytes(found[name].tolist()).decode() == text, name
