"""What is given as NumPy's integer is what is given as Python's, on disk too."""

import json

import numpy as np
import pytest
import torch

import wasserscore as ws
from wasserscore.flow import ScoreDifference, SinkhornDivergence, distil_generator
from wasserscore.network import LogitMLP
from wasserscore.network.triangular import Triangular
from wasserscore.score import Pushforward

pytestmark = pytest.mark.usefixtures("unchecked")

I = np.int64
X = torch.randn(60, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
CLOCK = ws.VP.linear(a=0.1, b=19.9)
KERNEL = ws.EmpiricalScore(X, CLOCK, bandwidth=0.3)
IMAGE = (I(1), I(8), I(8))

NETWORKS = {
    "MLP": lambda: ws.networks.MLP(I(2), I(8), I(1), seed=I(3)),
    "Perceptron": lambda: ws.networks.Perceptron(I(2), I(8), I(1), seed=I(3)),
    "UNet": lambda: ws.networks.UNet(IMAGE, I(16), [I(1), I(2)], I(1), [I(4)], classes=I(3)),
    "DiT": lambda: ws.networks.DiT(IMAGE, I(2), I(16), I(1), I(2), classes=I(3)),
    "LatentMLP": lambda: ws.networks.LatentMLP(I(2), I(3), I(8), I(1)),
    "LatentMLP of shape": lambda: ws.networks.LatentMLP(I(2), [I(3), I(1)], I(8), I(1)),
    "LogitMLP": lambda: LogitMLP(I(2), I(8), I(1)),
}

MODELS = {
    "shape": lambda: ws.NetworkScore(NETWORKS["MLP"](), CLOCK, shape=(I(2),)),
    "label": lambda: ws.NetworkScore(NETWORKS["DiT"](), CLOCK, shape=IMAGE).conditioned(I(1)),
    "generator": lambda: Pushforward(NETWORKS["LatentMLP"](), I(2), (I(3),)),
    "kernel": lambda: ws.EmpiricalScore(X, CLOCK, 0.3, shape=(I(2), I(1))),
    "axes": lambda: ws.fit_proximal(X, CLOCK, latent=I(1), seed=I(0)),
    "truncated": lambda: ws.fit_proximal(X, CLOCK).truncate(k=I(3), cells=I(2)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_describe_themselves_in_json(name):
    json.dumps(NETWORKS[name]().config())


def test_the_triangular_network_is_never_saved():
    assert Triangular(I(2), I(8), I(1), seed=I(0))(X.float()).shape == (60, 2, 2)


@pytest.mark.parametrize("name", MODELS)
def test_models_come_back_from_disk(name, tmp_path):
    model = MODELS[name]()
    ws.save(model, tmp_path / "m")
    back = ws.load(tmp_path / "m")
    assert back.shape == model.shape
    assert getattr(back, "label", None) == getattr(model, "label", None)


def calls(i, out):
    """Every public call that takes counts, with ``i`` of them."""
    latent = ws.networks.LatentMLP(2, 2, 8, 1)
    kept = {"out": out, "checkpoint_every": i(2), "seed": i(3), "measure_every": i(2)}
    flow = ws.ScoreDifferenceFlow([1.0, 0.5], draws=i(2), self_interaction="noised")
    return {
        "sample": lambda: ws.sample(KERNEL, i(5), steps=i(4), batch_size=i(3), seed=i(1)),
        "log_likelihood": lambda: ws.log_likelihood(
            KERNEL, X[:3], steps=i(4), probes=i(2), seed=i(1)
        ).value,
        "certify": lambda: torch.tensor(ws.certify(
            KERNEL, KERNEL, steps=i(4), n=i(32), batches=i(4), parts=i(2), cloud=i(8), seed=i(1)
        ).upper.value),
        "flow": lambda: flow.run(X, X + 1, seed=i(1)).particles,
        "train_score": lambda: ws.train_score(
            ws.networks.MLP(2, 8, 1), X, CLOCK, steps=i(3), batch_size=i(8), warmup=i(1),
            accumulate=i(2), holdout=X[:9], **kept,
        )(X.float(), 0.5),
        "train_generator": lambda: ws.train_generator(
            latent, X, steps=i(3), batch_size=i(8), latent=i(2), holdout=X[:9],
            drift=SinkhornDivergence(iterations=i(3)), **kept,
        ).sample(i(5), seed=i(1)),
        "noised": lambda: ws.train_generator(
            latent, X, steps=i(3), batch_size=i(8), **kept,
            drift=ScoreDifference(self_interaction="noised", draws=i(2)),
        ).sample(i(5)),
        "distil_generator": lambda: distil_generator(
            latent, KERNEL, critic=ws.networks.MLP(2, 8, 1), steps=i(3), batch_size=i(8),
            turns=i(1), **kept,
        ).sample(i(5)),
    }  # fmt: skip


@pytest.mark.parametrize("name", calls(int, None))
def test_the_result_is_that_of_pythons(name, tmp_path):
    """A run of NumPy's integers is even the same run: it continues what Python's began."""
    ours, theirs = calls(int, tmp_path / "a")[name](), calls(I, tmp_path / "b")[name]()
    torch.testing.assert_close(theirs, ours, rtol=1e-6, atol=0)
    torch.testing.assert_close(calls(I, tmp_path / "a")[name](), ours, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ws.networks.MLP(True),
        lambda: ws.networks.MLP(2, seed=True),
        lambda: ws.sample(KERNEL, True),
        lambda: ws.train_score(ws.networks.MLP(2, 8, 1), X, CLOCK, steps=True),
        lambda: ws.train_generator(ws.networks.LatentMLP(2, 2, 8, 1), X, batch_size=True),
        lambda: ws.NetworkScore(NETWORKS["DiT"](), CLOCK, shape=IMAGE).conditioned(True),
    ],
)
def test_true_is_no_integer(call):
    with pytest.raises(ws.InputError, match=r"integer.*got True"):
        call()
