"""sample(): the same samples for a seed, exactly the steps asked for, and clear refusals."""

import copy
import math

import numpy as np
import pytest
import torch

from wasserscore.certificate import certify
from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.data import Scaling
from wasserscore.dynamics import TimeGrid
from wasserscore.network import MLP
from wasserscore.process import EDM, VP
from wasserscore.sampling import RowNoise, log_likelihood, sample, solver, solvers, time_grid
from wasserscore.score import GaussianScore, NetworkScore, Pushforward
from wasserscore.score.guidance import Guided

PROCESS = EDM(sigma_max=80.0)
NAMES = [s.name for s in solvers()]
WEIGHTS = torch.randn(6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def matrix_score(x, t):
    """A score with matrix products, whose rounding depends on how many rows come together."""
    flat = x.flatten(1)
    hidden = torch.tanh(flat @ WEIGHTS.to(x.dtype)) @ WEIGHTS.to(x.dtype).T
    return (-(flat + 0.1 * hidden) / (1 + t**2)).reshape(x.shape)


def draw(n, **options):
    return sample(matrix_score, n, process=PROCESS, shape=(6,), seed=5, steps=6, **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_samples_do_not_depend_on_the_batch(name, dtype):
    n = 260 if name in ("heun", "ancestral", "dpmpp_2m_sde", "pc") else 20
    options = {"solver": name, "dtype": dtype}
    whole = draw(n, **options)
    assert whole.dtype == dtype
    for batch_size in (7, 256):
        assert torch.equal(draw(n, batch_size=batch_size, **options), whole)
    few = draw(9, batch_size=1, **options)
    assert torch.equal(few, whole[:9])


@pytest.mark.parametrize("batch_size", [1, 7, 64, 100, 256])
def test_a_sample_keeps_its_place_in_a_tile(batch_size):
    """Some processors' matrix products round every second row another way."""

    def lopsided(x, t):
        return matrix_score(x, t) * (1 + 1e-3 * (torch.arange(len(x)) % 2))[:, None]

    options = {"process": PROCESS, "shape": (6,), "steps": 4, "solver": "ancestral"}
    whole = sample(lopsided, 600, **options)
    assert torch.equal(sample(lopsided, 600, batch_size=batch_size, **options), whole)
    assert torch.equal(sample(lopsided, 299, batch_size=batch_size, **options), whole[:299])


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_networks_of_half_precision_are_sampled_in_single(half):
    """Also certified: pipelines come so."""
    network = MLP(2, width=16).eval().requires_grad_(False).to(half)
    score = NetworkScore(network, PROCESS)
    found = sample(score, 6, steps=4, seed=1)
    assert found.dtype == torch.float32
    assert torch.equal(found, sample(score, 6, steps=4, seed=1, dtype=torch.float32))
    reference = GaussianScore(torch.zeros(2), torch.eye(2), PROCESS)
    certificate = certify(score, reference, n=16, steps=4, seed=1)
    single = NetworkScore(copy.deepcopy(network).float(), PROCESS)
    known = certify(single, reference, n=16, steps=4, seed=1)
    assert certificate.upper.value == pytest.approx(known.upper.value, rel=0.1)


def test_the_noise_of_steps_is_drawn_in_the_dtype_of_the_run():
    for dtype in (torch.float32, torch.float64):
        noise = RowNoise(Streams(5), slice(3, 9), (6,), torch.empty(0, dtype=dtype))
        drawn = torch.randn(256, 6, generator=Streams(5).generator("step/2"), dtype=dtype)
        assert torch.equal(noise(2), drawn[3:9])
        start = torch.randn(256, 6, generator=Streams(5).generator("start"), dtype=torch.float64)
        assert torch.equal(noise("start"), start[3:9].to(dtype))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["heun", "ancestral"])
def test_samples_do_not_depend_on_the_batch_one_by_one(name, dtype):
    whole = draw(300, solver=name, dtype=dtype)
    assert torch.equal(draw(300, solver=name, dtype=dtype, batch_size=1), whole)


def test_rows_and_seeds_differ():
    one, other = draw(300), sample(matrix_score, 300, process=PROCESS, shape=(6,), seed=6, steps=6)
    assert not torch.equal(one, other)
    assert torch.unique(one, dim=0).shape == one.shape


def test_image_shapes_are_the_flat_ones_folded():
    flat = draw(5)
    image = sample(matrix_score, 5, process=PROCESS, shape=(1, 2, 3), seed=5, steps=6)
    assert torch.equal(image.flatten(1), flat)


@pytest.mark.parametrize("steps", [1, 2, 7, 18])
@pytest.mark.parametrize("name", NAMES)
def test_exactly_the_steps_and_evaluations_asked_for(name, steps, counting):
    score, method, seen = counting(matrix_score), solver(name), []
    sample(score, 3, solver=name, steps=steps, process=PROCESS, shape=(6,),
           callback=lambda done, total: seen.append((done, total)))  # fmt: skip
    assert seen == [(k + 1, steps) for k in range(steps)]
    per = method.evaluations_per_step
    assert score.evaluations == per * steps - (per - 1)
    assert score.evaluations == method.evaluations(time_grid(PROCESS, steps))
    assert min(score.times) > 0


def test_heun_18_makes_35_evaluations_and_36_when_it_stops_early(counting):
    score = counting(matrix_score)
    sample(score, 3, process=PROCESS, shape=(6,))
    assert score.evaluations == 35
    score = counting(matrix_score)
    sample(score, 3, process=PROCESS, shape=(6,), stop=0.5)
    assert score.evaluations == 36
    assert min(score.times) == 0.5


def test_a_score_that_is_infinite_at_zero_noise_is_safe():
    """The default sampler on two Diracs: every sample ends on one of them."""

    def diracs(x, t):
        return (torch.tanh(x / t**2) - x) / t**2

    x = sample(diracs, 500, process=PROCESS, shape=(1,), dtype=torch.float64)
    assert (x.abs() - 1).abs().max() < 1e-12
    assert abs(float((x > 0).double().mean()) - 0.5) < 0.1


def test_early_stop_leaves_the_noise_of_its_time():
    def point(x, t):
        return -x / t**2

    x = sample(point, 4000, process=PROCESS, shape=(1,), stop=0.5, steps=60, dtype=torch.float64)
    assert float(x.std()) == pytest.approx(0.5, rel=0.05)


def test_starting_points_are_used_as_they_are(generator):
    grid = time_grid(PROCESS, 5, start=3.0)
    start = 3 * torch.randn(10, 6, generator=generator, dtype=torch.float64)
    x = sample(matrix_score, 10, process=PROCESS, start=start, grid=grid, solver="ddim")
    y = start
    for _, t, s in grid.pairs():
        y = y + t * (t - s) * matrix_score(y, t)
    assert x.dtype == torch.float64
    assert torch.allclose(x, y, rtol=1e-12)
    cut = sample(matrix_score, 10, process=PROCESS, start=start, grid=grid, solver="ddim",
                 batch_size=3)  # fmt: skip
    assert torch.equal(cut, x)


@pytest.mark.usefixtures("unchecked")
def test_starting_points_may_be_an_array():
    start = np.arange(18.0).reshape(3, 6)[::-1]
    how = {"process": PROCESS, "steps": 2, "solver": "ddim"}
    expected = sample(matrix_score, 3, start=torch.tensor(start.copy()), **how)
    assert torch.equal(sample(matrix_score, 3, start=start, **how), expected)


@pytest.mark.usefixtures("unchecked")
def test_numbers_of_numpy_are_numbers():
    how = {"process": PROCESS, "shape": (6,), "solver": "ddim"}
    expected = sample(matrix_score, 3, steps=2, seed=5, eta=0.5, stop=0.5, **how)
    found = sample(matrix_score, np.uint8(3), steps=np.int64(2), seed=np.int32(5),
                   eta=np.float32(0.5), stop=np.float64(0.5), **how)  # fmt: skip
    assert torch.equal(found, expected)
    with pytest.raises(InputError, match="n must be a positive integer"):
        sample(matrix_score, np.float64(3), **how)


@pytest.mark.parametrize("device", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(InputError, match=f"device {device} cannot be used here.*or pass 'cpu'"):
        sample(matrix_score, 3, process=PROCESS, shape=(6,), device=device)


def test_the_prior_has_the_noise_of_the_first_time(counting):
    nothing = counting(lambda x, t: 0 * x)
    process = VP.linear(a=19.9, b=0.1, horizon=1.0)
    x = sample(nothing, 20_000, process=process, shape=(1,), solver="integrated_euler", eta=0.0,
               grid=TimeGrid(torch.tensor([0.3, 0.2], dtype=torch.float64)))  # fmt: skip
    grown = 1 + float(process.integrated_f(0.3) - process.integrated_f(0.2))
    assert float(x.std()) == pytest.approx(grown * float(process.sigma(0.3)), rel=0.02)
    assert torch.equal(
        sample(nothing, 5, process=process, shape=(1,), start="prior"),
        sample(nothing, 5, process=process, shape=(1,)),
    )


class Scaled:
    process, shape = PROCESS, (2,)
    scaling = Scaling(torch.tensor([3.0, 3.0]), torch.tensor(10.0))

    def __call__(self, x, t):
        return -x / (1 + t**2)


def test_samples_come_back_in_data_units():
    plain = sample(lambda x, t: -x / (1 + t**2), 6, process=PROCESS, shape=(2,))
    assert torch.equal(sample(Scaled(), 6), 10 * plain.double() + 3)


def test_samples_of_single_precision_are_told_apart_far_from_zero():
    """Numbers of float32 near 1e8 are 8 apart."""
    near, far = Scaled(), Scaled()
    far.scaling = Scaling(torch.full((2,), 1e8, dtype=torch.float64), torch.tensor(10.0))
    away = sample(far, 6, dtype=torch.float32) - 1e8
    torch.testing.assert_close(away, sample(near, 6, dtype=torch.float32) - 3, rtol=0, atol=1e-6)


class Module(torch.nn.Module):
    process, shape = PROCESS, (2,)

    def __init__(self, dtype):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(1, dtype=dtype))

    def forward(self, x, t):
        assert x.dtype == self.gain.dtype
        return -self.gain * x / (1 + t.to(x.dtype) ** 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_network_is_run_in_its_own_dtype_without_gradients(dtype):
    x = sample(Module(dtype), 4)
    assert x.dtype == dtype
    assert not x.requires_grad


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"process": None}, "needs a process"),
        ({"shape": None}, "needs the shape"),
        ({"n": 0}, "n must be a positive"),
        ({"steps": 0}, "steps must be a positive"),
        ({"batch_size": 0}, "batch_size"),
        ({"solver": "hein"}, "unknown solver.*heun"),
        ({"grid": "sigmoid"}, "unknown grid.*karras"),
        ({"grid": np.array([2.0, 1.0])}, r"unknown grid, got array.*TimeGrid"),
        ({"eta": 0.5}, "heun is deterministic"),
        ({"eta": 1.5, "solver": "ddim"}, "eta must lie"),
        ({"stop": 100.0}, "0 <= stop < start"),
        ({"start": torch.ones(2, 6)}, "start must have n=3 rows"),
        ({"start": torch.ones(3, 5)}, "disagree about a point's shape"),
        ({"start": "noise"}, "unknown start"),
        ({"seed": -1}, "seed"),
        ({"dtype": torch.float16}, "float32 or float64"),
        ({"grid": TimeGrid(torch.tensor([2.0, 1.0])), "steps": 5}, "steps must match"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_refused_by_name(options, message):
    call = {"n": 3, "process": PROCESS, "shape": (6,), **options}
    with pytest.raises(InputError, match=message):
        sample(matrix_score, call.pop("n"), **call)


def test_a_score_of_another_process_is_refused():
    with pytest.raises(InputError, match="another process"):
        sample(Scaled(), 3, process=EDM(sigma_max=10.0))


def test_a_score_of_the_wrong_shape_is_refused():
    with pytest.raises(InputError, match="shaped like its points"):
        sample(lambda x, t: x[:, :1], 3, process=PROCESS, shape=(2,))


def test_a_score_that_fails_is_not_sampled_silently():
    with pytest.raises(InputError, match="NaN or infinity in sample 2"):
        sample(lambda x, t: x * torch.where(torch.arange(len(x)) == 2, math.nan, -1.0)[:, None],
               3, process=PROCESS, shape=(2,), steps=2)  # fmt: skip


def test_progress_counts_over_batches():
    seen = []
    draw(600, batch_size=256, callback=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 18) for i in range(1, 19)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_closed_form_score_is_run_in_the_dtype_of_its_law(dtype):
    score = GaussianScore(torch.zeros(2, dtype=dtype), torch.eye(2, dtype=dtype), PROCESS)
    assert sample(score, 3).dtype == dtype


def test_a_score_around_a_network_is_run_in_the_dtype_of_the_network():
    score = NetworkScore(MLP(2, width=8, depth=1).double(), PROCESS)
    assert sample(score, 3, steps=2).dtype == torch.float64


class Dropping(torch.nn.Module):
    """A linear denoiser behind a layer that is another one in training."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.dim = layer, 2
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, x, c_noise=None):
        return self.scale * self.layer(x)


@pytest.mark.parametrize(
    "layer", [torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(2)], ids=["dropout", "batch norm"]
)
def test_a_network_in_training_mode_is_refused_where_it_is_another_one(layer):
    network = Dropping(layer)
    score = NetworkScore(network, EDM(sigma_max=10.0))
    law = GaussianScore(torch.zeros(2), torch.eye(2), EDM(sigma_max=10.0))
    guided = Guided(poor=law, good=score, scale=2.0)
    before = [x.clone() for x in network.state_dict().values()]
    asks = [lambda: sample(score, 3), lambda: sample(guided, 3),
            lambda: certify(score, law, n=16), lambda: Pushforward(network, 2, (2,)).sample(3),
            lambda: log_likelihood(score, torch.zeros(1, 2))]  # fmt: skip
    for ask in asks:
        with pytest.raises(InputError, match=r"evaluation mode, got .* call network\.eval"):
            ask()
    network.eval()
    for ask in asks:
        ask()
    after = network.state_dict().values()
    assert all(torch.equal(x, y) for x, y in zip(before, after, strict=True))
    few, many = (sample(score, n, seed=1) for n in (3, 300))
    assert torch.equal(few, many[:3])


def test_layers_that_drop_nothing_may_be_in_training_mode():
    score = NetworkScore(Dropping(torch.nn.Dropout(0.0)), EDM(sigma_max=10.0))
    assert torch.equal(sample(score, 3), sample(score, 3))
