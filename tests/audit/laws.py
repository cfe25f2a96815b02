"""Data, splits and planted copies for the tests of this room."""

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, make_moons

from wasserscore.audit import audit


def moons(n, seed, noise=0.05):
    return make_moons(n, noise=noise, random_state=seed)[0]


def split(name, seed):
    """Train, generated and hold-out rows, all fresh draws of one law."""
    if name == "moons":  # noise of 1 % is a quarter of the spacing of train: 1000 rows find 93 %
        return moons(200, 3 * seed), moons(1500, 3 * seed + 1), moons(1500, 3 * seed + 2)
    if name == "digits":
        rows = load_digits().data / 8 - 1
    else:
        rows = load_breast_cancer().data
        rows = (rows - rows.mean(0)) / rows.std(0)
    order, third = np.random.default_rng(seed).permutation(len(rows)), len(rows) // 3
    return tuple(rows[order[i * third : (i + 1) * third]] for i in range(3))


def plant(train, generated, seed, share=0.05, noise=0.0):
    """Replace a share of the generated rows by training rows, with noise relative to the std."""
    rng, out = np.random.default_rng(seed), generated.copy()
    n = round(share * len(out))
    copies = train[rng.choice(len(train), n)]
    out[:n] = copies + noise * train.std(0) * rng.uniform(-1, 1, copies.shape)
    return out


def flagged(name, resplits, share=0.0, noise=0.0):
    """The share of resplits in which the generated rows are flagged."""
    hits = 0
    for seed in range(resplits):
        train, generated, holdout = split(name, seed)
        rows = plant(train, generated, seed, share, noise) if share else generated
        hits += audit(train=train, generated=rows, holdout=holdout, seed=seed).flagged
    return hits / resplits
