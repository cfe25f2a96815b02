"""Images transformed in training, told to the network, and not seen in what it generates."""

from dataclasses import replace

import pytest
import torch
from tests.far_device import far_device
from tests.training.test_pictures import images, interrupt_at, unet

from wasserscore.core.errors import InputError
from wasserscore.network import MLP
from wasserscore.process import EDM
from wasserscore.sampling import sample
from wasserscore.score import NetworkScore, load, save
from wasserscore.training import Augmentation, LogNormal, train_score
from wasserscore.training.denoising import Denoising
from wasserscore.training.labelled import Labelled
from wasserscore.training.schedule import Schedule


def undone(kind, x, told):
    """One image, transformed back by what the network was told."""
    if kind == "flip":
        return x.flip(-1) if told[0] else x
    if kind == "rotate":
        quarters = {(0, 0): 0, (1, 0): 1, (1, 1): 2, (0, 1): 3}[tuple(told.int().tolist())]
        return x.rot90(-quarters, (-2, -1))
    down, right = told.int().tolist()  # by a pixel at most
    rows, columns = (slice(max(0, k), x.shape[-1] + min(0, k)) for k in (down, right))
    return x[..., rows, columns]


def kept(kind, x, told):
    """What of an image can come back."""
    if kind != "translate":
        return x
    down, right = told.int().tolist()
    rows, columns = (slice(max(0, -k), x.shape[-1] - max(0, k)) for k in (down, right))
    return x[..., rows, columns]


@pytest.mark.parametrize(("kind", "values"), [("flip", 2), ("rotate", 4), ("translate", 9)])
def test_what_the_network_is_told_undoes_what_was_done(kind, values):
    augmentation, x = Augmentation((kind,), 0.5), images(600)
    moved, told = augmentation(x, torch.Generator().manual_seed(0))
    assert told.shape == (600, augmentation.length)
    for before, after, parameters in zip(x, moved, told, strict=True):
        assert torch.equal(undone(kind, after, parameters), kept(kind, before, parameters))
    _, counts = told.unique(dim=0, return_counts=True)
    assert len(counts) == values
    still = float((told == 0).all(1).double().mean())  # half are not asked, others stay by chance
    assert still == pytest.approx(0.5 + 0.5 / values, abs=0.06)
    assert torch.equal((moved == x).flatten(1).all(1), (told == 0).all(1))


def test_images_that_move_bring_their_mirror_image():
    x = torch.arange(16.0).reshape(1, 1, 1, 16).expand(200, 1, 16, 16)
    moved, told = Augmentation(("translate",), 1.0)(x, torch.Generator().manual_seed(0))
    twice = moved[(told[:, 1] == 1)][0, 0, 0]  # an eighth of the size to the right
    assert twice.tolist() == [2.0, 1.0, *range(14)]


def test_images_on_a_gpu_are_moved_there_by_the_same_numbers():
    every = Augmentation(("flip", "rotate", "translate"), 0.7)
    moved, told = every(images(), torch.Generator().manual_seed(0))
    with far_device():
        far = every(images().cuda(), torch.Generator().manual_seed(0))
        assert all(x.is_cuda for x in far)
        assert torch.equal(far[0].cpu(), moved)
        assert torch.equal(far[1].cpu(), told)


def test_a_step_trains_with_what_was_drawn_and_nothing_more(monkeypatch):
    seen = []
    network = unet(condition=3)
    task = Denoising(
        NetworkScore(network, EDM(), shape=(1, 4, 4)), LogNormal(), Schedule(9, 1e-3, 0.9), 0.0,
        augmentation=Augmentation(("flip", "rotate"), 0.5), accumulate=2,
    )  # fmt: skip
    task.network.register_forward_pre_hook(lambda module, given: seen.append(given[3]))
    drawn = task.draw(images(), torch.Generator().manual_seed(0))
    x0, told = task.augmentation(images(), plain_generator())
    assert torch.equal(drawn.x0, x0)
    task.start(drawn)()
    assert torch.equal(torch.cat(seen), told)
    assert 0 < float(told.abs().amax(1).mean()) < 1


