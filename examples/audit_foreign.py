"""Audit what somebody else's model made: files in, a verdict and an exit code out.

    python examples/audit_foreign.py [FOLDER]

Two models of scikit-learn are fitted to half of the breast-cancer table: a Gaussian mixture, and
a kernel density so narrow that it repeats its rows. Their samples go to CSV, and the command line
compares them with the training rows and with the half that neither has seen.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
rows = load_breast_cancer(as_frame=True).data.sample(frac=1, random_state=0)
train, holdout = rows.iloc[::2], rows.iloc[1::2]
units = (train - train.mean()) / train.std()
train.to_csv(folder / "train.csv", index=False)
holdout.to_csv(folder / "holdout.csv", index=False)

models = {
    "mixture": GaussianMixture(4, reg_covar=1e-3, random_state=0).fit(units.to_numpy()),
    "narrow": KernelDensity(bandwidth=0.02).fit(units.to_numpy()),
}
for name, model in models.items():
    drawn = model.sample(len(holdout), *([0] if name == "narrow" else []))
    made = drawn if name == "narrow" else drawn[0]
    table = pd.DataFrame(made, columns=train.columns) * train.std() + train.mean()
    table.to_csv(folder / f"{name}.csv", index=False)
    files = [str(folder / f"{file}.csv") for file in ("train", name)]
    command = ["audit", *files, "--holdout", str(folder / "holdout.csv"),
               "--out", str(folder / name), "--fail-if", "flagged>0"]  # fmt: skip
    print(f"\n$ wasserscore {' '.join(command)}", flush=True)
    run = subprocess.run([sys.executable, "-m", "wasserscore", *command], check=False)
    print(f"exit code {run.returncode}")
