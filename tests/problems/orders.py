"""The setting in which orders of convergence are measured, and the orders that are expected.

Gaussian data, the exact score, started at the exact noised law, so that only the steps err (K2);
K = 128 to 1024.
"""

import math

import numpy as np
import torch

from wasserscore.dynamics import TimeGrid
from wasserscore.process import OU, VE, VP, Process

MEAN = torch.full((3,), 0.3, dtype=torch.float64)
SPECTRUM = torch.tensor([0.05, 0.25, 1.5], dtype=torch.float64)
STEPS = (128, 256, 512, 1024)
WINDOWS = {1: (0.95, 1.25), 2: (1.9, 2.2), 3: (2.7, 3.3)}
"""Where the fitted order of a method of this order must lie."""


def to(make, noise_to_signal: float) -> Process:
    """A process whose horizon has this noise-to-signal ratio."""
    return make(float(make(1.0).time_at(noise_to_signal)))


PROCESSES = {
    "ve_exp": to(lambda h: VE.exponential(a=1.0, b=1.0, horizon=h), 1e4),
    "ve_poly": to(lambda h: VE.polynomial(a=1.0, b=1.0, c=2.0, horizon=h), 1e4),
    "vp_const": to(lambda h: VP.constant(beta=1.0, horizon=h), 1e6),
    "vp_linear": to(lambda h: VP.linear(a=1.0, b=0.1, horizon=h), 1e6),
    "vp_poly5": to(lambda h: VP.polynomial(a=1.0, b=0.3, rho=5.0, horizon=h), 1e6),
    "vp_exp": to(lambda h: VP.exponential(a=0.3, b=1.0, horizon=h), 1e6),
    "ou": to(lambda h: OU(alpha=1.0, sigma=2.0, horizon=h), 1e6),
}


def smooth_grid(process: Process, steps: int, width: float = 0.05) -> TimeGrid:
    """Noise-to-signal ratios ``width sinh(u)``, u in equal steps to zero.

    Geometric where the noise is large and equally spaced near zero, so that a method keeps its
    order down to t = 0.
    """
    top = float(process.noise_to_signal(process.horizon)) ** 0.5
    u = torch.linspace(math.asinh(top / width), 0, steps + 1, dtype=torch.float64)
    times = process.time_at((width * u.sinh()) ** 2)
    times[0], times[-1] = process.horizon, 0.0
    return TimeGrid(times)


def fitted(steps, errors) -> float:
    """Minus the slope of log error against log steps."""
    return -float(np.polyfit(np.log(steps), np.log(errors), 1)[0])
