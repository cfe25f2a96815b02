"""Words where numbers go, numbers where functions go: a sentence, no error from deep inside."""

import math

import pytest
import torch

import wasserscore as ws
from wasserscore.flow import distil_generator

pytestmark = pytest.mark.usefixtures("unchecked")
CLOCK = ws.VP.linear(a=19.9, b=0.1)
X = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
LAW = ws.GaussianScore(torch.zeros(2), torch.eye(2), CLOCK)


def trained(network=None, **settings):
    network = ws.networks.MLP(2, 4, 1) if network is None else network
    return ws.train_score(network, X, CLOCK, steps=1, batch_size=4, **settings)


def generated(network=None, **settings):
    network = ws.networks.LatentMLP(2, 2, 4, 1) if network is None else network
    return ws.train_generator(network, X, steps=1, batch_size=4, **settings)


def distilled(teacher=LAW, **settings):
    network, critic = ws.networks.LatentMLP(2, 2, 4, 1), ws.networks.MLP(2, 4, 1)
    return distil_generator(network, teacher, **{"critic": critic, "steps": 1, **settings})


CASES = {
    "learning_rate": (lambda: trained(learning_rate="fast"), "must be a number, got 'fast'"),
    "weight_decay": (lambda: trained(weight_decay="a"), "weight_decay must be a number"),
    "gradient_clip": (lambda: trained(gradient_clip=None), "gradient_clip must be a number"),
    "label_dropout": (lambda: trained(label_dropout="a"), "label_dropout must be a number"),
    "data_std": (lambda: trained(data_std="a"), "data_std must be positive and finite, got a"),
    "scaling": (lambda: trained(scaling=3), r"scaling must be a ws\.data\.Scaling, got 3"),
    "weighting": (lambda: trained(weighting=3), "a name or a weighting object, got 3"),
    "regularise": (lambda: trained(regularise=3), "regularise must be a name, .* got 3"),
    "measure": (lambda: trained(measure=3), "measure must be a function of the score, got 3"),
    "callbacks": (lambda: trained(callbacks=print), "callbacks must be a list of functions"),
    "a callback": (lambda: trained(callbacks=[3]), r"callbacks must be a list .* got \[3\]"),
    "network": (lambda: trained(lambda x, c: x), "needs weights, got none in function"),
    "generator": (lambda: generated(lambda z: z), "to train needs weights, got none in function"),
    "ema": (lambda: generated(ema="slow"), r"ema must lie in \[0, 1\), got slow"),
    "decay": (lambda: generated(weight_decay=-1.0), "weight_decay must be finite and not"),
    "drift": (lambda: generated(drift=3), "drift must be a name or a drift, got 3"),
    "alpha": (lambda: distilled(alpha="a"), "alpha must be a finite number, got a"),
    "alpha NaN": (lambda: distilled(alpha=math.nan), "alpha must be a finite number, got nan"),
    "critic": (lambda: distilled(critic=3), "to train needs weights, got none in int"),
    "teacher": (lambda: distilled(lambda x, t: x), "with a process and a shape, got function"),
    "eta": (lambda: ws.sample(LAW, 2, eta="much"), r"eta must lie in \[0, 1\], got much"),
    "stop": (lambda: ws.sample(LAW, 2, stop="early"), "stop must be a time, got 'early'"),
    "shape": (lambda: ws.sample(LAW, 2, shape=3), "a shape must be a tuple of sizes, got 3"),
    "image": (lambda: ws.networks.UNet(8), r"shape must be \(channels, height, width\), .* got 8"),
    "level": (lambda: ws.certify(LAW, LAW, n=32, level="high"), "level must lie strictly between"),
    "score": (lambda: ws.certify(None, LAW, n=32), "a score must be a function of .* NoneType"),
    "a denoiser's": (lambda: ws.DenoiserScore(lambda x, s: x, "VP", (2,)), "one .* got 'VP'"),
    "a callable's": (lambda: ws.sample(lambda x, t: -x, 2, process="VP", shape=(2,)), "got 'VP'"),
    "a fit's": (lambda: ws.fit_proximal(X[:1], "VP"), "process must be one of .*, got 'VP'"),
    "most_steps": (lambda: ws.plan(X, 1.0, most_steps=2.5), "most_steps must be a positive integ"),
    "score_error": (lambda: ws.plan(X, 1.0, score_error="a"), "score_error must be non-neg"),
    "processes": (lambda: ws.plan(X, 1.0, processes=CLOCK), "must be a list of processes"),
    "a process": (lambda: ws.plan(X, 1.0, processes=["vp"]), r"list of processes, got \['vp'\]"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_of_another_kind_is_refused_in_a_sentence(name):
    call, match = CASES[name]
    with pytest.raises(ws.InputError, match=match):
        call()
