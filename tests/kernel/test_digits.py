"""Sums keep all digits of float32 where a program has products keep fewer; it keeps its way."""

import pytest
import torch
from tests.kernel.test_softmax import draw
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode

from wasserscore.core import products
from wasserscore.kernel import (
    effective_size,
    nearest,
    softmax_mean,
    softmax_means,
    softmax_pick,
)
from wasserscore.kernel import ways as ways_module
from wasserscore.kernel.digits import all_digits

F32 = torch.float32
NEW = hasattr(torch.backends.mkldnn, "matmul")


def allowed():
    """What products are allowed, by either name of it."""
    places = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul) if NEW else ()
    each = [place.fp32_precision for place in places]
    if any(value not in ("none", "ieee") for value in each):
        return each
    return torch.get_float32_matmul_precision()


@pytest.fixture(params=["high", "medium", "one device"])
def fewer(request):
    """A program that allows fewer digits; and it is as it was when the test ends."""
    if request.param == "one device":
        if not NEW:
            pytest.skip("this PyTorch has one switch")
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        yield
        torch.backends.cuda.matmul.fp32_precision = "ieee"
        return
    torch.set_float32_matmul_precision(request.param)
    yield
    torch.set_float32_matmul_precision("highest")


def tangent(x, y):
    with forward_ad.dual_level():
        return softmax_mean(forward_ad.make_dual(x, x), y, 3.0).mean


CALLS = {
    "small": lambda x, y: softmax_mean(x[:20], y[:300], 3.0),
    "large": lambda x, y: softmax_mean(x, y, 3.0),
    "size": lambda x, y: effective_size(x, y, 3.0),
    "widths": lambda x, y: softmax_means(x, y, torch.tensor([8.0, 30.0])),
    "pick": lambda x, y: softmax_pick(x, y, 3.0, torch.rand(len(x), generator=torch.Generator())),
    "nearest": lambda x, y: nearest(x, y),
    "gradient": lambda x, y: torch.autograd.grad(
        softmax_mean(x.requires_grad_(), y, 3.0).log_sum.sum(), x
    ),
    "jvp": lambda x, y: tangent(x, y),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("library", ["MKL", "oneDNN"])
def test_no_product_is_made_with_fewer(fewer, name, library, monkeypatch):
    monkeypatch.setattr(products, "unused", lambda: library == "oneDNN")
    before, seen = allowed(), []
    assert before != "highest"

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if any(word in str(function) for word in ("mm", "matmul", "linear", "attention")):
                seen.append(allowed())
            return function(*args, **(kwargs or {}))

    with Watch():
        CALLS[name](draw(200, 150, dtype=F32), draw(3000, 150, seed=1, dtype=F32))
    assert seen
    assert set(map(str, seen)) == {"highest"}
    assert allowed() == before


def test_the_way_is_left_after_an_error(fewer):
    before = allowed()

    @all_digits
    def fails():
        assert allowed() == "highest"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert allowed() == before


def test_nothing_is_touched_where_all_digits_are_kept(monkeypatch):
    monkeypatch.setattr(torch, "set_float32_matmul_precision", None)
    assert ways_module.sums_of.__wrapped__
    softmax_mean(draw(20, 3), draw(2000, 3), 1.0)
