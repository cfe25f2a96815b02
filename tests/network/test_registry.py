import numpy as np
import pytest
import torch
from torch import nn

from wasserscore.core.errors import InputError
from wasserscore.network import MLP, describe, rebuild, register, registry


@pytest.fixture(autouse=True)
def own_classes(monkeypatch):
    monkeypatch.setattr(registry, "_CLASSES", dict(registry._CLASSES))


class Scale(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(size))

    def config(self):
        return {"class": "Scale", "size": len(self.factor)}

    def forward(self, x, c_noise):
        return self.factor * x


def test_a_network_comes_back_bit_for_bit(generator):
    network = MLP(4, 8, 2, seed=7)
    nn.init.normal_(network.last.weight, generator=generator)
    again = rebuild(describe(network), network.state_dict())
    x, c = torch.randn(3, 4, generator=generator), torch.tensor([-1.0, 0.0, 1.0])
    assert torch.equal(again(x, c), network(x, c))
    assert again.config() == network.config()


def test_a_registered_class_of_ones_own_comes_back():
    register(Scale)
    network = Scale(3)
    again = rebuild(describe(network), {"factor": torch.arange(3.0)})
    assert torch.equal(again(torch.ones(2, 3), None), torch.arange(3.0).expand(2, 3))


def test_an_unregistered_class_is_not_saved():
    with pytest.raises(InputError, match=r"only registered networks.*Scale"):
        describe(Scale(3))


def test_names_are_taken_once():
    register(Scale)
    register(Scale)
    with pytest.raises(InputError, match="registered already"):
        register(type("MLP", (Scale,), {}))
    with pytest.raises(InputError, match="config"):
        register(nn.Linear)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"class": "os.system", "dim": 2}, "class must be one of"),
        ({"class": ["MLP"], "dim": 2}, "class must be one of"),
        ({"dim": 2}, "class must be one of"),
        ({"class": "MLP", "dim": 2, "width": 8, "depth": 1, "command": "rm"}, "does not fit MLP"),
        ({"class": "MLP", "dim": 2, "width": 65536, "depth": 1000}, "must have shape"),
        ({"class": "MLP", "dim": 3, "width": 8, "depth": 1}, r"first.weight.*\(8, 3\).*\(8, 2\)"),
        ({"class": "MLP", "dim": 2, "width": 8, "depth": 2}, "got nothing"),
    ],
)
def test_foreign_configurations_are_refused(config, message):
    tensors = MLP(2, 8, 1).state_dict()
    with pytest.raises(InputError, match=message):
        rebuild(config, tensors)


def test_a_weight_that_does_not_belong_is_refused():
    tensors = {**MLP(2, 8, 1).state_dict(), "extra": torch.zeros(1)}
    with pytest.raises(InputError, match=r"'extra'.*no such weight"):
        rebuild(MLP(2, 8, 1).config(), tensors)


class Twice(nn.Module):
    """One matrix in two layers."""

    def __init__(self, size):
        super().__init__()
        self.dim = size
        with torch.random.fork_rng():
            self.first, self.second = nn.Linear(size, size), nn.Linear(size, size)
        self.second.weight = self.first.weight

    def config(self):
        return {"class": "Twice", "size": self.dim}

    def forward(self, x, c_noise):
        return self.second(self.first(x).tanh())


def test_a_shared_weight_is_shared_again():
    register(Twice)
    network = Twice(3)
    again = rebuild(describe(network), network.state_dict())
    assert again.second.weight is again.first.weight
    assert again.second.weight.equal(network.first.weight)
    assert not again.second.bias.equal(again.first.bias)
    other = network.state_dict() | {"second.weight": torch.zeros(3, 3)}
    with pytest.raises(InputError, match=r"'second.weight' of Twice must be 'first.weight'"):
        rebuild(describe(network), other)


class Masked(nn.Module):
    """A layer with what models of one's own keep beside their weights."""

    def __init__(self, size, kept="nothing"):
        super().__init__()
        self.size, self.kept = size, kept
        self.factor = nn.Parameter(torch.ones(size))
        if kept == "infinity":
            self.register_buffer("mask", torch.full((size, size), -torch.inf).triu(1))
        if kept == "frequencies":
            self.register_buffer("rotary", torch.arange(3.0), persistent=False)
        if kept == "a number of its weights":
            self.largest = float(self.factor.detach().abs().max())

    def config(self):
        return {"class": "Masked", "size": self.size, "kept": self.kept}


def test_what_could_not_be_loaded_is_not_saved(monkeypatch):
    register(Masked)
    assert describe(Masked(3)) == {"class": "Masked", "size": 3, "kept": "nothing"}
    for kept, message in {
        "infinity": r"state of Masked must be finite, got NaN or infinity in \['mask'\]",
        "frequencies": r"must be parameters and persistent buffers, got \['rotary'\]",
        "a number of its weights": "does not fit Masked, got Tensor.item",
    }.items():
        with pytest.raises(InputError, match=message):
            describe(Masked(3, kept))
    with pytest.raises(InputError, match="must hold JSON types, got Object of type int64"):
        describe(Masked(np.int64(3)))
    monkeypatch.setattr(Masked, "config", lambda self: {"class": "Masked", "size": 4})
    with pytest.raises(InputError, match=r"'factor' of Masked must have shape \(4,\), got \(3,\)"):
        describe(Masked(3))
    monkeypatch.setattr(Masked, "get_extra_state", lambda self: {"step": 1}, raising=False)
    with pytest.raises(InputError, match=r"persistent buffers, got \['_extra_state'\]"):
        describe(Masked(3))


def test_a_configuration_is_what_a_file_gives_back():
    register(Masked)
    network = Masked(3)
    network.kept = ("nothing",)
    assert describe(network)["kept"] == ["nothing"]
