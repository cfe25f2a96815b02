"""What every reference path must satisfy: it ends in the reference's law, on grids of any step.

A bound is valid only because of this; a new path is one line in ``PATHS``.
"""

from collections.abc import Callable

import pytest
import torch
from scipy import stats
from tests.score.contract import BUILDERS, PROCESSES

from wasserscore.certificate.flow import FlowPath
from wasserscore.certificate.mixed import MixedPath
from wasserscore.certificate.path import GaussianPath, ReferencePath, ReversePath
from wasserscore.core.random import Streams
from wasserscore.sampling import time_grid
from wasserscore.score import GaussianScore
from wasserscore.score.base import ClosedFormScore

N = 800
DIRECTIONS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [0.8, -0.6]], dtype=torch.float64)
PATHS: dict[str, Callable[[ClosedFormScore], ReferencePath]] = {
    "gaussian": lambda law: GaussianPath(law, 0.7),
    "gaussian flow": lambda law: GaussianPath(law, 0.0),
    "reverse": lambda law: ReversePath(law, 1, Streams(1)),
    "reverse in parts": lambda law: ReversePath(law, 3, Streams(1)),
    "mixed": lambda law: MixedPath(ReversePath(law, 1, Streams(1)), 0.6),
    "mixed in parts": lambda law: MixedPath(ReversePath(law, 3, Streams(1)), 0.6),
    "flow": lambda law: FlowPath(law, 1e-3, streams=Streams(1)),
}
LAWS = ("gaussian", "mixture", "empirical", "proximal")
SLOW = ("flow", "mixed in parts")


def same_law(x: torch.Tensor, y: torch.Tensor) -> float:
    """The smallest p-value of Kolmogorov-Smirnov tests along a few directions."""
    one, two = (DIRECTIONS @ cloud.flatten(1).mT for cloud in (x, y))
    return min(stats.ks_2samp(a, b).pvalue for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("process", ["VP", "EDM"])
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(
    "path", [pytest.param(p, marks=pytest.mark.slow) if p in SLOW else p for p in PATHS]
)
def test_a_path_ends_in_the_references_law(path, law, process, steps):
    reference = BUILDERS[law](PROCESSES[process], 2)
    if path.startswith("gaussian") and not isinstance(reference, GaussianScore):
        pytest.skip("affine maps move Gaussians only")
    grid = time_grid(reference.process, steps)
    generator = torch.Generator().manual_seed(0)
    start = reference.sample_marginal(N, grid.start, generator=generator)
    noise = lambda k: Streams(2).normal(f"{k}", 0, N, (2,), start)
    end = PATHS[path](reference).run(start, grid, noise)
    if end.error is not None:
        assert float(end.error.square().mean().sqrt()) < 0.05
    truth = reference.sample_marginal(20 * N, grid.stop, generator=generator)
    assert same_law(end.x, truth) > 1e-4
