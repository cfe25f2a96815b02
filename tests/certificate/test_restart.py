import math
from dataclasses import replace

import pytest
import torch
from scipy import stats

from wasserscore.certificate import certify, pairing, restart
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.known import stratified
from wasserscore.certificate.restart import Restart, pairings, restarted_transport
from wasserscore.certificate.transport import coupled_transport
from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.process import VP
from wasserscore.sampling import solver, time_grid
from wasserscore.score import MixtureScore

F64 = torch.float64
VP_LINEAR = VP.linear(a=19.9, b=0.1, horizon=1.0)


def two_modes(shift=0.0):
    return MixtureScore(
        torch.tensor([0.3, 0.7], dtype=F64), torch.tensor([[-1.0], [1.0]], dtype=F64) + shift,
        torch.full((2,), 0.04, dtype=F64), VP_LINEAR,
    )  # fmt: skip


def coupling(score, reference, steps=20, seed=5, parts=1):
    grid = time_grid(VP_LINEAR, steps)
    method = solver("ancestral")
    return Coupling(score, reference, method, grid, 1.0, "prior", parts, Streams(seed))


def test_a_stratified_cloud_has_the_law_and_no_more_than_one_point_of_miscount():
    score, n = two_modes(), 4001
    x = stratified(score, n, 0.0, Streams(1)).x[:, 0]
    right = x > 0
    assert abs(int(right.sum()) - 0.7 * n) < 1.5
    for mode, where in ((1.0, right), (-1.0, ~right)):
        assert float(x[where].mean()) == pytest.approx(mode, abs=0.8 / math.sqrt(0.3 * n))
        assert float(x[where].var()) == pytest.approx(0.04, rel=4 * math.sqrt(2 / (0.3 * n)))
    noised = stratified(score, n, 0.3, Streams(2)).x
    alpha, variance = float(VP_LINEAR.alpha(0.3)), float(VP_LINEAR.variance(0.3))
    assert float(noised.mean()) == pytest.approx(alpha * 0.4, abs=0.05)
    assert float(noised.var()) == pytest.approx(alpha**2 * 0.88 + variance, rel=0.1)


def test_clouds_are_paired_where_modes_are_chosen_and_at_the_end():
    *early, last = pairings(coupling(two_modes(), two_modes()))
    noise = VP_LINEAR.noise_to_signal(time_grid(VP_LINEAR, 20).times).sqrt()
    width = math.sqrt(0.88)
    assert len(early) > 3
    assert all(0.1 * width < float(noise[k]) < 3 * width for k in early)
    assert last == 19


@pytest.mark.slow
def test_a_restarted_bound_is_above_the_truth_and_below_the_coupled_clouds():
    # the model's law is the reference moved by .3: in the limit of many steps W2 = .3
    reference, model = two_modes(), two_modes(0.3)
    coupled = coupling(model, reference, steps=30)
    costs = restarted_transport(coupled, 48, 6)
    ends = coupled.run(6 * 48)
    transport = coupled_transport(ends.reference, ends.model, 6)
    error = float(costs.std()) / math.sqrt(6)
    assert float(costs.mean()) + 3 * error > 0.28**2
    assert float(costs.mean()) < float(transport.mean())


@pytest.mark.parametrize("eta", [0.5, 1.0])
@pytest.mark.parametrize("fresh", [True, False])
def test_either_cloud_of_the_reference_ends_in_its_law(eta, fresh, monkeypatch):
    ends, n = [], 4000
    keep = lambda x, y: ends.append(x) or 0.0
    monkeypatch.setattr(restart, "_cost", keep)
    monkeypatch.setattr(pairing, "DENSE", 20)
    monkeypatch.setattr(pairing, "LEFT", 200)
    given = replace(coupling(two_modes(0.5), two_modes(), steps=8), eta=eta)
    given = replace(given, solver=solver("exponential"))
    restart._clouds(given, n, [Restart(4, fresh)], [4, 5, 7])
    x = ends[0][:, 0]
    law = lambda v: sum(w * stats.norm.cdf(v, m, 0.2) for w, m in ((0.3, -1.0), (0.7, 1.0)))
    assert stats.kstest(x.numpy(), law).statistic < 1.95 / math.sqrt(n)


def test_only_noise_can_be_shared_anew():
    flow = replace(coupling(two_modes(), two_modes()), eta=0.0)
    with pytest.raises(InputError, match="noise"):
        restarted_transport(flow, 16, 2)


@pytest.mark.slow
def test_the_rung_is_offered_where_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(restart, "PILOTS", 1)
    given = {"solver": "ancestral", "steps": 10, "n": 32, "parts": 1}
    found = certify(two_modes(), two_modes(), cloud=64, **given)
    rungs = {rung.name: rung for rung in found.rungs}
    assert rungs["restarted transport"].valid
    assert rungs["restarted transport"].upper.level == pytest.approx(1 - 0.05 / 3)
    flow = certify(two_modes(), two_modes(), cloud=64, **given | {"solver": "heun"})
    refused = {rung.name: rung for rung in flow.rungs}["restarted transport"]
    assert not refused.valid
    assert "noise" in refused.note
    plain = certify(two_modes(), two_modes(), **given)
    assert "restarted transport" not in {rung.name for rung in plain.rungs}
