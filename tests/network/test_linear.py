"""Linear layers by oneDNN: right, differentiable, and only where they pay."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.autograd import forward_ad, grad
from torch.utils.flop_counter import FlopCounterMode

from wasserscore import network as networks
from wasserscore.core import products
from wasserscore.network import linear
from wasserscore.network.linear import Linear

WORTH = linear.WORTH
OP = torch.ops.mkldnn._linear_pointwise
pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="no oneDNN")


@pytest.fixture(autouse=True)
def _onednn(monkeypatch):
    """All products by oneDNN, also those that pay nowhere."""
    monkeypatch.setattr(products, "unused", lambda: True)
    monkeypatch.setattr(products, "WORTH", 0)
    monkeypatch.setattr(products, "ROWS", 1)
    monkeypatch.setattr(linear, "WORTH", 1)


def layer(into=30, out=20, *, bias=True) -> Linear:
    made = nn.utils.skip_init(Linear, into, out, bias=bias)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return made


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def of_pytorch(ours: Linear) -> nn.Linear:
    into, out, bias = ours.in_features, ours.out_features, ours.bias is not None
    made = nn.utils.skip_init(nn.Linear, into, out, bias=bias)
    made.load_state_dict(ours.state_dict())
    return made


def outputs_and_derivatives(module: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """What a layer says, its derivatives, and those of a derivative's square."""
    x = x.clone().requires_grad_()
    out = module(x)
    inputs = [x, *module.parameters()]
    first = grad((out**3).sum(), inputs, create_graph=True)
    second = grad(sum((g**2).sum() for g in first), inputs)
    return [out, *first, *second]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.booleans(), st.booleans())
def test_outputs_and_derivatives_are_those_of_pytorch_in_double(q, into, out, bias, gaps):
    ours = layer(into, out, bias=bias)
    x = drawn(2 * q, into)
    x = x[::2] if gaps else x[:q]
    pairs = zip(
        outputs_and_derivatives(ours, x),
        outputs_and_derivatives(of_pytorch(ours).double(), x.double()),
        strict=True,
    )
    for got, known in pairs:
        size = float(known.detach().abs().max())
        torch.testing.assert_close(got.double(), known, rtol=0, atol=1e-5 * size)


def test_all_products_are_by_onednn():
    """One forward, two backward."""
    ours, counts = layer(), {OP: lambda *_, **__: 1}
    with FlopCounterMode(display=False, custom_mapping=counts) as seen:
        ours(drawn(256, 30).requires_grad_()).square().sum().backward()
    assert seen.get_flop_counts()["Global"] == {OP: 3}


def test_a_sum_has_a_gradient_without_rows_of_its_own():
    """It is one number that is told to all."""
    ours, x = layer(), drawn(50, 30)
    ours(x).sum().backward()
    torch.testing.assert_close(ours.weight.grad, x.sum(0).expand(20, 30), rtol=1e-5, atol=1e-5)


def test_points_of_any_shape():
    ours = layer()
    x = drawn(2, 3, 4, 30)
    torch.testing.assert_close(ours(x), nn.Linear.forward(ours, x), rtol=1e-5, atol=1e-5)
    assert ours(x[:0]).shape == (0, 3, 4, 20)


@pytest.fixture
def _onednn_is_an_error(monkeypatch):
    def refuse(*_):
        raise AssertionError("oneDNN was asked")

    monkeypatch.setattr(products, "_onednn", refuse)


def forward_over_reverse(module, x):
    with forward_ad.dual_level():
        x = forward_ad.make_dual(x.requires_grad_(), torch.ones_like(x))
        (first,) = grad((module(x) ** 3).sum(), x)
        return forward_ad.unpack_dual(first).tangent


def autocast(module, x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return module(x)


LEFT_TO_PYTORCH = {
    "double": lambda module, x: module.double()(x.double()),
    "autocast": autocast,
    "compile": lambda module, x: torch.compile(module, backend="eager")(x),
    "forward derivatives": forward_over_reverse,
    "torch.func": lambda module, x: torch.func.vmap(torch.func.jacrev(module))(x),
    "jvp": lambda module, x: torch.func.jvp(module, (x,), (torch.ones_like(x),))[1],
}


@pytest.mark.filterwarnings("ignore:Guards may run slower")  # of Python 3.13.0
@pytest.mark.usefixtures("_onednn_is_an_error", "unchecked")
@pytest.mark.parametrize("way", LEFT_TO_PYTORCH)
def test_what_is_left_to_pytorch(way):
    ours, x = layer(), drawn(6, 30)
    plain, run = of_pytorch(ours), LEFT_TO_PYTORCH[way]
    assert torch.equal(run(ours, x.clone()), run(plain, x.clone()))


@pytest.mark.usefixtures("_onednn_is_an_error")
def test_small_layers_are_left_to_pytorch(monkeypatch):
    monkeypatch.setattr(linear, "WORTH", WORTH)
    layer(256, 256)(drawn(127, 256))
    with pytest.raises(AssertionError, match="oneDNN"):
        layer(256, 256)(drawn(128, 256))


@pytest.mark.usefixtures("_onednn_is_an_error")
@torch.no_grad()
def test_without_derivatives_only_small_products_are(monkeypatch):
    monkeypatch.setattr(linear, "WORTH", WORTH)
    monkeypatch.setattr(products, "WORTH", 2**21)
    layer(256, 256)(drawn(31, 256))
    with pytest.raises(AssertionError, match="oneDNN"):
        layer(256, 256)(drawn(32, 256))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_numbers_are_the_same_without_derivatives(q, into, out, bias):
    ours, x = layer(into, out, bias=bias), drawn(q, into)
    with torch.no_grad():
        assert torch.equal(ours(x), _recorded(ours, x))


@torch.enable_grad()
def _recorded(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return module(x).detach()


@pytest.mark.usefixtures("_onednn_is_an_error")
def test_all_is_left_to_a_pytorch_that_does_not_tell(monkeypatch):
    monkeypatch.setattr(linear, "TELLS", False)
    layer()(drawn(50, 30))


@pytest.mark.usefixtures("_onednn_is_an_error")
def test_what_does_not_fit_is_pytorchs_error():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        layer()(drawn(5, 31))
    with pytest.raises(RuntimeError, match="dtype"):
        layer()(drawn(5, 30).double())


NETWORKS = [
    lambda: networks.MLP(4, 8, 1),
    lambda: networks.DiT((1, 8, 8), width=64, depth=1, classes=2),
    lambda: networks.UNet((1, 8, 8), width=16, classes=2),
    lambda: networks.Perceptron(4),
]


@pytest.mark.parametrize("build", NETWORKS)
def test_every_linear_layer_of_a_network_is_ours(build):
    kinds = {type(part) for part in build().modules() if isinstance(part, nn.Linear)}
    assert kinds == {Linear}
