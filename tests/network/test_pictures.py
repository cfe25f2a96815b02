"""What a U-Net and a transformer of patches have in common."""

import numpy as np
import pytest
import torch
from tests.network.pictures import SMALL, awake, inputs

from wasserscore.core.errors import InputError
from wasserscore.network import DiT, UNet, describe, rebuild
from wasserscore.process import EDM
from wasserscore.score import NetworkScore

KINDS = pytest.mark.parametrize("kind", SMALL)


@KINDS
def test_weights_depend_on_the_seed_only(kind):
    one, same, other = (SMALL[kind](classes=3, seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["first.weight"], other["first.weight"])
    bound = 3**0.5 * one["first.weight"][0].numel() ** -0.5
    assert 0.9 * bound < float(one["first.weight"].abs().max()) <= bound


@KINDS
@pytest.mark.parametrize("classes", [0, 3])
def test_every_weight_feels_the_loss(kind, classes):
    network, (x, c) = awake(SMALL[kind](classes=classes)), inputs()
    labels = torch.tensor([0, 2, 1]) if classes else None
    network(x, c, labels).square().sum().backward()
    for name, parameter in network.named_parameters():
        rows = parameter.grad[:classes] if name.endswith("table.weight") else parameter.grad[None]
        assert float(rows.flatten(1).abs().amax(1).min()) > 1e-9, name


@KINDS
def test_untrained_it_is_the_linear_denoiser(kind):
    network, (x, _) = SMALL[kind]().double(), inputs()
    score = NetworkScore(network, EDM(), data_std=2.0, shape=(2, 8, 4))
    torch.testing.assert_close(score(x, 1.5), -x / (1.5**2 + 2.0**2), rtol=1e-12, atol=0)


@KINDS
def test_images_do_not_see_one_another_and_may_be_flat(kind):
    network, (x, c) = awake(SMALL[kind]()), inputs(5)
    order = torch.tensor([3, 0, 4, 1, 2])
    whole = network(x, c).detach()
    torch.testing.assert_close(network(x[order], c[order]), whole[order], rtol=1e-12, atol=1e-12)
    assert torch.equal(network(x.flatten(1), c), whole.flatten(1))
    assert float((whole[1:] - whole[:-1]).abs().min()) > 0


@KINDS
def test_axes_in_another_order_are_refused(kind):
    network, (x, c) = awake(SMALL[kind]()), inputs()
    with pytest.raises(InputError, match=r"must have shape \(2, 8, 4\), got \(8, 4, 2\); put"):
        network(x.movedim(1, -1), c)
    assert torch.equal(network(x[:, :, None], c)[:, :, 0], network(x, c))


@KINDS
@pytest.mark.parametrize("classes", [0, 3])
def test_it_comes_back_bit_for_bit(kind, classes):
    network, (x, c) = awake(SMALL[kind](classes=classes)), inputs()
    again = rebuild(describe(network), dict(network.state_dict()))
    assert again.config() == network.config()
    assert torch.equal(again(x, c), network(x, c))


@KINDS
def test_a_class_is_a_row_of_its_own_and_the_last_row_says_none(kind):
    network, (x, c) = SMALL[kind](classes=3, seed=2).double(), inputs()
    assert torch.equal(network.told.table.weight, torch.zeros(4, network.told.linear.in_features))
    network = awake(network)
    told = [network(x, c, torch.full((3,), k)) for k in range(4)]
    assert torch.equal(network(x, c), told[3])
    for k in range(3):
        assert float((told[k] - told[3]).detach().abs().max()) > 1e-3
    mixed = network(x, c, torch.tensor([2, 0, 3]))
    expected = torch.stack([told[2][0], told[0][1], told[3][2]])
    torch.testing.assert_close(mixed, expected, rtol=1e-12, atol=1e-12)


@KINDS
def test_a_vector_is_told_beside_the_class_and_zero_says_nothing(kind):
    network, (x, c) = awake(SMALL[kind](classes=3, condition=2)), inputs()
    vectors = torch.tensor([[0.0, 0.0], [1.0, 0.5], [-0.3, 2.0]], dtype=torch.float64)
    labels = torch.tensor([0, 2, 1])
    plain, told = network(x, c, labels).detach(), network(x, c, labels, vectors).detach()
    assert torch.equal(told[0], plain[0])
    assert float((told[1:] - plain[1:]).abs().flatten(1).amax(1).min()) > 1e-3
    again = rebuild(describe(network), dict(network.state_dict()))
    assert torch.equal(again(x, c, labels, vectors), told)
    assert "condition" not in SMALL[kind]().config()
    with pytest.raises(InputError, match=r"must have shape \(3, 2\), got \(3, 1\); build"):
        network(x, c, labels, vectors[:, :1])


@KINDS
def test_one_image_is_learned_by_heart(kind):
    """The denoiser of one image m is m itself: the loss falls from m's own size to nothing."""
    network, (x, _) = SMALL[kind](seed=1), inputs(1)
    image = x.float()
    score = NetworkScore(network, EDM(), "data", data_std=1.0, shape=(2, 8, 4))
    noisy = image + inputs(4)[0].float()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2, fused=True)
    losses = []
    for _ in range(60):
        loss = (score.denoise(noisy, 1.0) - image).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(float(image.square().mean()), rel=1e-6)
    assert losses[-1] < 0.02 * losses[0]


@pytest.mark.usefixtures("unchecked")
def test_a_shape_may_be_an_array():
    assert DiT(np.array([1, 8, 8]), width=8, heads=1).shape == (1, 8, 8)


@KINDS
def test_a_wrong_number_of_pixels_is_refused(kind):
    with pytest.raises(InputError, match="64 entries"):
        SMALL[kind]()(torch.zeros(2, 2, 4, 4), torch.zeros(2))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: UNet((8, 8)), r"shape must be \(channels, height, width\)"),
        (lambda: UNet((1, 8, 6), 8, (1, 2, 2), 1, ()), "divisible by 4, for 3 multipliers"),
        (lambda: UNet((1, 8, 8), 8, (1, 2), 1, (16,)), r"attention must name.*\[8, 4\]"),
        (lambda: UNet((1, 8, 8), 8, (1, 0), 1, ()), r"multipliers\[1\] must be an integer from 1"),
        (lambda: UNet((1, 8, 8), 8, (), 1, ()), "0 multipliers"),
        (lambda: UNet((1, 8, 8), 8, (1,), 10**6, ()), "blocks must be an integer from 1 to 256"),
        (lambda: UNet((1, 16, 8), classes=-1), "classes must be an integer from 0"),
        (lambda: DiT((1, 8, 8), condition=-1), "condition must be an integer from 0"),
        (lambda: DiT((1, 9, 8)), "divisible by the patch of 2"),
        (lambda: DiT((1, 8, 8), width=6, heads=3), "divisible by 4 and by heads"),
        (lambda: DiT((1, 8, 8), depth=0), "depth must be an integer from 1"),
    ],
)
def test_sizes_are_refused_by_name(build, message):
    with pytest.raises(InputError, match=message):
        build()
