"""The law of a generator: samples by number, units, and files."""

import pytest
import torch
from torch import nn

from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.data import Scaling
from wasserscore.network import LatentMLP
from wasserscore.score import Pushforward, load, save

SCALING = Scaling(torch.tensor([1.0, 2.0, 3.0]), torch.tensor(4.0))


def law(**settings):
    return Pushforward(LatentMLP(5, 3, 16, 2), 5, (3,), **settings)


def test_rows_depend_on_the_seed_and_their_number_only():
    made = Pushforward(LatentMLP(32, 64, 128, 2), 32, (64,))
    many = made.sample(700, seed=3)
    for n in (1, 7, 100, 300):
        assert torch.equal(made.sample(n, seed=3), many[:n])
    assert not torch.equal(made.sample(10, seed=4), many[:10])
    z = Streams(3).normal("latent", 0, 700, (32,), many)
    torch.testing.assert_close(many, made.network(z).detach())


def test_it_is_shown_in_one_line():
    with torch.device("meta"):
        made = Pushforward(nn.Linear(5, 3), 5, (3,))
    assert repr(made) == "Pushforward(Linear of 18 weights, latent 5, points (3,))"


def test_samples_are_in_data_units():
    plain = law().sample(5)
    wanted = plain.double() * 4 + SCALING.shift
    torch.testing.assert_close(law(scaling=SCALING).sample(5), wanted)
    far = Scaling(torch.full((3,), 1e8, dtype=torch.float64), torch.tensor(4.0))
    torch.testing.assert_close(law(scaling=far).sample(5) - 1e8, 4 * plain.double())


@pytest.mark.parametrize("scaling", [None, SCALING])
def test_save_and_load(scaling, tmp_path):
    made = law(scaling=scaling)
    save(made, tmp_path)
    again = load(tmp_path)
    assert isinstance(again, Pushforward)
    assert torch.equal(again.sample(20, seed=1), made.sample(20, seed=1))
    assert not any(weight.requires_grad for weight in again.network.parameters())


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(InputError, match="latent must fit the network"):
        Pushforward(LatentMLP(5, 3, 16, 2), 4, (3,))
    with pytest.raises(InputError, match="n must be a positive integer"):
        law().sample(0)
    with torch.device("meta"):
        foreign = nn.Linear(5, 3)
    with pytest.raises(InputError, match="only registered networks"):
        save(Pushforward(foreign, 5, (3,)), tmp_path)
    save(law(), tmp_path)
    sidecar = tmp_path / "model.json"
    text = sidecar.read_text()
    sidecar.write_text(text.replace('"latent": 5', '"latent": 6'))
    with pytest.raises(InputError, match=r"latent|must have shape"):
        load(tmp_path)
