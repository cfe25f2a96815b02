"""The kernel sum against a dense reference in extended precision, and its exact identities."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from wasserscore.core.errors import InputError
from wasserscore.kernel import Keys, effective_size, small, softmax_mean, stream
from wasserscore.kernel.keys import DOUBLE, EXACT, FAST
from wasserscore.kernel.stream import Block


def draw(*shape: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=g, dtype=torch.float64).to(dtype)


def dense(x, y, sigma, *, values=None, log_weights=None, mask=None):
    """Everything by differences, in extended precision (64-bit mantissa).

    In double where that is as good for float32, and ten times as fast: beside logits below 1e8.
    """
    sigma, kind = np.asarray(sigma, np.longdouble).reshape(-1, 1), np.longdouble
    reach = x.norm(dim=1).max() + y.norm(dim=1).max()
    if y.dtype == torch.float32 and reach < 1e4 * sigma.min():
        kind = np.float64
    x, y, v = (np.asarray(a, kind) for a in (x, y, y if values is None else values))
    logits = np.stack([-((row - y) ** 2).sum(1) for row in x]) / (2 * sigma.astype(kind) ** 2)
    if log_weights is not None:
        logits = logits + np.asarray(log_weights, kind)
    if mask is not None:
        logits[mask] = -np.inf
    top = logits.max(1, keepdims=True)
    w = np.exp(logits - top)
    total = w.sum(1, keepdims=True)
    log_sum = (top + np.log(total))[:, 0]
    return w @ v / total, log_sum, (total**2)[:, 0] / (w**2).sum(1)


def queries(y: torch.Tensor, reach: float) -> torch.Tensor:
    """Beside the data, on a key, between two keys, and far away."""
    near = draw(6, y.shape[1], seed=1).to(y) * y.std() + y.mean(0)
    far = y.mean(0) + reach * torch.nn.functional.normalize(near[:3] - y.mean(0), dim=1)
    return torch.cat([near, y[:2], (y[2:4] + y[4:6]) / 2, far])


SIGMAS = [1e-4, 1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 1e2, 1e4]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("reach", [30.0, 1e4])
@pytest.mark.parametrize(
    ("d", "tiles"),
    [(1, "none"), (2, "none"), (16, "none"), (64, "none"), (784, "none"), (2, "tiny")]
    + [(d, kind) for d in (1, 16, 64) for kind in ("cheap", "dear")]
    + [(200, "dear")],
)
def test_accuracy_at_every_sigma(d, tiles, reach, dtype, monkeypatch):
    if tiles == "none":
        monkeypatch.setattr(small, "serves", lambda *_: False)
    monkeypatch.setattr(small, "TINY", 2**12 if tiles == "tiny" else 0)
    monkeypatch.setattr(small, "CHEAP", 0 if tiles == "dear" else 2**23)
    monkeypatch.setattr(small, "QUERIES", 9)
    y = draw(200, d, dtype=dtype)
    y[10] = y[11]
    x, scale = queries(y, reach), float(y.norm(dim=1).max())
    for sigma in SIGMAS:
        got = softmax_mean(x, y, sigma)
        mean, log_sum, ess = dense(x, y, sigma)
        error = np.abs(got.mean.numpy() - mean).max() / scale
        # A tie is decided by the last bit of the query itself: no formula does better.
        tie = 4e-16 * scale**2 / sigma**2
        assert error < (1e-5 if dtype == torch.float32 else 1e-10 + tie), sigma
        relative = np.abs(got.log_sum.numpy() - log_sum) / (1 + np.abs(log_sum))
        assert relative.max() < (2e-5 if dtype == torch.float32 else 1e-10), sigma
        single = 1e-4 if dtype == torch.float32 else 1e-9 + tie
        size = effective_size(x, y, sigma).numpy()
        assert np.abs(size / ess - 1).max() < single, sigma


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-30, 1e-17, 1e16, 1e18])
@pytest.mark.parametrize(("queries", "keys"), [(5, 100), (60, 203), (300, 1500)])
def test_keys_whose_squares_float32_does_not_hold(queries, keys, scale, dtype):
    """Amperes of a cell, or nanoseconds since 1970."""
    y, x = (draw(n, 5, seed=n) * scale for n in (keys, queries))
    y, x = y.to(dtype), x.to(dtype)
    v = draw(keys, 2, seed=2, dtype=dtype)
    for sigma in (0.01 * scale, scale, 1e3 * scale):
        for values in (None, v):
            got, truth = (
                softmax_mean(x, y, sigma, values=values),
                dense(x, y, sigma, values=values),
            )
            unit = scale if values is None else 1.0
            assert np.abs(got.mean.numpy() - truth[0]).max() < 1e-5 * unit
            assert np.abs(got.log_sum.numpy() - truth[1]).max() < 2e-5 * np.abs(truth[1]).max()
        assert np.abs(effective_size(x, y, sigma).numpy() / truth[2] - 1).max() < 1e-4
    x = x[:4].double().requires_grad_()
    total = softmax_mean(x, Keys(y.double()), scale).log_sum.sum()
    slope = (dense(x.detach(), y, scale)[0] - x.detach().numpy()) / scale**2
    assert np.abs(torch.autograd.grad(total, x)[0].numpy() / slope - 1).max() < 1e-6


@pytest.mark.parametrize("n", [3, 203, 1500])
def test_one_point_many_times_at_any_width(n):
    y = torch.full((n, 2), 0.3)
    for sigma in (1e-25, 1e-10, 1.0, 1e25):
        got = softmax_mean(y[:2], y, sigma)
        assert torch.allclose(got.mean, y[:2])
        assert torch.allclose(got.log_sum, torch.tensor(float(n)).log())


@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_adversarial_keys_whose_rounding_does_not_average_out(shift):
    y = (torch.randint(0, 2, (300, 256), generator=torch.Generator().manual_seed(3)) * 0.7).float()
    y = y + shift
    x = y[:20] + 0.2 * draw(20, 256, dtype=torch.float32)
    for sigma in [0.2, 0.5, 1.0, 2.0, 5.0]:
        mean, _, _ = dense(x, y, sigma)
        error = np.abs(softmax_mean(x, y, sigma).mean.numpy() - mean).max()
        assert error < 1e-5 * 12 + 2e-7 * shift


def test_every_level_is_used_and_agrees_with_the_others():
    y, x = draw(150, 8), draw(40, 8, seed=1)
    keys = Keys(y)
    sigma = torch.logspace(-7, 2, 40, dtype=torch.float64)
    for dtype in (torch.float32, torch.float64):
        levels = Block.of(keys, x.to(dtype), sigma).levels()
        assert set(levels.tolist()) == {FAST, DOUBLE, EXACT}
    mean, log_sum, _ = dense(x, y, sigma)
    for dtype, tolerance in [(torch.float32, 1e-5), (torch.float64, 1e-10)]:
        got = softmax_mean(x.to(dtype), keys, sigma)
        reference = dense(x.to(dtype), y, sigma)[0] if dtype == torch.float32 else mean
        assert np.abs(got.mean.numpy() - reference).max() < tolerance
    assert np.allclose(softmax_mean(x, keys, sigma).log_sum.numpy(), log_sum, rtol=1e-10)


def test_values_and_weights():
    y, x, v = draw(60, 3), draw(9, 3, seed=1), draw(60, 5, seed=2) + 100
    b = draw(60, 1, seed=3)[:, 0]
    b[7] = -torch.inf
    got = softmax_mean(x, y, 0.8, values=v, log_weights=b)
    mean, log_sum, ess = dense(x, y, 0.8, values=v, log_weights=b)
    assert np.abs(got.mean.numpy() - mean).max() < 1e-11
    assert np.abs(got.log_sum.numpy() - log_sum).max() < 1e-11
    size = effective_size(x, Keys(y, b), 0.8).numpy()
    assert np.abs(size - ess).max() < 1e-10


@pytest.mark.parametrize(("n", "d"), [(60, 3), (5000, 2), (5000, 20)])
def test_values_are_constants_on_every_way(n, d):
    values = draw(n, 2, seed=2).requires_grad_()
    assert not softmax_mean(draw(9, d, seed=1), draw(n, d), 3.0, values=values).mean.requires_grad


@pytest.mark.parametrize("sigma", [1e-3, 0.5, 50.0])
def test_leave_one_out_is_the_sum_without_the_key(sigma):
    y = draw(300, 2)
    got = softmax_mean(y, y, sigma, leave_one_out=True)
    mean, log_sum, ess = dense(y, y, sigma, mask=np.eye(300, dtype=bool))
    assert np.abs(got.mean.numpy() - mean).max() < 1e-10
    assert np.allclose(got.log_sum.numpy(), log_sum, rtol=1e-10)
    size = effective_size(y, y, sigma, own=torch.arange(300)).numpy()
    assert np.allclose(size, ess, rtol=1e-9)


def test_leave_one_out_sees_an_exact_duplicate():
    y = torch.tensor([[0.0], [0.0], [5.0]], dtype=torch.float64)
    got = softmax_mean(y, y, 1e-3, leave_one_out=True)
    assert torch.equal(got.mean[:2], y[:2])
    assert torch.equal(got.log_sum[:2], torch.zeros(2, dtype=torch.float64))


@given(st.floats(-3, 3), st.floats(-5, 5), st.integers(0, 2**31))
def test_translation_and_doubling(log_sigma, shift, seed):
    y, x, sigma = draw(20, 2, seed=seed), draw(5, 2, seed=seed + 1), 10.0**log_sigma
    plain = softmax_mean(x, y, sigma)
    moved = softmax_mean(x + shift, y + shift, sigma)
    assert torch.allclose(moved.mean - shift, plain.mean, atol=1e-5 * max(1, 1e-6 / sigma**2))
    twice = softmax_mean(x, torch.cat([y, y]), sigma)
    weighed = softmax_mean(x, y, sigma, log_weights=torch.full((20,), 2.0).double().log())
    for other in (twice, weighed):
        assert torch.allclose(other.mean, plain.mean, rtol=0, atol=1e-9)
        gain = other.log_sum - plain.log_sum
        assert torch.allclose(gain, torch.full_like(gain, np.log(2)), atol=1e-7)
    size = effective_size(x, y, sigma)
    assert bool((size >= 1 - 1e-12).all() and (size <= 20 + 1e-9).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tiles_do_not_change_the_result(dtype, monkeypatch):
    y, x = draw(1500, 4, dtype=dtype), draw(300, 4, seed=1, dtype=dtype)
    sigma = torch.logspace(-5, 2, 300, dtype=torch.float64)
    whole = softmax_mean(x, y, sigma)
    monkeypatch.setattr(stream, "TILE_BYTES", 1)  # 256 keys per tile, 1 pair per refinement
    monkeypatch.setattr(stream, "ROWS", 7)
    parts = softmax_mean(x, y, sigma)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12  # the contract; sums run in other orders
    for a, b in zip(whole, parts, strict=True):
        assert torch.allclose(a, b, rtol=tolerance, atol=tolerance)


def test_a_row_does_not_depend_on_its_company():
    y, x = draw(700, 3, dtype=torch.float32), draw(256, 3, seed=1, dtype=torch.float32)
    others = x.clone()
    others[1::2] *= 1e5  # other levels beside it
    sigma = torch.full((256,), 2.0)
    a, b = softmax_mean(x, y, sigma), softmax_mean(others, y, sigma)
    for one, two in zip(a, b, strict=True):
        assert torch.equal(one[0::2], two[0::2])


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation makes."""

    bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.bytes = max(self.bytes, out.numel() * out.element_size())
        return out


