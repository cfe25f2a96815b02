import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wasserscore.core.errors import InputError
from wasserscore.data import Scaling

numbers = st.floats(-1e6, 1e6)


@given(
    st.lists(st.tuples(numbers, numbers), min_size=2, max_size=20),
    st.sampled_from(["table", "image", "vectors"]),
)
def test_undo_is_the_inverse_of_apply(rows, kind):
    x = torch.tensor(rows, dtype=torch.float64)
    scaling = Scaling.fit(x, kind)
    size = float(x.abs().max()) + 1
    assert float((scaling.undo(scaling.apply(x)) - x).abs().max()) <= 1e-12 * size


def test_per_column_standardises_and_keeps_a_constant_column(generator):
    x = torch.randn(50, 3, generator=generator, dtype=torch.float64) * torch.tensor(
        [1.0, 9.0, 0.0]
    )
    x = x + torch.tensor([5.0, -2.0, 7.0])
    y = Scaling.per_column(x).apply(x)
    assert torch.allclose(y.mean(0), torch.zeros(3, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(y.var(0, unbiased=False), torch.tensor([1.0, 1.0, 0.0]).double())


def test_scalar_keeps_angles_and_has_mean_variance_one(generator):
    x = torch.randn(50, 4, generator=generator, dtype=torch.float64) * torch.tensor(
        [1.0, 2.0, 3.0, 0.0]
    )
    scaling = Scaling.scalar(x)
    assert scaling.scale.ndim == 0
    assert float(scaling.apply(x).var(0, unbiased=False).mean()) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["table", "vectors"])
def test_log_det_turns_a_density_back_to_data_units(generator, kind):
    """A standard normal in model units, against the same law written in data units."""
    x = torch.randn(20, 3, generator=generator, dtype=torch.float64) * torch.tensor(
        [1.0, 4.0, 0.1]
    )
    scaling = Scaling.fit(x, kind)
    model = torch.distributions.Normal(0.0, 1.0).log_prob(scaling.apply(x)).sum(1)
    scale = scaling.scale.expand(3)
    data = torch.distributions.Normal(scaling.shift, scale).log_prob(x).sum(1)
    assert torch.allclose(model - scaling.log_det, data)


def test_operator_norm_bounds_the_stretch(generator):
    scaling = Scaling(torch.zeros(2).double(), torch.tensor([0.5, 3.0]).double())
    x = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    assert float((scaling.undo(x)).norm()) == scaling.operator_norm == 3.0


def test_images_keep_their_shape_and_dtype(generator):
    flat = torch.randn(10, 6, generator=generator, dtype=torch.float64)
    scaling = Scaling.per_column(flat)
    images = flat.reshape(10, 2, 3).float()
    out = scaling.apply(images)
    assert out.dtype == torch.float32
    assert torch.allclose(out.reshape(10, 6).double(), scaling.apply(flat), atol=1e-6)


def test_round_trip_through_json(generator):
    import json

    for kind in ("table", "vectors"):
        scaling = Scaling.fit(torch.randn(9, 3, generator=generator, dtype=torch.float64), kind)
        again = Scaling.from_dict(json.loads(json.dumps(scaling.to_dict())))
        assert torch.equal(again.shift, scaling.shift)
        assert torch.equal(again.scale, scaling.scale)


def test_refuses_a_scale_that_cannot_be_undone():
    with pytest.raises(InputError, match="scale must be positive"):
        Scaling(torch.zeros(2).double(), torch.tensor([1.0, 0.0]).double())
    with pytest.raises(InputError, match="one per column"):
        Scaling(torch.zeros(2).double(), torch.ones(3).double())
    with pytest.raises(InputError, match="2 entries"):
        Scaling(torch.zeros(2).double(), torch.ones(2).double()).apply(torch.zeros(4, 3).double())


def test_a_range_becomes_minus_one_to_one():
    scaling = Scaling.span(-3.0, 7.0, 2)
    x = torch.tensor([[-3.0, 7.0], [2.0, 4.5]], dtype=torch.float64)
    assert torch.equal(scaling.apply(x), torch.tensor([[-1.0, 1.0], [0.0, 0.5]]).double())
    with pytest.raises(InputError, match=r"high must exceed low, got 2\.0 to 2\.0"):
        Scaling.span(2.0, 2.0, 3)


@pytest.mark.parametrize("kind", [torch.uint8, torch.int64, torch.float64])
def test_bytes_are_the_numbers_that_they_spell(kind):
    """In bytes 0 - 127 is 129, and a shift of 127.5 is 127."""
    images = torch.arange(256).reshape(16, 1, 4, 4).to(kind)
    pixels = Scaling.span(0.0, 255.0, 16)
    wanted = (torch.arange(256).double() - 127.5) / 127.5
    assert torch.equal(pixels.apply(images).flatten(), wanted)
    assert torch.equal(pixels.apply(images.numpy()).flatten(), wanted)
    assert torch.equal(pixels.undo(pixels.apply(images)).round().to(kind), images)
    for fit in (Scaling.scalar, Scaling.per_column):
        scaling, known = fit(images), fit(images.double().flatten(1))
        assert scaling.to_dict() == known.to_dict()
        assert float(scaling.apply(images).double().mean().abs()) < 1e-12
