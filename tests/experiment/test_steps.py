"""The curve of steps and its plans."""

import torch

from wasserscore.data import load
from wasserscore.experiment import models
from wasserscore.experiment.steps import steps_section


def test_the_covariance_is_diagonalised_once_for_the_curve_and_both_plans(monkeypatch):
    """Of 3,000 columns each time took five seconds."""
    data = load("wine")
    train, d = data.take(torch.arange(0, 178, 2)), data.points.shape[1]
    model, seen, eigh = models.fit_empirical(train), [], torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda s: seen.append(tuple(s.shape)) or eigh(s))
    found = steps_section(
        model, "rows", model.score, data.points[1::2], counts=(2,), solver="heun",
        target_w2=30.0, seed=0, told=lambda done, total: None,
    )  # fmt: skip
    assert found["planned"] == found["options"][0]["steps"]
    assert seen == [(d, d)]
