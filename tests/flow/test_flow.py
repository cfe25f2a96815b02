"""The loop: the same run however it is cut, stops, notes, schedules, and what it refuses."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from tests.flow.clouds import draw

import wasserscore as ws
from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.flow import (
    MMD,
    SVGD,
    Annealing,
    FlowState,
    ParticleFlow,
    ScoreDifferenceFlow,
    SinkhornDivergence,
    SlicedTransport,
    langevin,
)
from wasserscore.flow.annealing import crossing, spacing
from wasserscore.flow.optimiser import Adam, Momentum
from wasserscore.process import EDM
from wasserscore.score import EmpiricalScore, GaussianScore
from wasserscore.score.vault import write_pair

X, Y = draw(40), draw(60, seed=1, scale=2, shift=3)
EVERYTHING = {"optimiser": "adam", "batch": 20, "self_interaction": "noised",
              "stochasticity": 0.3}  # fmt: skip


def test_the_public_name_is_the_contract():
    found = ws.ScoreDifferenceFlow([1.0, 0.5], kernel="gaussian", self_interaction="keep").run(
        X.numpy(), Y.float().numpy(), seed=0
    )
    assert found.particles.dtype == torch.float64
    assert found.particles.shape == X.shape


def test_the_same_seed_gives_the_same_particles_and_another_seed_others():
    flow = ScoreDifferenceFlow(Annealing("random", 6, 2.0, 0.3), **EVERYTHING)
    first, again, other = (flow.run(X, Y, seed=s).particles for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_run_in_two_parts_is_the_run(tmp_path):
    flow = ScoreDifferenceFlow(Annealing("random", 8, 2.0, 0.3), **EVERYTHING)
    whole = flow.run(X, Y, seed=3)
    half = flow.resume(flow.start(X, Y, seed=3), Y, steps=5)
    assert half.status == "paused after 5 of 8 steps"
    half.state.save(tmp_path / "half.safetensors")
    rest = flow.resume(FlowState.load(tmp_path / "half.safetensors"), Y)
    assert torch.equal(rest.particles, whole.particles)
    assert (len(half.history), len(rest.history), rest.status) == (5, 3, "finished")
    assert rest.history[-1] == whole.history[-1]


def test_states_that_are_not_ours_are_refused(tmp_path):
    ws.save(GaussianScore(torch.zeros(2), torch.ones(2), EDM()), tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="state of a flow"):
        FlowState.load(tmp_path / "a.safetensors")
    state = ScoreDifferenceFlow([1.0]).start(X, Y)
    write_pair(tmp_path / "b.safetensors", {"particles": X}, {"class": "flow-state"})
    with pytest.raises(InputError, match="must be whole, got no 'memory'"):
        FlowState.load(tmp_path / "b.safetensors")
    state.save(tmp_path / "c.safetensors")
    assert torch.equal(FlowState.load(tmp_path / "c.safetensors").particles, X)
    with pytest.raises(InputError, match=r"must end in \.safetensors"):
        FlowState.load(tmp_path / "a.pt")


def test_images_keep_their_shape():
    found = ScoreDifferenceFlow([1.0]).run(X.reshape(10, 2, 4), Y[:40].reshape(10, 2, 4))
    assert found.particles.shape == (10, 2, 4)


def test_one_step_is_the_drift_times_the_step():
    found = [ScoreDifferenceFlow([0.7], step=a).run(X, Y) for a in (0.25, 1.0)]
    moves = [record.particles - X for record in found]
    torch.testing.assert_close(moves[0], 0.25 * moves[1])
    assert found[1].history[0].moved == pytest.approx(
        float(moves[1].square().sum(1).mean() ** 0.5)
    )


def test_a_batch_of_everything_is_everything_and_a_smaller_one_is_not():
    runs = [ScoreDifferenceFlow([0.7], batch=b).run(X, Y).particles for b in (None, 60, 59)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


# Choices said aloud -----------------------------------------------------------------------------


def test_the_rule_is_chosen_by_what_particles_would_see_and_said():
    plain = ScoreDifferenceFlow(Annealing(steps=4)).run(X, Y)
    assert plain.self_interaction == "keep"
    assert "self_interaction keep in 2 dimensions" in repr(plain)
    high = draw(60, 64, seed=1)
    alone = ScoreDifferenceFlow([2.0]).run(draw(40, 64), high)
    assert alone.self_interaction == "noised"
    assert "64 dimensions" in alone.notes[0]
    asked = ScoreDifferenceFlow([2.0], self_interaction="keep").run(draw(40, 64), high)
    assert asked.self_interaction == "keep"
    assert any("hardly anything but itself" in note for note in asked.notes)


def test_runs_into_single_points_are_announced_or_stopped():
    narrow = Annealing("geometric", 10, 1.0, 0.01)
    told = ScoreDifferenceFlow(narrow).run(X, Y)
    assert any("audit them for copies" in note for note in told.notes)
    stopped = ScoreDifferenceFlow(narrow, least_ess=2.0).run(X, Y)
    assert stopped.status.startswith("stopped before step")
    assert min(info.ess_target for info in stopped.history) >= 2
    assert len(stopped.history) < 10


def test_particles_at_rest_stop():
    flow = ScoreDifferenceFlow([0.5] * 200, self_interaction="keep", tolerance=0.02)
    found = flow.run(Y + 0.01 * draw(60), Y)
    assert "particles rest" in found.status
    assert len(found.history) < 50
    falling = ScoreDifferenceFlow([5.0, 4.0, 3.0], tolerance=1e9).run(X, Y)
    assert len(falling.history) == 3  # a smaller width is still to come


def test_observers_are_kept_and_records_are_json():
    seen = []

    def observe(info, x):
        seen.append(x.clone())
        return {"mean": float(x.mean())}

    found = ScoreDifferenceFlow([1.0, 0.5]).run(X, Y, observe=observe)
    assert torch.equal(seen[-1], found.particles)
    written = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert written["measured"][1]["mean"] == float(seen[1].mean())
    assert written["history"]["sigma"] == [1.0, 0.5]
    assert "particles" not in written


# Schedules --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["geometric", "cosine", "karras"])
def test_schedules_fall_between_their_ends(shape):
    widths = Annealing(shape, 9, 3.0, 0.1).widths(X, Y, Streams(0))
    assert widths[0] == pytest.approx(3)
    assert widths[-1] == pytest.approx(0.1)
    assert all(b < a for a, b in pairwise(widths))
    middle = {"geometric": 0.3**0.5, "cosine": 1.55,
              "karras": ((3 ** (1 / 7) + 0.1 ** (1 / 7)) / 2) ** 7}  # fmt: skip
    assert widths[4] == pytest.approx(middle[shape])


def test_random_widths_are_log_uniform():
    widths = torch.tensor(Annealing("random", 4000, 3.0, 0.1).widths(X, Y, Streams(0))).log()
    low, high = torch.tensor([0.1, 3.0]).log()
    assert float(widths.mean()) == pytest.approx(float((low + high) / 2), abs=0.06)
    assert float(widths.var()) == pytest.approx(float((high - low) ** 2 / 12), rel=0.05)


def test_ends_come_from_the_data():
    line = torch.arange(5, dtype=torch.float64)[:, None].repeat(2, 2)  # every point twice
    assert spacing(line) == pytest.approx(2**0.5)
    circle = 6 * torch.nn.functional.normalize(draw(400, seed=2), dim=1)
    assert crossing(circle[:200], circle[200:]) == pytest.approx(3, rel=0.05)
    chosen = ScoreDifferenceFlow("geometric").start(X, Y).widths
    many = draw(60, seed=7)
    enough = ScoreDifferenceFlow("geometric").start(many, Y).widths
    assert (enough[0], enough[-1], len(enough)) == (crossing(many, Y), spacing(Y), 300)
    few = ScoreDifferenceFlow("geometric").start(X[:10], Y).widths  # neighbours farther apart
    assert few[-1] > 1.5 * spacing(Y)
    sparse = draw(20, 30, seed=3)
    low, high = spacing(sparse), crossing(sparse, sparse)
    assert high < 2 * low  # so the first width follows the last
    assert Annealing(steps=2).widths(sparse, sparse, Streams(0)) == pytest.approx((2 * low, low))
    given = Annealing(steps=2, sigma_max=low).widths(sparse, sparse, Streams(0))
    assert given == pytest.approx((low, low / 2))
    law = GaussianScore(torch.full((2,), 3.0).double(), torch.full((2,), 4.0).double(), EDM())
    from_law = ScoreDifferenceFlow("geometric").start(X, law).widths
    assert from_law[0] == pytest.approx(chosen[0], rel=0.3)


# Optimisers -------------------------------------------------------------------------------------


def test_momentum_and_adam_by_hand():
    a, b = draw(3), draw(3, seed=1)
    first, memory = Momentum(0.9)(a, (), 0, 1.0)
    second, _ = Momentum(0.9)(b, memory, 1, 1.0)
    torch.testing.assert_close(first, 0.1 * a)
    torch.testing.assert_close(second, 0.09 * a + 0.1 * b)
    parameter = torch.nn.Parameter(torch.zeros(3, 2, dtype=torch.float64))
    torchs, memory, place = torch.optim.Adam([parameter], lr=0.2), (), torch.zeros_like(a)
    for k, move in enumerate((a, b, a)):
        parameter.grad = -move
        torchs.step()
        step, memory = Adam(0.2)(move, memory, k, 1.0)
        place = place + step
    torch.testing.assert_close(place, parameter.detach())
    half, _ = Adam(0.2)(a, (), 0, 0.5)
    torch.testing.assert_close(half, 0.5 * Adam(0.2)(a, (), 0, 1.0)[0])


# Baselines --------------------------------------------------------------------------------------

LAW = GaussianScore(torch.full((2,), 3.0).double(), torch.full((2,), 4.0).double(), EDM())


BASELINES = {  # drift, width, steps, step, target
    "mmd": (MMD(), 3.0, 100, 2.0, Y),
    "svgd": (SVGD(), 1.0, 150, 0.5, LAW),
    "langevin": (langevin(), 1.0, 60, 0.3, LAW),
    "sinkhorn": (SinkhornDivergence(), 1.0, 6, 1.0, Y),
    "sliced": (SlicedTransport(), 1.0, 20, 0.5, Y),
}


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_brings_the_moments_home(name):
    drift, width, steps, step, target = BASELINES[name]
    found = ParticleFlow([width] * steps, drift=drift, step=step).run(draw(80), target).particles
    assert float((found.mean(0) - 3).abs().max()) < 0.9
    assert float(found.std(0).mean()) == pytest.approx(2, abs=0.7)


def test_sliced_transport_of_a_translation_is_one_step_on_average():
    x = draw(50, 3)
    shift = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    found = ParticleFlow([1.0], drift=SlicedTransport(20_000)).run(x, x + shift)
    torch.testing.assert_close(found.particles, x + shift, rtol=0, atol=0.06)


def test_sliced_transport_on_the_line_matches_quantiles():
    x, y = draw(6, 1), torch.arange(3, dtype=torch.float64)[:, None]
    found = ParticleFlow([1.0], drift=SlicedTransport(1)).run(x, y).particles
    order = x[:, 0].argsort()
    assert found[order, 0].tolist() == pytest.approx([0, 0, 1, 1, 2, 2])


def test_clouds_are_asked_for_where_they_are_needed():
    for drift in (MMD(), SlicedTransport(), SinkhornDivergence()):
        with pytest.raises(InputError, match="needs points of the target"):
            ParticleFlow([1.0], drift=drift).run(X, LAW)


# Refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ScoreDifferenceFlow([]), "bandwidths must be positive"),
        (lambda: ScoreDifferenceFlow([1.0, -1.0]), "bandwidths must be positive"),
        (lambda: ScoreDifferenceFlow(1.0), "one per step, got 1.0; pass a list"),
        (lambda: ScoreDifferenceFlow(["a"]), "bandwidths must be numbers"),
        (lambda: ScoreDifferenceFlow("linear"), "unknown annealing"),
        (lambda: ScoreDifferenceFlow([1.0], step=0.0), "step must be positive"),
        (lambda: ScoreDifferenceFlow([1.0], batch=0), "batch must be positive"),
        (lambda: ScoreDifferenceFlow([1.0], kernel="box"), "unknown kernel"),
        (lambda: ScoreDifferenceFlow([1.0], optimiser="sgd"), "unknown optimiser"),
        (lambda: ScoreDifferenceFlow([1.0]).run(X * np.nan, Y), "source must be finite"),
        (lambda: ScoreDifferenceFlow([1.0]).run(X, Y / 0), "target must be finite"),
        (lambda: ScoreDifferenceFlow([1.0]).run(X, draw(5, 3)), "same dimension"),
        (
            lambda: ScoreDifferenceFlow([1.0]).run(
                draw(5, 12).reshape(5, 3, 4), draw(5, 12).reshape(5, 4, 3)
            ),
            r"target must have the axes of source, \(3, 4\), got \(4, 3\)",
        ),
        (
            lambda: ScoreDifferenceFlow([1.0]).run(
                draw(5, 12).reshape(5, 3, 4),
                EmpiricalScore(draw(5, 12).reshape(5, 4, 3), EDM(), bandwidth=0.1),
            ),
            r"points must have shape \(b, 4, 3\)",
        ),
        (lambda: ScoreDifferenceFlow("cosine").run(X, Y[:1]), "two different target points"),
        (lambda: ScoreDifferenceFlow("cosine").run(X, torch.neg), "how wide it is"),
        (lambda: ScoreDifferenceFlow([1.0]).run(X, lambda z: z * torch.inf), "must stay finite"),
        (lambda: ScoreDifferenceFlow([1.0] * 30, step=9.0).run(X, Y), "must stay near .* smaller"),
        (lambda: Annealing("cosine", 1), "at least two steps"),
        (lambda: Annealing("cosine", 5, 1.0, 2.0).widths(X, Y, Streams(0)), "must fall"),
        (lambda: SVGD()(X[:1].repeat(3, 1), LAW, 1.0, Streams(0)), "particles that differ"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()