@pytest.mark.parametrize("sigma", [1e-7, 1e-3, 1.0, 100.0])
def test_memory_is_bounded_by_tiles(sigma):
    y, x = draw(20000, 6), draw(1000, 6, seed=1)
    with Largest() as seen:
        softmax_mean(x, y, sigma)
    keys = 20000 * 9 * 8  # the prepared table
    assert seen.bytes <= max(stream.TILE_BYTES, keys)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e4, 1e8])
@pytest.mark.parametrize("sigma", [1e-4, 1.0, 1e4, 1e8])
def test_finite_in_the_far_tails(sigma, size, dtype):
    y = draw(50, 3, dtype=dtype)
    x = size * draw(5, 3, seed=1, dtype=dtype)
    for keys in (y, size * y):
        got = softmax_mean(x, keys, sigma)
        assert all(bool(torch.isfinite(part).all()) for part in got)
        low, high = keys.min(0).values, keys.max(0).values
        slack = 1e-5 * (high - low)
        assert bool(((got.mean >= low - slack) & (got.mean <= high + slack)).all())


@pytest.mark.parametrize("sigma", [0.01, 0.4, 3.0])
def test_gradient_in_the_queries(sigma):
    y, v = draw(12, 3), draw(12, 2, seed=4)
    x = (y[:5] + sigma * draw(5, 3, seed=1)).requires_grad_()
    widths = sigma * (1 + torch.arange(5) / 5.0).double()
    assert torch.autograd.gradcheck(
        lambda x: softmax_mean(x, y, widths, values=v),
        x,
        eps=1e-6 * sigma,
        atol=1e-4,
        check_forward_ad=True,
    )
    assert torch.autograd.gradcheck(
        lambda x: softmax_mean(x, y, widths), x, eps=1e-6 * sigma, atol=1e-4
    )
    log_sum = softmax_mean(x, y, widths).log_sum
    (slope,) = torch.autograd.grad(log_sum.sum(), x)
    expected = (softmax_mean(x, y, widths).mean - x) / widths[:, None] ** 2
    assert torch.allclose(slope, expected, rtol=1e-10, atol=1e-10 / sigma)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sigma", [1e-3, 0.05, 0.4, 3.0])
