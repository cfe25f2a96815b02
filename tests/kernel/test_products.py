"""Products by oneDNN: right, taken only where they are fast, and as good on every way."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from tests.kernel import test_softmax, test_ways
from tests.kernel.test_softmax import dense, draw
from torch.utils.flop_counter import FlopCounterMode

from wasserscore.core import products
from wasserscore.kernel import Keys, attention, small, softmax_mean, softmax_means

F32, F64 = torch.float32, torch.float64
OP = torch.ops.mkldnn._linear_pointwise
pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="no oneDNN")


@pytest.fixture
def onednn(monkeypatch):
    """All products by oneDNN, also those that pay nowhere."""
    monkeypatch.setattr(products, "unused", lambda: True)
    monkeypatch.setattr(products, "WORTH", 0)
    monkeypatch.setattr(products, "ROWS", 1)
    monkeypatch.setattr(attention, "PRODUCTS", 1)


LAYOUTS = {
    "rows": lambda a: a,
    "columns": lambda a: a.T.contiguous().T,
    "some columns": lambda a: torch.cat([a, a], 1)[:, : a.shape[1]],
    "every other row": lambda a: a.repeat_interleave(2, 0)[::2],
}


@pytest.mark.parametrize("first", LAYOUTS)
@pytest.mark.parametrize("second", LAYOUTS)
def test_products_of_any_layout(onednn, first, second):
    a, b = draw(50, 70, dtype=F32), draw(70, 90, seed=1, dtype=F32)
    plus = draw(180, 1, seed=2, dtype=F32)[::2, 0]
    right = a.double() @ b.double()
    a, b = LAYOUTS[first](a), LAYOUTS[second](b)
    tolerance = {"rtol": 0, "atol": 3e-5}
    torch.testing.assert_close(products.product(a, b).double(), right, **tolerance)
    got = products.affine(plus, a, b, 0.5).double()
    torch.testing.assert_close(got, (right + plus) / 2, **tolerance)


def test_gaps_between_rows_are_left_to_mkl(onednn, monkeypatch):
    """oneDNN has no fast product for them: it was seen to take a thousand times as long."""
    b = draw(70, 90, dtype=F32)
    assert products._by_onednn(b, b.T)
    assert products._by_onednn(b, b.T.contiguous())
    assert not products._by_onednn(b[:, :80], b[:, :80].T)
    assert not products._by_onednn(b, b[:, :80].T)
    assert not products._by_onednn(b.double(), b.T.double())


@pytest.mark.parametrize(
    ("capability", "vendor", "taken"),
    [
        ("AVX512", "AuthenticAMD", True),
        ("AVX512", "GenuineIntel", False),
        ("AVX2", "AuthenticAMD", False),
        ("AVX512", None, False),
    ],
)
def test_only_where_mkl_leaves_half_of_the_processor(
    capability, vendor, taken, monkeypatch, tmp_path
):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    monkeypatch.setattr(products, "CPUS", tmp_path / "cpuinfo")
    if vendor:
        products.CPUS.write_text(f"processor\t: 0\nvendor_id\t: {vendor}\n")
    products.unused.cache_clear()
    try:
        assert products.unused() == taken
    finally:
        products.unused.cache_clear()


def test_small_products_are_left_to_mkl(monkeypatch):
    monkeypatch.setattr(products, "unused", lambda: True)
    like = torch.zeros(1)
    assert products.faster(like, 64, 64, 1000)
    assert not products.faster(like, 64, 2, 1000)
    assert not products.faster(like, 1, 3072, 10_000)


@pytest.mark.parametrize("reach", [30.0, 1e4])
@pytest.mark.parametrize(
    ("d", "tiles"),
    [(1, "none"), (16, "none"), (784, "none"), (2, "tiny"), (16, "cheap"), (64, "dear")],
)
def test_accuracy_at_every_sigma(onednn, d, tiles, reach, monkeypatch):
    test_softmax.test_accuracy_at_every_sigma(d, tiles, reach, F32, monkeypatch)


@pytest.mark.parametrize("sigma", [0.03, 0.3, 1.0, 10.0])
@pytest.mark.parametrize("d", [40, 1100])
@pytest.mark.parametrize("columns", [None, 3])
def test_every_way_in_several_runs_and_tiles(onednn, d, sigma, columns, monkeypatch):
    """Fewer rows than a tile has, so several runs at once, and more."""
    monkeypatch.setattr(attention, "ROWS", 64)
    monkeypatch.setattr(small, "serves", lambda *_: False)
    y, x = draw(3000, d, dtype=F32), draw(70, d, seed=1, dtype=F32)
    values = None if columns is None else 100 + draw(3000, columns, seed=2, dtype=F32)
    size = float((y if values is None else values).abs().max())
    for q in (20, 70):
        got = softmax_mean(x[:q], y, sigma * d**0.5, values=values)
        mean, log_sum, _ = dense(x[:q], y, sigma * d**0.5, values=values)
        assert np.abs(got.mean.numpy() - mean).max() < 1e-5 * size
        assert (np.abs(got.log_sum.numpy() - log_sum) / (1 + np.abs(log_sum))).max() < 2e-5


def test_a_run_that_does_not_show_beside_another(onednn):
    """Both are made relative to the largest logit of either."""
    y = torch.cat([draw(1024, 40, dtype=F32), draw(1024, 40, seed=1, dtype=F32) + 10])
    x = draw(30, 40, seed=2, dtype=F32)
    queries, keys = (torch.cat([a, torch.zeros(len(a), 8)], 1) for a in (x, y))
    parts = keys.view(2, 1024, 48)
    mean, log_sum = attention.heads(queries[None], parts, parts)
    apart, logs = zip(
        *(attention.heads(queries[None], part[None], part[None]) for part in parts), strict=True
    )
    shown = (log_sum - log_sum.amax(0)) > -40
    assert 0 < int(shown.sum()) < shown.numel()
    torch.testing.assert_close(log_sum[shown], torch.cat(logs)[shown], rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(mean[shown], torch.cat(apart)[shown], rtol=0, atol=5e-5)
    assert float((log_sum - log_sum.amax(0))[~shown].max()) < -39


def test_products_of_the_jacobian(onednn):
    for sigma in (0.1, 3.0):
        test_softmax.test_products_of_the_jacobian_and_a_vector(sigma, False, F32)


@pytest.mark.parametrize("tiles", ["none", "cheap", "dear"])
@pytest.mark.parametrize(
    ("d", "share"), [(256, 0.0), (800, 0.0), (800, 0.5), (1100, 0.0), (1100, 0.05), (2000, 0.5)]
)
def test_roundings_of_one_sign_do_not_show_in_logs_of_sums(onednn, d, share, tiles, monkeypatch):
    test = test_ways.test_roundings_of_one_sign_do_not_show_in_logs_of_sums
    test(d, share, tiles, F32, monkeypatch)


def test_the_library_that_rounds_most_counts(onednn, monkeypatch):
    monkeypatch.setattr(products, "_onednn", lambda a, b, _: (a @ b) * (1 + 1000 * 2.0**-24))
    assert 900 < Keys(draw(100, 40, dtype=F32)).piled < 1100


@pytest.mark.parametrize("tiles", ["none", "some"])
@pytest.mark.parametrize("d", [256, 1100])
def test_one_large_and_many_equal_terms(onednn, d, tiles, monkeypatch):
    """Terms that are alike are rounded alike: a sum of weights in one go would lose 5e-5."""
    if tiles == "none":
        monkeypatch.setattr(small, "serves", lambda *_: False)
    y = torch.eye(d)[torch.randint(d, (1500,), generator=torch.Generator().manual_seed(0))]
    for sigma in (0.25, 0.3, 0.35):
        got = softmax_mean(y[:20], y, sigma)
        mean, log_sum, _ = dense(y[:20], y, sigma)
        assert np.abs(got.mean.numpy() - mean).max() < 2e-5
        assert (np.abs(got.log_sum.numpy() - log_sum) / (1 + np.abs(log_sum))).max() < 2e-5


@pytest.mark.parametrize(
    ("q", "d", "sigma", "share"),
    [(256, 64, 1.0, 2.0), (256, 64, 0.01, 1.0), (256, 1100, 1.0, 2.0), (64, 300, 0.1, 2.0)],
)
def test_no_large_product_is_left_to_mkl(q, d, sigma, share, monkeypatch):
    """Two products for all keys and one for a screen, of a table without gaps."""
    monkeypatch.setattr(products, "unused", lambda: True)
    x, keys = draw(q, d, seed=1, dtype=F32), Keys(draw(5000, d, dtype=F32))
    softmax_mean(x, keys, sigma * d**0.5)
    counts = {OP: lambda a, b, *_, **__: 2 * a[0] * a[1] * b[0]}
    with FlopCounterMode(display=False, custom_mapping=counts) as seen:
        softmax_mean(x, keys, sigma * d**0.5)
    made = {
        str(op): count / (2 * q * 5000 * d)
        for op, count in seen.get_flop_counts()["Global"].items()
    }
    assert share <= made.pop(str(OP)) <= 1.1 * share
    assert sum(made.values()) < 0.02


def test_widths_together(onednn):
    y, x = draw(1500, 300, dtype=F32), draw(37, 300, seed=1, dtype=F32)
    sigmas = 300**0.5 * torch.tensor([3.0, 0.5, 30.0, 1.0])
    got = softmax_means(x, y, sigmas)
    for i, sigma in enumerate(sigmas.tolist()):
        mean, log_sum, _ = dense(x, y, sigma)
        assert abs(got.mean[i].numpy() - mean).max() < 1e-5 * abs(mean).max()
        assert (abs(got.log_sum[i].numpy() - log_sum) / (1 + abs(log_sum))).max() < 2e-5


def test_memory_does_not_grow_with_numbers_of_rows():
    """oneDNN keeps code for every size of a product; 700 sizes held 800 MB."""
    code = (
        "import torch\n"
        "from wasserscore.core import products\n"
        "products.unused = lambda: True\n"
        "held = lambda: int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "b = torch.randn(512, 256).T\n"
        "products.product(torch.zeros(800, 256), b)\n"
        "before = held()\n"
        "for q in range(40, 740):\n"
        "    products.product(torch.zeros(q, 256), b)\n"
        "print(held() - before)\n"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(made.stdout) < 1e8


@pytest.mark.parametrize("q", [1, 3, 4, 5, 17, 130, 700])
def test_rows_that_fill_up_do_not_show(onednn, q):
    a, b = draw(q, 70, dtype=F32), draw(70, 90, seed=1, dtype=F32)
    got = products.product(a, b)
    assert got.shape == (q, 90)
    torch.testing.assert_close(got.double(), a.double() @ b.double(), rtol=0, atol=3e-5)
    assert torch.equal(got[:1], products.product(a[:1], b))
