"""A run so small that it takes seconds: 60 rows, three columns that vary and one that does not."""

import numpy as np

from wasserscore.experiment import RunConfig
from wasserscore.experiment.config import CertificateConfig, NetworkConfig

NETWORK = NetworkConfig(width=16, depth=1, steps=12, batch_size=16)


def write_table(path):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((60, 3)) * [1.0, 5.0, 0.2] + [0.0, 100.0, 1.0]
    table = np.column_stack([rows[:, :2], np.full(60, 7.0), rows[:, 2]])
    lines = [",".join(f"{value:.17g}" for value in row) for row in table]
    path.write_text("\n".join(["height,weight,planet,width", *lines]) + "\n")
    return path


def config(source, **changes):
    given = {
        "source": str(source), "resplits": 2, "curve": (2, 3), "steps": 4, "target_w2": 1.0,
        "network": NETWORK, "certificate": CertificateConfig(n=16),
    }  # fmt: skip
    return RunConfig(**{**given, **changes})