def plain_generator():
    """The state in which a step draws its transformations: after levels and noise."""
    generator = torch.Generator().manual_seed(0)
    task = Denoising(NetworkScore(unet(), EDM(), shape=(1, 4, 4)), LogNormal(),
                     Schedule(9, 1e-3, 0.9), 0.0)  # fmt: skip
    task.draw(images(), generator)
    return generator


def test_generated_images_are_not_flipped_unless_the_network_was_not_told():
    """Bright on the left; a network that is not told of flips generates bright right sides too."""
    noise = 0.1 * torch.randn(64, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    data = noise + torch.tensor([1.0, 1.0, -1.0, -1.0])
    settings = {"steps": 200, "batch_size": 64, "learning_rate": 1e-2, "ema": 0.95}
    always = Augmentation(("flip",), 1.0)  # which flips half of them
    told = train_score(MLP(16, 32, 1, condition=1), data, EDM(), augment=always, **settings)
    both = torch.where(torch.arange(64)[:, None, None, None] % 2 == 0, data, data.flip(-1))
    untold = train_score(MLP(16, 32, 1), both, EDM(), **settings)

    def bright_left(score):
        x = sample(score, 64, steps=10)
        return float((x[..., :2].mean((1, 2, 3)) > x[..., 2:].mean((1, 2, 3))).double().mean())

    assert bright_left(told) == 1
    assert bright_left(told.conditioned([1.0])) == 0
    assert 0.25 < bright_left(untold) < 0.75


def test_a_vector_comes_before_what_was_done_and_only_the_vector_is_hidden():
    vectors = 1.0 + torch.rand(24, 2, generator=torch.Generator().manual_seed(4))
    network = unet(condition=5)
    augmentation = Augmentation(("flip", "translate"), 0.7)
    task = Denoising(
        NetworkScore(network, EDM(), shape=(1, 4, 4)), LogNormal(), Schedule(9, 1e-3, 0.9), 0.0,
        augmentation=augmentation, label_dropout=0.5,
    )  # fmt: skip
    batch = Labelled.build(images(), network, conditions=vectors, augmented=3)
    drawn = task.draw(batch, torch.Generator().manual_seed(0))
    hidden = (drawn.condition[:, :2] == 0).all(1)
    assert 0 < int(hidden.sum()) < 24
    assert torch.equal(drawn.condition[~hidden, :2], vectors[~hidden])
    generator, task.augmentation = torch.Generator().manual_seed(0), None
    task.draw(batch, generator)  # what comes before in a step
    assert torch.equal(drawn.condition[:, 2:], augmentation(images(), generator)[1])
    assert float(drawn.condition[hidden, 2:].abs().sum()) > 0


def test_images_of_a_vector_are_generated_as_they_were():
    """Bright on the left, and above or below as the vector says; flipped half of the time."""
    noise = 0.1 * torch.randn(64, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    first = torch.tensor([1.0, 1.0, -1.0, -1.0])  # of columns, or of rows
    way = 1.0 - 2.0 * (torch.arange(64) % 2)
    data = noise + first + way[:, None, None, None] * first[:, None]
    score = train_score(
        MLP(16, 32, 1, condition=2), data, EDM(), augment=Augmentation(("flip",), 1.0),
        conditions=way[:, None], steps=300, batch_size=64, learning_rate=1e-2, ema=0.95,
    )  # fmt: skip
    assert score.augmented == 1

    def bright(model):
        x = sample(model, 64, steps=10).mean(1)
        return [float((half > 0).double().mean())
                for half in (x[:, :, :2].mean((1, 2)), x[:, :2].mean((1, 2)))]  # fmt: skip

    assert bright(score.conditioned([1.0])) == [1, 1]
    assert bright(score.conditioned([-1.0])) == [1, 0]
    assert bright(score.conditioned([-1.0, 1.0])) == [0, 0]  # as it was after a flip
    on_left, upper = bright(score)
    assert on_left == 1
    assert 0.25 < upper < 0.75


def test_a_vector_means_zeros_for_what_was_done(tmp_path):
    network = unet(condition=5)
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(generator=torch.Generator().manual_seed(len(weight)))
    score = NetworkScore(network, EDM(), shape=(1, 4, 4), augmented=3)
    short, whole = [0.3, -0.7], [0.3, -0.7, 0.0, 0.0, 0.0]
    expected = replace(score, condition=tuple(whole), augmented=0)(images(), 0.7)
    assert torch.equal(score.conditioned(short)(images(), 0.7), expected)
    assert torch.equal(score.conditioned(whole)(images(), 0.7), expected)
    each = torch.tensor(short).expand(24, 2)
    assert torch.equal(score.denoise(images(), 0.7, condition=each),
                       score.conditioned(short).denoise(images(), 0.7))  # fmt: skip
    save(score.conditioned(short), tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.condition == tuple(short)
    assert torch.equal(again(images(), 0.7), expected)
    for wrong in ([0.3], [0.3] * 3, [0.3] * 6, []):
        with pytest.raises(InputError, match="the network knows vectors of length 2"):
            score.conditioned(wrong)
    with pytest.raises(InputError, match=r"condition must have shape \(24, 5\), got \(24, 3\)"):
        score.denoise(images(), 0.7, condition=torch.zeros(24, 3))


SETTINGS = {"steps": 9, "batch_size": 8, "seed": 3, "augment": ["flip", "translate"],
            "checkpoint_every": 4}  # fmt: skip


@pytest.mark.parametrize("own", [0, 2])
def test_a_resumed_run_ends_bit_equal_and_another_one_is_refused(own, tmp_path):
    vectors = torch.rand(24, 2, generator=torch.Generator().manual_seed(4))
    settings = SETTINGS | {"conditions": vectors if own else None}
    whole = train_score(unet(condition=3 + own), images(), EDM(), **settings)
    with pytest.raises(KeyboardInterrupt):
        train_score(unet(condition=3 + own), images(), EDM(), **settings, out=tmp_path,
                    callbacks=[interrupt_at(5)])  # fmt: skip
    other = settings | {"augment": Augmentation(("flip", "translate"), 0.5)}
    with pytest.raises(InputError, match=r"augment_probability was 0\.12 and is now 0.5"):
        train_score(unet(condition=3 + own), images(), EDM(), **other, out=tmp_path)
    rest = train_score(unet(condition=3 + own), images(), EDM(), **settings, out=tmp_path)
    one, other = whole.network.state_dict(), rest.network.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("network", "data", "given", "message"),
    [
        (unet(condition=1), images(), {"augment": "shear"}, "must name some of flip, rotate"),
        (unet(condition=1), images(), {"augment": ["flip", "flip"]}, "must name some of flip"),
        (unet(condition=1), images(), {"augment": ()}, "must name some of flip"),
        (unet(), images(), {"augment": "flip"}, "got 0; build it with condition=1"),
        (MLP(16, 4, 1, condition=1), images().flatten(1), {"augment": "flip"}, "needs images"),
        (MLP(16, 4, 1, condition=2), images().reshape(-1, 1, 2, 8), {"augment": "rotate"},
         "needs square images"),
        (unet(condition=1), images(), {"augment": "flip", "conditions": torch.zeros(24, 1)},
         "1 numbers beside the 1 of conditions, got 1; build it with condition=2"),
        (unet(condition=3), images(), {"augment": "flip", "conditions": torch.zeros(23, 2)},
         r"conditions must have shape \(24, 2\), got \(23, 2\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(network, data, given, message):
    with pytest.raises(InputError, match=message):
        train_score(network, data, EDM(), steps=1, **given)


def test_the_probability_is_checked():
    with pytest.raises(InputError, match="probability must lie in"):
        Augmentation(("flip",), 0.0)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("wrong", [3, True, ["flip", 3], [["flip"]], ["flip", "flip"], []])
def test_what_names_no_transformation_is_refused(wrong):
    with pytest.raises(InputError, match="augment must name some of flip, rotate, translate, got"):
        Augmentation.named(wrong)
