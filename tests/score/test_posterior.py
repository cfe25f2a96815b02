"""Posteriors of linear measurements against Bayes' rule, exact for Gaussians."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch.distributions import MultivariateNormal

import wasserscore as ws
from wasserscore.core.errors import InputError
from wasserscore.core.linalg import conjugate_gradients
from wasserscore.data import Scaling
from wasserscore.network import MLP
from wasserscore.process import EDM, VP
from wasserscore.score import EmpiricalScore, GaussianScore, MixtureScore, NetworkScore
from wasserscore.score.grouped import GroupedScore
from wasserscore.score.guidance import (
    Mask,
    MatrixMap,
    Posterior,
    Separable,
    closed_form,
    exact_posterior,
)
from wasserscore.score.latent import LatentScore
from wasserscore.score.proximal import ProximalScore
from wasserscore.score.spiked import Spiked

PROCESSES = (EDM(sigma_max=80.0), VP.linear(a=0.1, b=10.0))
SHAPE = (2, 3)
SCALING = Scaling(torch.linspace(-1, 2, 6).double(), torch.linspace(0.5, 2, 6).double())
EXACT = {"iterations": 50, "tolerance": 1e-13}


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def covariance(d, seed=1):
    root = draw(d, d, seed=seed)
    return root @ root.T / d + 0.1 * torch.eye(d).double()


PRIOR = GaussianScore(draw(6), covariance(6), PROCESSES[0], shape=SHAPE, scaling=SCALING)
MATRIX = draw(4, 6, seed=2)
Y = draw(4, seed=3)


def bayes(mean, cov, a, y, noise):
    """Mean and covariance of x0 given y, from the joint Gaussian (data units)."""
    gain = cov @ a.T @ torch.linalg.inv(a @ cov @ a.T + noise**2 * torch.eye(len(a)).double())
    return mean + gain @ (y - a @ mean), cov - gain @ a @ cov


@dataclass(frozen=True, eq=False)
class Plain:
    """A score without a denoiser of its own."""

    law: GaussianScore

    def __getattr__(self, name: str) -> Any:
        if name in ("process", "shape", "scaling"):
            return getattr(self.law, name)
        raise AttributeError(name)

    def __call__(self, x, t):
        return self.law(x, t)


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("process", PROCESSES, ids=["edm", "vp"])
@pytest.mark.parametrize("wrap", [lambda s: s, Plain], ids=["denoiser", "score"])
def test_of_a_gaussian_it_is_the_gradient_of_the_log_posterior(wrap, process, noise):
    shift, scale = SCALING.shift, SCALING.scale
    mean, cov = shift + scale * PRIOR.mean, scale[:, None] * PRIOR.covariance * scale
    mean, cov = bayes(mean, cov, MATRIX, Y, noise)
    mean, cov = (mean - shift) / scale, cov / scale[:, None] / scale
    found = Posterior(wrap(PRIOR.under(process)), MATRIX, Y, noise, **EXACT)
    for t in (0.05, 0.5, 1.0):
        alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
        x = draw(5, 6, seed=4).requires_grad_()
        noised = alpha**2 * cov + sigma**2 * torch.eye(6).double()
        log = MultivariateNormal(alpha * mean, noised).log_prob(x)
        (expected,) = torch.autograd.grad(log.sum(), x)
        x = x.detach().reshape(5, *SHAPE)
        torch.testing.assert_close(
            found(x, t),
            expected.reshape(5, *SHAPE),
            rtol=1e-8,
            atol=1e-8 * float(expected.abs().max()),
        )
        clean = (x + sigma**2 * found(x, t)) / alpha
        torch.testing.assert_close(found.denoise(x, t), clean, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("solver", ["heun", "euler_maruyama"])
def test_samples_of_a_gaussian_have_the_moments_of_its_posterior(solver):
    operator, y = Separable.average((2, 2), 2), torch.tensor([[1.5]]).double()
    prior = GaussianScore(draw(4), covariance(4), PROCESSES[0], shape=(2, 2))
    mean, cov = bayes(prior.mean, prior.covariance, torch.full((1, 4), 0.25).double(), y[0], 0.2)
    steps = 20 if solver == "heun" else 60
    x = ws.sample(Posterior(prior, operator, y, 0.2), 512, solver=solver, steps=steps).flatten(1)
    standard = (torch.diagonal(cov) / len(x)).sqrt()
    assert bool(((x.mean(0) - mean).abs() < 4 * standard).all())
    torch.testing.assert_close(torch.cov(x.T), cov, atol=0.15 * float(cov.max()), rtol=0)


MIXTURE = MixtureScore(
    torch.tensor([0.5, 0.2, 0.3]).double(),
    draw(3, 6, seed=5),
    torch.stack([covariance(6, seed) for seed in (6, 7, 8)]),
    PROCESSES[0],
    scaling=SCALING,
)
POINTS = draw(5, 6, seed=9)
SPIKED = Spiked(draw(5, 6, 2, seed=10), torch.linspace(0.1, 0.6, 6).double())
PROXIMAL = ProximalScore(POINTS, SPIKED, PROCESSES[0], torch.arange(1, 6).double())
LAWS = {
    "gaussian": PRIOR,
    "mixture": MIXTURE,
    "empirical": EmpiricalScore(POINTS, PROCESSES[0], bandwidth=0.5, scaling=SCALING),
    "proximal": PROXIMAL,
    "pooled": replace(PROXIMAL, covariance=Spiked.pooled(5, covariance(6), 6)),
    "latent": LatentScore(
        ProximalScore(draw(4, 2), Spiked(draw(4, 2, 1), torch.ones(2).double()), PROCESSES[0]),
        torch.linalg.qr(draw(6, 2)).Q, draw(6), 0.3, PROCESSES[0],
    ),
}  # fmt: skip
LAWS["grouped"] = GroupedScore(
    (LAWS["pooled"], LAWS["latent"]), torch.tensor([0.3, 0.7]).double(), PROCESSES[0]
)


@pytest.mark.parametrize("name", LAWS)
def test_the_closed_form_is_the_prior_times_the_likelihood(name):
    """log p(x | y) = log p(x) + log N(y; A x, s^2) - log p(y), the last the same at every x."""
    prior = LAWS[name]
    found = exact_posterior(prior, MATRIX, Y, 0.4)
    assert (found.shape, found.process, found.scaling) == (
        prior.shape,
        prior.process,
        prior.scaling,
    )
    x = draw(20, 6, seed=11)
    seen = (x if prior.scaling is None else prior.scaling.undo(x)) @ MATRIX.T
    likelihood = -((Y - seen) / 0.4).square().sum(1) / 2
    evidence = prior.log_prob(x, 0.0) + likelihood - found.log_prob(x, 0.0)
    torch.testing.assert_close(evidence, evidence[:1].expand(20), rtol=1e-8, atol=1e-8)


def test_covariances_of_all_groups_together_must_have_room(monkeypatch):
    """Joined, each centre has its own, also where those of a group are one."""
    monkeypatch.setattr(closed_form, "MAX_NUMBERS", 9 * 36 - 1)
    with pytest.raises(InputError, match="at most 323 numbers, got 324"):
        exact_posterior(LAWS["grouped"], MATRIX, Y, 0.4)
    monkeypatch.setattr(closed_form, "MAX_NUMBERS", 9 * 36)
    exact_posterior(LAWS["grouped"], MATRIX, Y, 0.4)


def test_a_mask_without_noise_conditions():
    known = torch.tensor([True, False, True, False, False, True])
    y = draw(6, seed=12)
    law = exact_posterior(PROXIMAL, Mask(known), y[known], 0.0)
    expected = PROXIMAL.conditioned(y.masked_fill(~known, torch.nan))
    mean, cov = law.moments()
    torch.testing.assert_close(mean[known], y[known], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(mean[~known], expected.moments()[0], rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(cov[~known][:, ~known], expected.moments()[1], rtol=1e-8, atol=1e-8)


@pytest.mark.slow
def test_it_nears_the_closed_form_as_the_law_nears_a_gaussian():
    """Both sampled from the same noise: the root mean square of the gaps is at least W2."""
    bounds = []

    def apart_from(truth, score):
        one, other = (ws.sample(s, 128, steps=20) for s in (truth, score))
        return float((one - other).square().sum(1).mean().sqrt())

    for apart in (1.0, 0.5, 0.0):
        prior = replace(MIXTURE, means=apart * MIXTURE.means, scaling=None,
                        covariances=covariance(6).expand(3, 6, 6))  # fmt: skip
        truth = exact_posterior(prior, MATRIX, Y, 0.3)
        bounds.append(apart_from(truth, Posterior(prior, MATRIX, Y, 0.3, **EXACT)))
        if apart == 1.0:
            far = apart_from(truth, prior)
    assert bounds[2] < 1e-6 < bounds[1] < 0.15 < bounds[0] < 0.5 < far / 4


def test_rows_do_not_see_each_other():
    found = Posterior(LAWS["mixture"], MATRIX, Y, 0.1)
    x = ws.sample(found, 9, steps=4)
    assert torch.equal(x[:2], ws.sample(found, 2, steps=4, batch_size=1))


def test_every_row_may_have_a_time_of_its_own():
    found, x = Posterior(LAWS["mixture"], MATRIX, Y, 0.1), draw(3, 6)
    times = torch.tensor([0.1, 1.0, 10.0]).double()
    each = torch.cat([found(x[k : k + 1], times[k]) for k in range(3)])
    torch.testing.assert_close(found(x, times), each, rtol=1e-10, atol=1e-10)


class Halves:
    """Means of two rows by hand: one may forget a factor in the adjoint, or add a constant."""

    def __init__(self, factor, constant=0.0):
        self.factor, self.constant = factor, constant

    def forward(self, x):
        return x.mean(1) + self.constant

    def adjoint(self, y):
        return self.factor * y[:, None].expand(-1, 2, -1) / 2


def test_an_operator_by_hand_is_its_matrix():
    matrix = torch.cat([torch.eye(3), torch.eye(3)], 1).double() / 2
    y, x = Y[:3], draw(2, 2, 3)
    torch.testing.assert_close(Posterior(PRIOR, Halves(1.0), y, 0.1)(x, 1.0),
                               Posterior(PRIOR, matrix, y, 0.1)(x, 1.0))  # fmt: skip


def test_conjugate_gradients_solve_and_stop():
    k, b = covariance(6), draw(3, 6)
    found = conjugate_gradients(lambda v: v @ k, b, iterations=20, tolerance=1e-12)
    torch.testing.assert_close(found, torch.linalg.solve(k, b.T).T, rtol=1e-9, atol=1e-9)
    rough = conjugate_gradients(lambda v: v @ k, b, iterations=20, tolerance=0.5)
    assert bool(((b - rough @ k).norm(dim=1) <= 0.5 * b.norm(dim=1)).all())
    assert not torch.allclose(rough, found, atol=1e-2)
    b[1] = 0  # a row that is done, and a matrix that is none of a covariance
    assert torch.equal(conjugate_gradients(lambda v: -v, b, iterations=5, tolerance=0.0), 0 * b)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: Posterior(PRIOR, MATRIX, Y, -1.0), "noise_std must be finite and non-negative"),
        (lambda: Posterior(PRIOR, MATRIX, Y, "a"), "noise_std must be finite and non-n.*, got a"),
        (lambda: Posterior(lambda x, t: -x, MATRIX, Y, 0.1), "must have a process and a shape"),
        (lambda: Posterior(PRIOR, MATRIX, Y[:3], 0.1), r"y must have shape \(4,\)"),
        (lambda: Posterior(PRIOR, MATRIX, Y * torch.nan, 0.1), "y must be finite"),
        (lambda: Posterior(PRIOR, len, Y, 0.1), "forward and adjoint, got builtin_function"),
        (lambda: Posterior(PRIOR, MATRIX[:, :5], Y, 0.1), "a column for each coordinate"),
        (lambda: Posterior(PRIOR, MATRIX, Y, 0.1, iterations=0), "iterations must be a positive"),
        (lambda: Posterior(PRIOR, MATRIX, Y, 0.1, tolerance=-1.0), "tolerance must be finite and"),
        (
            lambda: Posterior(PRIOR, Mask(torch.ones(2, 2).bool()), Y, 0.1),
            r"operator must take points of \(2, 3\), got one for \(2, 2\)",
        ),
        (
            lambda: Posterior(PRIOR, Mask(torch.ones(3, 2).bool()), Y, 0.1),
            r"operator must take points of \(2, 3\), got one for \(3, 2\)",
        ),
        (lambda: Posterior(PRIOR, Halves(2.0), Y[:3], 0.1), r"linear.* = (.*) and .* = (?!\1)"),
        (lambda: Posterior(PRIOR, Halves(1.0, 0.5), Y[:3], 0.1), "must be linear, and its ad"),
        (lambda: Posterior(PRIOR, MATRIX, Y, 0.1)(draw(2, 2, 3), 0.0), "no score without noise"),
        (
            lambda: Posterior(PRIOR, MATRIX, Y, 0.1).denoise(draw(2, 5), 1.0),
            r"points must have shape \(b, 2, 3\)",
        ),
        (
            lambda: exact_posterior(NetworkScore(MLP(6, 4, 1), EDM()), MATRIX, Y, 0.1),
            "a mixture in closed form, got NetworkScore; use ws.guidance.Posterior",
        ),
        (
            lambda: exact_posterior(PRIOR, MATRIX[[0, 0, 1, 1]], Y, 0.0),
            "needs a density, got noise_std=0.0 and a singular covariance; state some noise",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(call, match):
    with pytest.raises(InputError, match=match):
        call()


@pytest.mark.usefixtures("unchecked")
def test_a_measurement_may_be_an_array_and_its_matrix_too():
    x, given = draw(2, 2, 3), (MATRIX.numpy(), Y.numpy(), 0.1)
    assert torch.equal(Posterior(PRIOR, *given)(x, 1.0), Posterior(PRIOR, MATRIX, Y, 0.1)(x, 1.0))
    one, other = (exact_posterior(PRIOR, *g) for g in (given, (MATRIX, Y, 0.1)))
    assert torch.equal(one.centres, other.centres)


@pytest.mark.parametrize("scaling", [None, SCALING])
def test_operators_on_pictures_take_flat_points(scaling):
    """And flat operators pictures."""
    picture, flat = (replace(PRIOR, shape=shape, scaling=scaling) for shape in (SHAPE, (6,)))
    x, blur = draw(2, 2, 3), Separable.blur(SHAPE, 1.0)
    y = draw(2, 3, seed=3)
    expected = Posterior(picture, blur, y, 0.1)(x, 1.0)
    torch.testing.assert_close(Posterior(flat, blur, y, 0.1)(x.flatten(1), 1.0),
                               expected.flatten(1))  # fmt: skip
    rows = MatrixMap(blur.forward(torch.eye(6).double().reshape(6, 2, 3)).flatten(1).T)
    torch.testing.assert_close(Posterior(picture, rows, y.flatten(), 0.1)(x, 1.0), expected)


def test_a_score_without_a_derivative_is_refused():
    @dataclass(frozen=True, eq=False)
    class Frozen(Plain):
        @torch.no_grad()
        def __call__(self, x, t):
            return self.law(x, t)

    found = Posterior(Frozen(PRIOR), MATRIX, Y, 0.1)
    with pytest.raises(InputError, match="must be differentiable for a posterior"):
        found(draw(2, 2, 3), 1.0)


def test_the_place_of_zero_does_not_matter():
    """An untrained network is N(0, 1) in its units; numbers of float32 near 1e8 are 8 apart."""

    def drawn(shift):
        scaling = Scaling(torch.full((2,), shift).double(), torch.tensor(2.0).double())
        score = NetworkScore(MLP(2, 8, 1).eval(), EDM(), scaling=scaling)
        y = torch.tensor([0.7 + shift], dtype=torch.float64)
        law = Posterior(score, Mask(torch.tensor([True, False])), y, 0.3)
        return ws.sample(law, 50, steps=6, seed=0) - shift

    torch.testing.assert_close(drawn(1e8), drawn(0.0), rtol=0, atol=1e-5)