@pytest.mark.parametrize("one_out", [False, True])
def test_products_of_the_jacobian_and_a_vector(sigma, one_out, dtype):
    """Forwards and backwards, against the dense formula in float64."""
    y = draw(300, 3, dtype=dtype)
    x = y if one_out else y + sigma * draw(300, 3, seed=1, dtype=dtype)
    b, v = draw(300, 1, seed=3, dtype=dtype)[:, 0], draw(300, 2, seed=4, dtype=dtype) + 10
    widths = sigma * (1 + torch.arange(300) / 300).double()

    def naive(x):
        apart = (x[:, None] - y.double()).square().sum(2)
        logits = b - apart / (2 * widths[:, None] ** 2)
        logits = logits - 1e30 * torch.eye(300) if one_out else logits
        return torch.softmax(logits, 1) @ v.double(), logits.logsumexp(1)

    def ours(x):
        return tuple(softmax_mean(x, Keys(y, b), widths, values=v, leave_one_out=one_out))

    u, g = draw(300, 3, seed=5, dtype=dtype), (draw(300, 2, seed=6), draw(300, 1, seed=7)[:, 0])
    right = torch.func.jvp(naive, (x.double(),), (u.double(),))[1]
    found = torch.func.jvp(ours, (x,), (u,))[1]
    (back,) = torch.func.vjp(naive, x.double())[1](g)
    (pulled,) = torch.func.vjp(ours, x)[1](tuple(a.to(dtype) for a in g))
    tolerance = 2e-4 if dtype == torch.float32 else 1e-9
    for mine, theirs in [*zip(found, right, strict=True), (pulled, back)]:
        assert mine.dtype == dtype
        assert float((mine - theirs).abs().max()) < tolerance * (1 + float(theirs.abs().max()))


