"""What every closed-form score must satisfy: one line here, and a new member inherits it all.

A builder takes a process and the dimension (1 or 2) and returns a law with a density (float64).
"""

from collections.abc import Callable

import torch

from wasserscore.process import EDM, OU, VE, VP, LinearSDE, SubVP
from wasserscore.process.base import Process
from wasserscore.score import (
    EmpiricalScore,
    GaussianScore,
    GroupedScore,
    LatentScore,
    MixtureScore,
    ProximalScore,
)
from wasserscore.score.base import ClosedFormScore
from wasserscore.score.spiked import Spiked


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dense(k: int, d: int) -> torch.Tensor:
    """Well-conditioned covariances of standard deviation about one third."""
    a = draw(k, d, d, seed=5)
    return 0.05 * a @ a.mT + 0.05 * torch.eye(d, dtype=torch.float64)


WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
POSITIVE = 0.05 + 0.1 * torch.arange(1.0, 7.0, dtype=torch.float64)

Builder = Callable[[Process, int], ClosedFormScore]
BUILDERS: dict[str, Builder] = {
    "gaussian": lambda p, d: GaussianScore(1 + draw(d), dense(1, d)[0], p),
    "gaussian diagonal": lambda p, d: GaussianScore(1 + draw(d), POSITIVE[:d], p),
    "gaussian isotropic": lambda p, d: GaussianScore(1 + draw(d), POSITIVE[0], p),
    "gaussian on axes": lambda p, d: GaussianScore(
        1 + draw(d), POSITIVE[:d], p, axes=torch.linalg.qr(draw(d, d, seed=6)).Q
    ),
    "mixture": lambda p, d: MixtureScore(WEIGHTS, 1.5 * draw(3, d), dense(3, d), p),
    "mixture diagonal": lambda p, d: MixtureScore(
        WEIGHTS, 1.5 * draw(3, d), POSITIVE[: 3 * d].reshape(3, d), p
    ),
    "mixture isotropic": lambda p, d: MixtureScore(WEIGHTS, 1.5 * draw(3, d), POSITIVE[:3], p),
    "empirical": lambda p, d: EmpiricalScore(1 + 0.8 * draw(40, d), p, bandwidth=0.2),
    "proximal": lambda p, d: ProximalScore(
        1.5 * draw(5, d), Spiked(0.3 * draw(5, d, 1, seed=2), POSITIVE[:d]), p
    ),
    "latent": lambda p, d: LatentScore(
        ProximalScore(1.5 * draw(5, 1), Spiked(0.3 * draw(5, 1, 1, seed=2), POSITIVE[:1]), p),
        torch.tensor({1: [[1.0]], 2: [[0.6], [0.8]]}[d], dtype=torch.float64),
        1 + draw(d),
        0.3,
        p,
    ),
}

BUILDERS["grouped"] = lambda p, d: GroupedScore(
    (BUILDERS["proximal"](p, d), BUILDERS["latent"](p, d)), WEIGHTS[:2], p
)

PROCESSES: dict[str, Process] = {
    "VE": VE.constant(a=1.3),
    "VE exponential": VE.exponential(a=0.1, b=2.0),
    "VP": VP.linear(a=2.0, b=0.1),
    "VP cosine": VP.cosine(),
    "SubVP": SubVP.linear(a=2.0, b=0.1),
    "OU": OU(alpha=1.0, sigma=1.0),
    "EDM": EDM(sigma_max=80.0),
    "linear SDE": LinearSDE(f=lambda t: 0.3 + t, g2=lambda t: 1.0 + t**2, horizon=2.0),
}

NOISE_TO_SIGNAL = [1e-3, 0.1, 1.0, 20.0]
"""Variance ratios at which every process is tried."""


def times(process: Process) -> list[float]:
    """The times of these variance ratios, where the process reaches them."""
    top = float(process.noise_to_signal(process.horizon))
    return [float(process.time_at(s)) for s in NOISE_TO_SIGNAL if s < top]
