import json

import pytest
import torch

import wasserscore.score as room
from wasserscore.core.errors import InputError
from wasserscore.data import Scaling
from wasserscore.network import MLP
from wasserscore.process import EDM, VP, LinearSDE
from wasserscore.score import NetworkScore, load, save
from wasserscore.score.spiked import Spiked
from wasserscore.score.store import classes
from wasserscore.score.vault import write_pair

VP_TEN = VP.from_betas(beta_min=0.1, beta_max=20.0)
SCALING = Scaling(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0]))


def network_score(generator) -> NetworkScore:
    score = NetworkScore(MLP(2, 8, 2), VP_TEN, data_std=0.8, scaling=SCALING)
    torch.nn.init.normal_(score.network.last.weight, generator=generator)
    return score


def points(generator, n=6):
    return torch.randn(n, 2, generator=generator, dtype=torch.float64)


def covariances(n):
    return torch.tensor([[1.0, 0.3], [0.3, 0.5]], dtype=torch.float64).expand(n, 2, 2).clone()


MODELS = {
    "NetworkScore": network_score,
    "GaussianScore": lambda g: room.GaussianScore(points(g)[0], covariances(1)[0], VP_TEN),
    "MixtureScore": lambda g: room.MixtureScore(
        torch.tensor([0.2, 0.8], dtype=torch.float64), points(g, 2), covariances(2), VP_TEN
    ),
    "EmpiricalScore": lambda g: room.EmpiricalScore(points(g), EDM(), 0.15),
    "ProximalScore": lambda g: room.ProximalScore(
        points(g), Spiked.pooled(6, torch.tensor(0.3, dtype=torch.float64), 2), EDM(),
        scaling=SCALING,
    ),
    "LatentScore": lambda g: room.LatentScore(
        room.ProximalScore(
            points(g)[:, :1], Spiked.pooled(6, torch.tensor(0.3, dtype=torch.float64), 1), EDM()
        ),
        torch.tensor([[0.6], [0.8]], dtype=torch.float64), points(g)[0], 0.1, EDM(),
        scaling=SCALING,
    ),
    "GroupedScore": lambda g: room.GroupedScore(
        (MODELS["ProximalScore"](g), MODELS["LatentScore"](g)),
        torch.tensor([0.3, 0.7], dtype=torch.float64), EDM(), scaling=SCALING,
    ),
}  # fmt: skip


def test_every_class_that_can_be_saved_is_tried_here():
    # a pushforward has no score to compare; test_pushforward.py stores it
    assert classes().keys() - {"Pushforward"} <= MODELS.keys()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_back_bit_for_bit(name, tmp_path, generator):
    if name not in classes():
        pytest.skip(f"{name} is not in the room")
    model = MODELS[name](generator)
    assert save(model, tmp_path / "m") == tmp_path / "m" / "model.safetensors"
    again = load(tmp_path / "m")
    assert type(again) is type(model)
    assert again.process == model.process
    assert again.shape == model.shape
    x = points(generator)
    for t in (0.01, 0.5, 1.0):
        assert torch.equal(again(x, t), model(x, t).detach())
    if model.scaling is not None:
        assert torch.equal(again.scaling.undo(x), model.scaling.undo(x))


def test_a_file_name_may_be_given_and_is_replaced_whole(tmp_path, generator):
    path = tmp_path / "deep" / "net.safetensors"
    save(network_score(generator), path)
    second = network_score(generator)
    save(second, path)
    assert sorted(p.name for p in path.parent.iterdir()) == ["net.json", "net.safetensors"]
    assert torch.equal(load(path).network.last.weight, second.network.last.weight)


def test_a_run_gives_its_model_or_asks_which(tmp_path, generator):
    save(network_score(generator), tmp_path / "models" / "network")
    assert isinstance(load(tmp_path), NetworkScore)
    save(network_score(generator), tmp_path / "models" / "other")
    assert isinstance(load(tmp_path, model="other"), NetworkScore)
    with pytest.raises(InputError, match=r"\['network', 'other'\]"):
        load(tmp_path)
    for escape in ("../../etc", "..", "/etc", "missing"):
        with pytest.raises(InputError, match="has the models"):
            load(tmp_path, model=escape)
    with pytest.raises(InputError, match="not a run folder"):
        load(tmp_path / "models" / "network", model="network")