def test_one_key_and_extreme_weights():
    one = softmax_mean(draw(4, 2), draw(1, 2, seed=1), 1e-3)
    assert torch.equal(one.mean, draw(1, 2, seed=1).expand(4, 2))
    assert torch.equal(
        effective_size(draw(4, 2), draw(1, 2, seed=1), 1e-3), torch.ones(4).double()
    )
    hidden = torch.tensor([0.0, -torch.inf]).double()
    seen = softmax_mean(draw(4, 2), draw(2, 2, seed=1), 1e3, log_weights=hidden)
    assert torch.allclose(seen.mean, draw(2, 2, seed=1)[:1].expand(4, 2), atol=1e-15)


def test_bad_input_is_refused():
    y = draw(5, 2)
    hidden = torch.full((5,), -torch.inf).double()
    for call, words in [
        (lambda: softmax_mean(y, y[:0], 1.0), "at least 1"),
        (lambda: softmax_mean(y, draw(5, 3), 1.0), "same dimension"),
        (lambda: softmax_mean(y, y, 0.0), "sigma must be positive"),
        (lambda: softmax_mean(y, y, float("nan")), "sigma must be positive"),
        (lambda: softmax_mean(y, y, 1.0, log_weights=hidden), "at least one key"),
        (lambda: softmax_mean(y, y, 1.0, log_weights=-hidden), "finite or -inf"),
        (lambda: softmax_mean(y, y, 1.0, log_weights=hidden[:3]), "one number per key"),
        (lambda: softmax_mean(y, y, 1.0, values=y[:3]), "one row per key"),
        (lambda: softmax_mean(y, Keys(y), 1.0, log_weights=hidden), "carry their own"),
        (lambda: softmax_mean(y[:1], y[:1], 1.0, leave_one_out=True), "two visible"),
        (lambda: softmax_mean(y[:2], y, 1.0, leave_one_out=True), "as many queries"),
        (lambda: softmax_mean(y, y / 0, 1.0), "finite"),
    ]:
        with pytest.raises(InputError, match=words):
            call()


def test_no_queries_have_no_sums():
    found = softmax_mean(torch.empty(0, 3), torch.zeros(5, 3), 0.1)
    assert (found.mean.shape, found.log_sum.shape) == ((0, 3), (0,))
    assert effective_size(torch.empty(0, 3), torch.zeros(5, 3), 0.1).shape == (0,)
