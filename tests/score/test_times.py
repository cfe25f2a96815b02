"""Times that no process has, asked of every kind of score."""

import pytest
import torch

import wasserscore as ws
from wasserscore.core.errors import InputError

PROCESS = ws.EDM(sigma_max=80.0)
X = torch.ones(4, 2)
LAW = ws.GaussianScore(torch.zeros(2), torch.eye(2), PROCESS)
SCORES = {
    "law": LAW,
    "points": ws.EmpiricalScore(X[:1] * torch.arange(3)[:, None], PROCESS, bandwidth=0.1),
    "network": ws.NetworkScore(ws.networks.MLP(2, 4, 1), PROCESS),
    "function": ws.DenoiserScore(lambda y, r: 0 * y, PROCESS, (2,)),
    "posterior": ws.guidance.Posterior(LAW, torch.eye(2), torch.ones(2), 0.1),
}
TIMES = {
    "negative": (-1.0, r"t must not be negative or NaN, got t=-1\.0"),
    "one of them": (torch.tensor([1.0, 2.0, -0.5, 1.0]), "t must not be negative or NaN"),
    "NaN": (float("nan"), "t must not be negative or NaN, got t=nan"),
    "a word": ("late", "t must be a number, or one per point, got 'late'"),
    "nothing": (None, "t must be a number, or one per point, got None"),
    "too many": (torch.ones(3), r"one for each of 4 points, got shape \(3,\)"),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("name", SCORES)
def test_times_that_no_process_has_are_refused(name, time):
    """EDM's noise at -1 squares to that at 1: the score there came back without a word."""
    score, (t, match) = SCORES[name], TIMES[time]
    for ask in (score, score.denoise, getattr(score, "log_prob", score)):
        with pytest.raises(InputError, match=match):
            ask(X, t)
