"""A table of every kind of column, small enough for a run of seconds."""

import numpy as np
import pandas as pd


def frame(rows=80, seed=0):
    rng = np.random.default_rng(seed)
    sex = rng.choice(["F", "M"], rows)
    city = pd.Series(rng.choice(["Bonn", "Köln", "=1+1"], rows), dtype="str")
    return pd.DataFrame({
        "id": [f"P{i:04}" for i in range(rows)],
        "age": rng.integers(18, 90, rows),
        "sex": sex,
        "city": city.where(rng.random(rows) > 0.2),
        "income": np.round(rng.lognormal(7, 0.3, rows) * (1 + (sex == "M")), 2),
        "day": [f"2024-0{m}-1{d}" for m, d in zip(
            rng.integers(1, 9, rows), rng.integers(0, 9, rows), strict=True)],
        "site": "<script>",
    })  # fmt: skip