def test_a_model_goes_into_a_folder(tmp_path, generator):
    (tmp_path / "mine").write_text("x")
    (tmp_path / "a.safetensors").mkdir()
    score = network_score(generator)
    for path, match in {"mine": "must be a folder, got a file", "mine/deep": "through the file",
                        "a.safetensors": "must be a file, got a folder"}.items():  # fmt: skip
        with pytest.raises(InputError, match=match):
            save(score, tmp_path / path)


def test_only_our_scores_are_saved(tmp_path, generator):
    with pytest.raises(InputError, match="save takes one of"):
        save(MLP(2, 4, 1), tmp_path)
    own_clock = LinearSDE(f=lambda t: 0 * t, g2=lambda t: 1 + t, horizon=3.0)
    with pytest.raises(InputError):
        save(NetworkScore(MLP(2, 4, 1), own_clock), tmp_path)
    stranger = type("MLP", (MLP,), {})
    with pytest.raises(InputError, match="only registered networks"):
        save(NetworkScore(stranger(2, 4, 1), EDM()), tmp_path)
    assert list(tmp_path.iterdir()) == []


def change(document, path, value):
    *front, last = path
    for key in front:
        document = document[key]
    if value is KeyError:
        del document[last]
    else:
        document[last] = value


HOSTILE = [
    (("class",), "os.system", "class of a saved model must be one of"),
    (("class",), ["NetworkScore"], "class of a saved model must be one of"),
    (("class",), "ClosedFormScore", "class of a saved model must be one of"),
    (("class",), KeyError, "class of a saved model must be one of"),
    (("config",), "a string", "config of a saved model must be an object"),
    (("tensors",), "../../../etc/passwd", r"fields we do not know, got \"?\['tensors'\]"),
    (("config", "network", "class"), "../../evil", "network class must be one of"),
    (("config", "network", "width"), 16, "must have shape"),
    (("config", "network", "width"), 2**16, "must have shape"),
    (("config", "network", "width"), "8", "does not fit MLP|width must be"),
    (("config", "network"), KeyError, "does not describe a NetworkScore"),
    (("config", "process", "family"), "__import__", "unknown process family"),
    (("config", "process", "beta_max"), "x", "."),
    (("config", "process"), 7, "does not describe a NetworkScore"),
    (("config", "prediction"), "eval", "prediction must be one of"),
    (("config", "data_std"), -1.0, "data_std must be positive"),
    (("config", "data_std"), None, "."),
    (("config", "shape"), [3], "shape must fit the network"),
    (("config", "shape"), [2**40, 2**40], "shape must fit the network"),
    (("config", "scaling"), {"shift": [0.0], "scale": [-1.0]}, "scale must be positive"),
    (("config", "scaling"), [], "."),
    (("config", "callback"), "x", "does not describe a NetworkScore"),
]


@pytest.mark.parametrize(("where", "value", "message"), HOSTILE)
def test_hostile_sidecars_end_in_one_line(where, value, message, tmp_path, generator):
    save(network_score(generator), tmp_path)
    sidecar = tmp_path / "model.json"
    document = json.loads(sidecar.read_text())
    change(document, where, value)
    sidecar.write_text(json.dumps(document))
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def test_wrong_tensors_end_in_one_line(tmp_path, generator):
    tensors, config = network_score(generator).state()
    for broken in (
        {**tensors, "first.weight": torch.zeros(8, 3)},
        {**tensors, "first.weight": torch.full((8, 2), float("nan"))},
        {name: value for name, value in tensors.items() if name != "first.weight"},
        {},
    ):
        write_pair(
            tmp_path / "model.safetensors", broken, {"class": "NetworkScore", "config": config}
        )
        with pytest.raises(InputError) as caught:
            load(tmp_path)
        assert "\n" not in str(caught.value)


def test_nothing_there_is_said(tmp_path):
    with pytest.raises(InputError, match=r"no .*model\.json"):
        load(tmp_path / "absent")
