import math
from itertools import pairwise

import pytest
import torch
from scipy.integrate import solve_ivp

from wasserscore.dynamics import DORMAND_PRINCE, Adaptive
from wasserscore.dynamics.embedded import BOGACKI_SHAMPINE

F64 = torch.float64


def bent(y, t):
    """A nonlinear system without symmetries, so that every order condition counts."""
    a, b = y[:, 0], y[:, 1]
    return torch.stack([torch.sin(b) + t * a * a, torch.cos(2 * a) - t * t * b], 1)


def attempts(tableau, h):
    """One step of size h from t = 0.3, and the error it reports (absolute tolerance one)."""
    pair = Adaptive(bent, 0.0, 1.0, tableau=tableau)
    y, t = torch.tensor([[0.4, -0.7]], dtype=F64), torch.tensor([0.3], dtype=F64)
    moved, _, error = pair._attempt(y, t, torch.full_like(t, h), bent(y, t))
    return moved, float(error)


def exact(h):
    def flat(t, y):
        return bent(torch.tensor(y[None]), torch.tensor([t], dtype=F64))[0].numpy()

    found = solve_ivp(flat, (0.3, 0.3 + h), [0.4, -0.7], "DOP853", rtol=1e-13, atol=1e-14)
    return torch.from_numpy(found.y[:, -1])


@pytest.mark.parametrize(
    ("tableau", "h", "local"), [(BOGACKI_SHAMPINE, 0.2, 4), (DORMAND_PRINCE, 0.2, 6)]
)
def test_a_step_and_its_error_have_their_orders(tableau, h, local):
    gaps, errors = [], []
    for size in (h, h / 2):
        moved, error = attempts(tableau, size)
        gaps.append(float((moved - exact(size)).norm()))
        errors.append(error)
    assert math.log2(gaps[0] / gaps[1]) > local - 0.3
    assert math.log2(errors[0] / errors[1]) == pytest.approx(tableau.order, abs=0.4)


@pytest.mark.parametrize("tableau", [BOGACKI_SHAMPINE, DORMAND_PRINCE])
def test_stages_lie_at_their_nodes_and_errors_vanish_on_constants(tableau):
    for node, weights in zip(tableau.nodes, tableau.stages, strict=True):
        assert sum(weights) == pytest.approx(node, rel=1e-14)
    assert sum(tableau.error) == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("tableau", [BOGACKI_SHAMPINE, DORMAND_PRINCE])
def test_what_one_interval_ends_with_begins_the_next(tableau):
    asked = []

    def counted(y, t):
        asked.append(len(y))
        return bent(y, t)

    y = torch.tensor([[0.3, -0.2], [1.0, 0.5], [-2.0, 0.1]], dtype=torch.float64)
    times = [1.0, 0.9, 0.6, 0.5, 0.1]
    loose = Adaptive(counted, 0.0, 1e9, tableau=tableau)  # one step between two times
    loose.through(y, times)
    assert len(asked) == 1 + 4 * len(tableau.nodes)
    tight = Adaptive(bent, 0.0, 1e-4, tableau=tableau)
    one_by_one = y
    for t, s in pairwise(times):
        one_by_one = tight(one_by_one, t, s)
    torch.testing.assert_close(tight.through(y, times), one_by_one, rtol=1e-13, atol=1e-13)
