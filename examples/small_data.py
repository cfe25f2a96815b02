"""A hundred rows of science: fit, compare held-out likelihoods, draw new rows, audit them.

    python examples/small_data.py

178 wines, 13 chemical measurements each (scikit-learn). A third is held out. The peer is
scikit-learn's kernel density on standardised columns, its bandwidth chosen by cross-validation.
"""

import numpy as np
import torch
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KernelDensity

import wasserscore as ws

rows = load_wine(as_frame=True).data
train, holdout = train_test_split(rows, test_size=1 / 3, random_state=0)
mean, spread = train.mean().to_numpy(), train.std(ddof=0).to_numpy()

model = ws.ProximalGenerator().fit(train)
search = GridSearchCV(KernelDensity(), {"bandwidth": np.geomspace(0.1, 2, 30)}, cv=5)
peer = search.fit((train - mean) / spread).best_estimator_

ours = model.score(holdout)
theirs = peer.score_samples((holdout - mean) / spread).mean() - np.log(spread).sum()
print(f"{len(train)} rows to fit, {len(holdout)} held out, {rows.shape[1]} columns")
print(f"held-out log-likelihood: proximal {ours:.2f} nats, kernel density {theirs:.2f} nats")
print(model.score_model_.fit_report.why)


def standard_units(x: torch.Tensor) -> torch.Tensor:
    """Columns of different units count alike."""
    return (x - torch.tensor(mean)) / torch.tensor(spread)


generated = model.sample(200)
print(ws.audit(train=train, generated=generated, holdout=holdout, features=standard_units,
               model=model))  # fmt: skip
