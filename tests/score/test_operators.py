"""Linear measurements: one contract, which every operator inherits, and what each one is."""

import pytest
import torch
from torch.nn.functional import avg_pool2d

from wasserscore.core.errors import InputError
from wasserscore.score.guidance import LinearMap, Mask, MatrixMap, Operator, Separable

KNOWN = torch.tensor([[True, False, True], [False, True, False]])
OPERATORS = {
    "mask": Mask(KNOWN),
    "matrix": MatrixMap(torch.arange(12.0).reshape(2, 6).double(), (2, 3)),
    "blur": Separable.blur((2, 4, 5), 0.8),
    "average": Separable.average((2, 4, 6), 2),
}


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", OPERATORS)
class TestContract:
    def test_the_adjoint_is_the_transpose_in_every_row(self, name):
        a = OPERATORS[name]
        x = draw(3, *a.shape)
        y = draw(*a.forward(x).shape, seed=1)
        left = (a.forward(x) * y).flatten(1).sum(1)
        right = (x * a.adjoint(y)).flatten(1).sum(1)
        torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)

    def test_it_is_linear(self, name):
        a = OPERATORS[name]
        x, z = draw(3, *a.shape), draw(3, *a.shape, seed=1)
        torch.testing.assert_close(a.forward(2 * x - 3 * z), 2 * a.forward(x) - 3 * a.forward(z))

    def test_it_is_an_operator_and_keeps_the_dtype(self, name):
        a = OPERATORS[name]
        assert isinstance(a, Operator)
        x = draw(2, *a.shape).float()
        assert a.forward(x).dtype == a.adjoint(a.forward(x)).dtype == torch.float32


@pytest.mark.usefixtures("unchecked")
def test_operators_may_be_made_of_arrays_and_lists():
    x = draw(2, 2, 3)
    assert torch.equal(Mask(KNOWN.numpy()).forward(x), OPERATORS["mask"].forward(x))
    assert torch.equal(Mask(KNOWN.tolist()).forward(x), OPERATORS["mask"].forward(x))
    matrix = OPERATORS["matrix"].matrix
    assert torch.equal(MatrixMap(matrix.numpy(), (2, 3)).forward(x), x.flatten(1) @ matrix.T)
    picture, two, three = draw(1, 2, 3), draw(4, 2), draw(5, 3, seed=1)
    other = Separable([1, 2, 3], two.numpy(), three.tolist()).forward(picture[:, None])
    assert torch.equal(other, Separable((1, 2, 3), two, three).forward(picture[:, None]))
    assert torch.equal(Separable.average([2, 4, 6], 2).down, OPERATORS["average"].down)
    with pytest.raises(InputError, match=r"must be True and False, got torch\.int64"):
        Mask([1, 0])
    with pytest.raises(InputError, match=r"a matrix has rows and columns, got \(5,\)"):
        MatrixMap(torch.ones(5))
    with pytest.raises(InputError, match=r"factor must be a positive integer, got 2\.0"):
        Separable.average((4, 6), 2.0)


def test_a_mask_keeps_the_known_coordinates():
    x = torch.arange(6.0).reshape(1, 2, 3)
    assert OPERATORS["mask"].forward(x).tolist() == [[0.0, 2.0, 4.0]]


def test_an_average_is_that_of_torch():
    x = draw(3, 2, 4, 6)
    torch.testing.assert_close(OPERATORS["average"].forward(x), avg_pool2d(x, 2))


def test_a_blur_spreads_a_pixel_like_a_gaussian_and_keeps_a_flat_picture():
    blur, x = Separable.blur((31, 31), 1.5), torch.zeros(1, 31, 31).double()
    x[0, 15, 15] = 1
    seen = blur.forward(x)[0]
    expected = torch.tensor([0.0, 1.0, 4.0, 9.0]).double().div(-2 * 1.5**2).exp()
    torch.testing.assert_close(seen[15, 15:19] / seen[15, 15], expected)
    torch.testing.assert_close(seen[15:19, 15] / seen[15, 15], expected)
    torch.testing.assert_close(blur.forward(torch.ones_like(x)), torch.ones_like(x))


class Differences(LinearMap):
    shape = (4,)

    def forward(self, x):
        return x[:, 1:] - x[:, :-1]


def test_ones_own_map_needs_its_forward_only():
    y = torch.tensor([[1.0, 2.0, 5.0]])
    assert Differences().adjoint(y).tolist() == [[-1.0, -1.0, -3.0, 5.0]]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: Mask(KNOWN & False), "a mask must keep a coordinate"),
        (lambda: MatrixMap(torch.ones(2, 5), (2, 3)), r"a column for each coordinate"),
        (lambda: Separable((4, 5), torch.eye(4), torch.eye(4)), "must fit the picture"),
        (lambda: MatrixMap(torch.ones(2, 5) / 0), "a matrix must be finite"),
        (lambda: Separable.average((4, 6), 4), "must divide both sides"),
        (lambda: Separable.average((16,), 4), "a picture has a height and a width"),
        (lambda: Separable.blur((4, 4), 0.0), "a blur needs a positive deviation"),
        (lambda: Separable.blur((4, 4), "soft"), "a positive deviation, got soft"),
        (lambda: Separable.blur(4, 1.0), "a picture has a height and a width"),
        (lambda: Separable((4, 4), torch.ones(4), torch.eye(4)), "is measured by two matrices"),
    ],
)
def test_what_does_not_fit_is_refused(call, match):
    with pytest.raises(InputError, match=match):
        call()
