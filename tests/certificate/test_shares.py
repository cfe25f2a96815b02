"""What the limits of a ladder may fail with, together: the certificate's error, and all of it."""

import sys

import pytest
import torch

from wasserscore.certificate import continuous, score_error, start, statistics
from wasserscore.certificate.closed import certified
from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.ladder import ladder
from wasserscore.certificate.proposal import Confidence, Run, clipped
from wasserscore.core.random import Streams
from wasserscore.process import VP
from wasserscore.sampling import solver, time_grid
from wasserscore.score import GaussianScore, MixtureScore

F64 = torch.float64
UNIT = VP.constant(beta=1.0, horizon=2.0)
STANDARD = GaussianScore(torch.zeros(1, dtype=F64), torch.eye(1, dtype=F64), UNIT)
MIX = MixtureScore(torch.ones(2, dtype=F64), torch.tensor([[-0.5], [0.5]], dtype=F64),
                   torch.full((2,), 0.5, dtype=F64), UNIT)  # fmt: skip
STATED = OneSided(lambda t: torch.full_like(t, 0.5), "stated", "0.5 at every time")
LEVEL = 0.9


@pytest.fixture
def drawn(monkeypatch):
    """Every limit that is drawn, once: its level by its numbers."""
    found = {}

    def spy(limit):
        def call(values, *rest):
            found[limit.__name__, values.numpy().tobytes()] = rest[-1]
            return limit(values, *rest)

        return call

    modules = [m for name, m in sys.modules.items() if name.startswith("wasserscore.certificate")]
    for limit in (statistics.mean_limit, statistics.pilot_limit, statistics.betting_lower_limit):
        for module in modules:
            if getattr(module, limit.__name__, None) is limit:
                monkeypatch.setattr(module, limit.__name__, spy(limit))
    monkeypatch.setattr(start, "START_TOLERANCE", 0.1)  # what is counted may be rough
    monkeypatch.setattr(continuous, "TIMES", 32)
    monkeypatch.setattr(score_error, "PANELS", 4)
    return found


def coupled(reference, name, eta, *, stop=0.01, clip=None, solved=False, **settings):
    """A run in which the start, the steps and the score err."""
    biased = lambda x, t: 1.1 * reference(x, t) + 0.1
    grid = time_grid(UNIT, 3, "uniform", stop=stop)
    coupling = Coupling(biased, reference, solver(name), grid, eta, "prior", 1, Streams(0))
    ends = coupling.run(64)
    if solved:
        ends = ends._replace(path_error=torch.linspace(0, 1e-3, 64, dtype=F64))
    if clip is None:
        return Run(coupling, ends, Confidence(LEVEL, 4), **settings)
    return Run(coupling, clipped(ends, -clip, clip), Confidence(LEVEL, 32, 2 * clip), **settings)


RUNS = {
    "theorem": (MIX, "euler_maruyama", 1.0, {"constant": STATED}),
    "own weight": (MIX, "euler_maruyama", 1.0, {"constant": STATED, "weight": lambda t: 1 + t}),
    "swapped": (MIX, "ancestral", 1.0, {"constant": certified(MIX)}),
    "solved path": (STANDARD, "heun", 0.0, {"solved": True}),
    "box": (STANDARD, "heun", 0.0, {"clip": 2.0}),
    "convergence": (STANDARD, "integrated_euler", 1.0, {"stop": 0.0}),
}
UNUSED = {"swapped": 2}
"""The theorem's two forms are made on the fallback's way, but the constant is not the model's."""


@pytest.mark.parametrize("case", RUNS)
def test_all_limits_of_a_ladder_have_a_share_and_no_share_is_idle(case, drawn):
    reference, name, eta, settings = RUNS[case]
    rungs = ladder(coupled(reference, name, eta, **settings), 1.0)
    spent = sum(1 - level for level in drawn.values())
    unused = UNUSED.get(case, 0) * (1 - rungs[-1].upper.level)
    assert spent - unused == pytest.approx(1 - LEVEL)
