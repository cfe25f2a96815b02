"""The predicted peak of a fit bounds the measured one, and stops one that cannot succeed."""

import json
import subprocess
import sys

import pytest
import torch

from wasserscore.core import memory
from wasserscore.core.errors import InputError
from wasserscore.process import VE
from wasserscore.proximal import fit_proximal
from wasserscore.proximal.memory import predicted_bytes

CLOCK = VE.constant(a=1.0)


def test_a_fit_that_cannot_succeed_is_refused_before_it_starts(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10**8)
    x = torch.zeros(60, 3)  # would be refused as one single row later
    with pytest.raises(InputError, match=r"a fit of columns to 60 rows of 3 columns needs about"):
        fit_proximal(x, CLOCK, method="columns")
    with pytest.raises(InputError, match=r"principal axes \(latent=64\)"):
        fit_proximal(x, CLOCK)


def test_axes_ask_for_less(monkeypatch):
    """The points alone, then a fit on few columns: what the advice promises."""
    wide = predicted_bytes(20000, 784, ("local_pca",), 1500)
    axes = predicted_bytes(20000, 784, ("principal axes",), 1500)
    assert max(axes, predicted_bytes(20000, 32, ("local_pca",), 1500)) < wide / 2
    enough = predicted_bytes(200, 300, ("principal axes",), 1500)
    monkeypatch.setattr(memory, "available_bytes", lambda: enough)
    x = torch.randn(200, 300, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match="needs about"):
        fit_proximal(x, CLOCK, method="local_pca")
    assert fit_proximal(x, CLOCK, method="columns", latent=4).components == 200


MEASURE = """
import json, sys, torch
from pathlib import Path
from wasserscore.process import VE
from wasserscore.proximal import fit_proximal
from wasserscore.proximal.memory import MARGIN, predicted_bytes
n, d, method = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
g = torch.Generator().manual_seed(0)
# not getrusage: a child inherits the peak of the process that started it
status = lambda: Path("/proc/self/status").read_text()
peak = lambda: int(status().split("VmHWM:")[1].split()[0]) * 1024
fit_proximal(torch.randn(100, 3, generator=g), VE.constant(a=1.0))  # libraries are loaded
x = torch.randn(n, 8, generator=g) @ torch.randn(8, d, generator=g)
x += 0.1 * torch.randn(n, d, generator=g)
before = peak()
fit_proximal(x, VE.constant(a=1.0), method=method)
print(json.dumps([peak() - before, predicted_bytes(n, d, (method,), 1500) - MARGIN, MARGIN]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize(
    ("n", "d", "method"),
    [(1000, 200, "local_pca"), (20000, 300, "columns"), (6000, 200, "local_pca")],
)
def test_the_prediction_is_honest(n, d, method):
    """In a process of its own: the measured peak lies between a third of it and all of it."""
    run = subprocess.run([sys.executable, "-c", MEASURE, str(n), str(d), method],
                         capture_output=True, text=True, check=True)  # fmt: skip
    used, predicted, margin = json.loads(run.stdout)
    assert predicted / 3 < used < predicted + margin
