"""How much work the engine does: operations and multiplications at fixed sizes, never seconds.

A limit is a little above what was counted when it was written. Who makes the engine do more must
say why, and raise it.
"""

import math

import pytest
import torch
from tests.kernel.test_softmax import draw
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from wasserscore.core import products
from wasserscore.kernel import Keys, attention, softmax_mean

F32 = torch.float32


@pytest.fixture(autouse=True)
def mkl(monkeypatch):
    """Products as on most machines: counters see oneDNN's only where they are told of them."""
    monkeypatch.setattr(products, "unused", lambda: False)


class Calls(TorchDispatchMode):
    """Counts operations, views left out."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += not function.is_view
        return function(*args, **(kwargs or {}))


def problem(q: int, n: int, d: int) -> tuple[torch.Tensor, Keys]:
    keys = Keys(draw(n, d, dtype=F32))
    x = draw(q, d, seed=1, dtype=F32)
    softmax_mean(x, keys, math.sqrt(d))  # tables are made once
    softmax_mean(x, keys, 0.1 * math.sqrt(d))
    return x, keys


@pytest.mark.parametrize(
    ("q", "n", "d", "sigma", "limit"),
    [
        (1, 1000, 2, 1.0, 19),
        (64, 1000, 16, 0.1, 28),
        (64, 1000, 256, 0.1, 66),
        (64, 1000, 256, 0.06, 175),  # products in float32 do for few
        (8, 10_000, 64, 0.1, 35),
        (512, 1000, 64, 0.01, 105),
        (64, 10_000, 64, 1.0, 60),  # three of them ask whether logs of sums hold
        (64, 10_000, 64, 0.1, 115),
        (64, 10_000, 64, 0.01, 260),
        (256, 10_000, 2, 0.1, 170),  # 29 of them ask whether nodes may stand for the keys
    ],
)
def test_operations(q, n, d, sigma, limit):
    x, keys = problem(q, n, d)
    with Calls() as seen:
        softmax_mean(x, keys, sigma * math.sqrt(d))
    assert seen.count <= limit


def multiplications(x, keys, sigma, monkeypatch):
    """In units of one product of queries and keys."""
    true, fused = attention.heads, []

    def counted(queries, keys, values):
        fused.append(2 * len(keys) * queries.shape[1] * keys.shape[1] * keys.shape[2])
        return true(queries, keys, values)

    monkeypatch.setattr(attention, "heads", counted)
    with FlopCounterMode(display=False) as seen:
        softmax_mean(x, keys, sigma)
    return (seen.get_total_flops() / 2 + sum(fused)) / (len(x) * keys.points.numel())


@pytest.mark.parametrize(("sigma", "products"), [(1.0, 2.0), (0.1, 2.0), (0.01, 1.0)])
def test_multiplications(sigma, products, monkeypatch):
    """Two products for all keys, one for a screen."""
    x, keys = problem(256, 5000, 64)
    assert products <= multiplications(x, keys, 8 * sigma, monkeypatch) <= 1.1 * products


def test_a_few_queries_of_other_widths_do_not_cost_a_pass_of_all(monkeypatch):
    """Ten of width .1 and ten of width 1 take two products each of 64 queries."""
    x, keys = problem(256, 5000, 64)
    sigma = torch.full((256,), 0.08, dtype=torch.float64)
    sigma[:10], sigma[10:20] = 0.8, 8.0
    assert multiplications(x, keys, sigma, monkeypatch) <= 1.1 * (1.0 + 4 * 64 / 256)
