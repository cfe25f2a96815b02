"""The GPU kernels, run by Triton's interpreter on the CPU."""

import importlib
from types import SimpleNamespace

import pytest
import torch
from tests.kernel.test_softmax import dense, draw

from wasserscore.kernel import Keys
from wasserscore.kernel.keys import DOUBLE, FAST
from wasserscore.kernel.stream import Block

pytest.importorskip("triton", minversion="3.5")
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="the GPU's own tests do more")


@pytest.fixture
def fused(monkeypatch):
    interpreter = importlib.import_module("triton.runtime.interpreter")
    patch = interpreter._patch_lang_tensor

    def patched(tensor, scope):
        """NumPy 2.4 refuses the int() of an array of one number, which Triton 3.6 takes."""
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    monkeypatch.setattr(interpreter, "_patch_lang_tensor", patched)
    module = importlib.import_module("wasserscore.kernel.fused")
    monkeypatch.setattr(module, "RUN", 128)  # several runs, put together afterwards
    return module.fused_sums


@pytest.fixture
def wide(fused, monkeypatch):
    module = importlib.import_module("wasserscore.kernel.wide")
    for name, value in {"UNIT": 64, "RUN": 64, "TILE_BYTES": 2**16, "ROWS": 32}.items():
        monkeypatch.setattr(module, name, value)  # several tiles, and several sums in each
    monkeypatch.setattr(module, "_runs", lambda blocks, k, a: -(-k // module.RUN))
    return module.wide_sums


def sums(make, x, keys, sigma, values=None, *, one_out=False):
    """Weighted mean, log of the sum and effective size, as the engine makes them of a block."""
    widths = torch.full((len(x),), sigma, dtype=torch.float64)
    whole = Block.of(keys, x, widths, torch.arange(len(x)) if one_out else None)
    level = int(whole.levels().max())  # right for all
    block = whole.part(torch.arange(len(x)), level)
    centre = keys.centre if values is None else values.mean(0)
    table = keys.table(x.dtype)[:, :-2]
    if values is not None:
        table = torch.cat([values - centre, torch.ones_like(values[:, :1])], 1)
    total, squares, top = make(block, table, values is None)
    log_sum = top + total[:, -1].log() + block.offset()
    ess = total[:, -1] ** 2 / squares
    return block.level, total[:, :-1] / total[:, -1:] + centre, log_sum, ess


@pytest.mark.parametrize(
    ("dtype", "sigma", "level"),
    [
        (torch.float32, 5.0, FAST),
        (torch.float32, 0.05, DOUBLE),
        (torch.float64, 5.0, FAST),
        (torch.float64, 0.2, DOUBLE),
    ],
)
def test_equals_the_dense_sum(fused, dtype, sigma, level):
    y, x, bias = draw(300, 3, dtype=dtype), draw(70, 3, seed=1, dtype=dtype), draw(300, 1, seed=2)
    b = bias[:, 0].to(dtype)
    b[7] = -torch.inf
    found, mean, log_sum, ess = sums(fused, x, Keys(y, b), sigma)
    expected = dense(x, y, sigma, log_weights=b)
    assert found == level
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    assert abs(mean.numpy() - expected[0]).max() < tolerance
    assert abs(log_sum.numpy() / expected[1] - 1).max() < tolerance
    assert abs(ess.numpy() / expected[2] - 1).max() < 10 * tolerance


def test_other_values_and_a_key_left_out(fused):
    y, v = draw(150, 2), draw(150, 20, seed=3)
    _, mean, log_sum, _ = sums(fused, y, Keys(y), 0.3, v, one_out=True)
    expected = dense(y, y, 0.3, values=v, mask=torch.eye(150, dtype=torch.bool).numpy())
    assert abs(mean.numpy() - expected[0]).max() < 1e-12
    assert abs(log_sum.numpy() - expected[1]).max() < 1e-12


def test_products_of_wide_points_equal_the_dense_sum(wide):
    y, x = (draw(n, 40, seed=k, dtype=torch.float32) for k, n in enumerate((300, 70)))
    b = draw(300, 1, seed=2)[:, 0].float()
    b[7] = -torch.inf
    y[9] = x[0]  # a weight of nearly one
    found, mean, log_sum, ess = sums(wide, x, Keys(y, b), 5.0)
    expected = dense(x, y, 5.0, log_weights=b)
    assert found == FAST
    assert abs(mean.numpy() - expected[0]).max() < 1e-5
    assert abs(log_sum.numpy() / expected[1] - 1).max() < 1e-5
    assert abs(ess.numpy() / expected[2] - 1).max() < 1e-4


def test_other_values_of_wide_points_and_a_key_left_out(wide):
    y, v = draw(260, 34, dtype=torch.float32), draw(260, 50, seed=3, dtype=torch.float32)
    _, mean, log_sum, _ = sums(wide, y, Keys(y), 3.0, v, one_out=True)
    expected = dense(y, y, 3.0, values=v, mask=torch.eye(260, dtype=torch.bool).numpy())
    assert abs(mean.numpy() - expected[0]).max() < 1e-5
    assert abs(log_sum.numpy() - expected[1]).max() < 1e-5


def test_points_of_more_coordinates(fused):
    y, x = draw(90, 200, dtype=torch.float32), draw(20, 200, seed=1, dtype=torch.float32)
    for sigma, level in [(15.0, FAST), (2.0, DOUBLE)]:
        found, mean, log_sum, _ = sums(fused, x, Keys(y), sigma)
        expected = dense(x, y, sigma)
        assert found == level
        assert abs(mean.numpy() - expected[0]).max() < 1e-5
        assert abs(log_sum.numpy() / expected[1] - 1).max() < 1e-5


@pytest.fixture
def parts(fused):
    return importlib.import_module("wasserscore.kernel.halves").Parts.of


@pytest.mark.parametrize("size", [1e-20, 1.0, 1e12])
def test_halves_are_float32_numbers(parts, size):
    matrix = size * draw(30, 5) * torch.tensor([1e6, 1.0, 1.0, 1e-9, 0.0])
    matrix[3] = 0
    for by_row in (False, True):
        found = parts(matrix, torch.float32, by_row=by_row)
        whole = (found.table.double() * found.unit).sum(0)[:, :5]
        largest = matrix.abs().amax(int(by_row), keepdim=True)
        assert found.table.abs().max() <= 2**14
        assert found.table.shape == (2, 30, 16)
        assert not found.table[:, :, 5:].any()
        error = (whole - matrix).abs()
        assert (error <= 2**-23 * matrix.abs() + 2**-38 * largest).all()


def test_columns_of_very_different_size_keep_their_digits(wide, fused):
    size = torch.tensor([1e6, 1.0, 1e-5, 1e-9])
    y, x = (draw(n, 4, seed=k, dtype=torch.float32) for k, n in enumerate((200, 30)))
    v = draw(200, 4, seed=2, dtype=torch.float32) * size
    for make in (fused, wide):
        mean = sums(make, x, Keys(y), 3.0, v)[1]
        error = abs(mean.numpy() - dense(x, y, 3.0, values=v)[0]) / size.numpy()
        assert error.max() < 1e-6
        mean = sums(make, x * size, Keys(y * size), 3e6)[1]
        error = abs(mean.numpy() - dense(x * size, y * size, 3e6)[0]) / size.numpy()
        assert error.max() < 1e-6


@pytest.mark.parametrize("seen", [slice(128, None), slice(128), slice(640, 700)])
def test_runs_without_a_key_in_sight(wide, fused, seen):
    """The first run, all later ones, all but one; 33 runs are one more than go at a time."""
    y, x = (draw(n, 5, seed=k, dtype=torch.float32) for k, n in enumerate((33 * 128, 9)))
    b = torch.full((len(y),), -torch.inf)
    b[seen] = 0
    expected = dense(x, y, 6.0, log_weights=b)
    for make in (fused, wide):
        _, mean, log_sum, ess = sums(make, x, Keys(y, b), 6.0)
        assert abs(mean.numpy() - expected[0]).max() < 1e-5
        assert abs(log_sum.numpy() - expected[1]).max() < 2e-5
        assert abs(ess.numpy() / expected[2] - 1).max() < 1e-4


def test_weights_are_float32_whatever_the_default(wide):
    module = importlib.import_module("wasserscore.kernel.wide")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert module.Weights.none(3, torch.device("cpu")).top.dtype == torch.float32
    finally:
        torch.set_default_dtype(before)


class OnACard:
    """As much of a block as is asked for the choice of a kernel."""

    def __init__(self, n, d, dtype, level):
        self.keys, self.dtype, self.level = range(n), dtype, level
        self.x = SimpleNamespace(is_cuda=True, shape=(9, d), device=SimpleNamespace(index=0))


def test_kernels_are_used_where_they_fit(fused, monkeypatch, unchecked):
    device = importlib.import_module("wasserscore.kernel.device")
    monkeypatch.setattr(device, "_supported", lambda index: True)
    shapes = importlib.import_module("wasserscore.kernel.fused").SHAPES

    def chosen(n, d, dtype, level):
        block, table = OnACard(n, d, dtype, level), SimpleNamespace(shape=(n, d + 1))
        return device.has_kernel(block, table), device.has_products(block, table)

    for level in (FAST, DOUBLE):
        for dtype in (torch.float32, torch.float64):
            precision = dtype if level == FAST else torch.float64
            for d in (1, 17, 65, 129, 200, 256, 257):
                narrow = chosen(1000, d, dtype, level)[0]
                width = max(16, 1 << (d - 1).bit_length())
                assert narrow == ((precision, dtype, width) in shapes)
                assert narrow == (d <= (256 if dtype == torch.float32 else 128))
    assert chosen(1000, 784, torch.float32, FAST) == (False, True)
    assert chosen(1000, 784, torch.float32, DOUBLE) == (False, False)
    assert chosen(10**7, 256, torch.float32, FAST) == (False, False)
    assert chosen(10**6, 256, torch.float32, FAST) == (True, True)


def test_a_row_is_rounded_alike_beside_much_larger_ones(wide, fused):
    y, x = (draw(n, 20, seed=k, dtype=torch.float32) for k, n in enumerate((100, 8)))
    x *= 100.0 ** torch.arange(-5, 3)[:, None]
    for make in (fused, wide):
        together, alone = (sums(make, some, Keys(y), 3e3)[1] for some in (x, x[2:3]))
        assert torch.equal(together[2:3], alone)
        assert abs(together.numpy() - dense(x, y, 3e3)[0]).max() < 1e-6


def test_keys_in_one_place(wide, fused):
    y, x = torch.full((30, 20), 3.0), 1e6 * draw(4, 20, dtype=torch.float32)
    for make in (fused, wide):
        assert (sums(make, x, Keys(y), 0.1)[1] == 3).all()
