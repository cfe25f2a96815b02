r"""One-sided constants that are proved: closed-form scores, and plain networks.

For a mixture of Gaussians of *one* covariance C, in the natural clock with
:math:`M = (C + \tau I)^{-1}` and :math:`u = M^{1/2} m` of a component's mean m,

.. math:: \nabla^2 \log p_\tau(y) = M^{1/2} \bigl(\operatorname{Cov}(u \mid y) - I\bigr) M^{1/2}
          \preceq (\rho^2 - 1)\,M

where all u lie in a ball of radius rho. One Gaussian has rho = 0 and equality; a cloud smoothed by
a bandwidth has the ball bound. Components of different covariances have no such bound: the
spread of their slopes grows with y.

For a network whose layers are known, the product of their Lipschitz constants bounds
:math:`\|\nabla F\|`; with the preconditioner :math:`D = c_{skip} \hat x + c_{out} F(c_{in} x)`

.. math:: L_s \le \frac{c_{skip} + \alpha\,|c_{out}|\,c_{in} \|\nabla F\| - 1}{\sigma^2} .

Source: docs/theory/certificate.md; the ball bound is the second-order Tweedie formula.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from wasserscore.certificate.constants import OneSided
from wasserscore.core.errors import InputError, explain
from wasserscore.core.typing import Cloud, Vector
from wasserscore.score import EmpiricalScore, NetworkScore
from wasserscore.score.mixture import ComponentScore

SLOPES: dict[type[nn.Module], float] = {
    nn.Identity: 1.0, nn.ReLU: 1.0, nn.Tanh: 1.0, nn.Softplus: 1.0, nn.Sigmoid: 0.25,
    nn.SiLU: 1.09984, nn.GELU: 1.129, nn.Flatten: 1.0, nn.Unflatten: 1.0,
}  # fmt: skip
"""Largest absolute slopes of activations (of GELU: of its approximation, too), rounded up."""
SMOOTH = 20.0
"""The threshold of a Softplus from which its jump to the identity is below rounding of float32."""


@runtime_checkable
class Layered(Protocol):
    """A network that says which layers its points pass through, one after the other.

    Points may enter the first layer beside other numbers (an embedding of the noise), and nothing
    may bypass a layer or scale its output.
    """

    def lipschitz_layers(self) -> Iterable[nn.Module]:
        """The layers, in order."""
        ...


class _Alike(NamedTuple):
    """Gaussian components of one covariance, in its eigenbasis."""

    means: Cloud
    variances: Vector


def certified(score: object) -> OneSided:
    """The proved one-sided constant of a score.

    Args:
        score: A Gaussian, an empirical law, a mixture whose components share one covariance, or a
            network score whose network is :class:`Layered`.

    Raises:
        InputError: If there is no proof for this score.
    """
    if isinstance(score, NetworkScore):
        return _network(score)
    alike = _alike(score)
    if alike is None:
        raise InputError(
            explain("this score has no proved one-sided constant", got=type(score).__name__,
                    do="use a Gaussian, an empirical law, a mixture of one covariance or a "
                    "layered network; estimate() looks for one")
        )  # fmt: skip
    process = score.process  # type: ignore[attr-defined]

    def value(t: Tensor) -> Tensor:
        found: Tensor = _bounds(alike, process.noise_to_signal(t)) / process.alpha(t) ** 2
        return found

    return OneSided(value, "certified", "second-order Tweedie and the means' ball", score)


def layer_product(layers: Iterable[nn.Module]) -> float:
    """A bound on the Lipschitz constant of layers one after the other, in the Euclidean norm.

    Args:
        layers: Linear layers and activations of known slope, nested sequences included.

    Raises:
        InputError: If a layer's constant is not known.
    """
    product = 1.0
    for layer in layers:
        if isinstance(layer, nn.Sequential):
            product *= layer_product(layer)
        elif isinstance(layer, nn.Linear):
            product *= float(torch.linalg.matrix_norm(layer.weight.detach().double(), ord=2))
        elif type(layer) in SLOPES and getattr(layer, "threshold", SMOOTH) >= SMOOTH:
            product *= SLOPES[type(layer)]
        else:
            raise InputError(explain("this layer has no known Lipschitz constant",
                                     got=type(layer).__name__,
                                     do="use linear layers and plain activations"))  # fmt: skip
    return product


def _network(score: NetworkScore) -> OneSided:
    if not isinstance(score.network, Layered):
        raise InputError(
            explain("this network does not say which layers its points pass through",
                    got=type(score.network).__name__, do="give it lipschitz_layers()")
        )  # fmt: skip
    product, process = layer_product(score.network.lipschitz_layers()), score.process

    def value(t: Tensor) -> Tensor:
        alpha, r = process.alpha(t), process.noise_to_signal(t).sqrt()
        c = score.preconditioner(t, alpha, r)
        size = alpha * c.out.abs() * c.scale_in * product
        found: Tensor = (c.skip + size - 1) / process.variance(t)
        return found

    return OneSided(value, "certified", f"product of layer norms {product:.3g}", score)


def _alike(score: object) -> _Alike | None:
    if isinstance(score, EmpiricalScore):
        points = score.points.flatten(1).double().cpu()
        return _Alike(points, points.new_full(points.shape[1:], score.bandwidth**2))
    if not isinstance(score, ComponentScore):
        return None
    law, means = score.law, score.law.means.double()
    variances = law.variances[0].cpu()
    if len(means) == 1:
        return _Alike(0 * means.cpu(), variances)
    dense = law.dense()
    if not torch.equal(dense, dense[:1].expand_as(dense)):
        return None
    turned = means if law.bases is None else means @ law.bases[0]
    return _Alike(turned.cpu(), variances)


def _bounds(law: _Alike, tau: Tensor) -> Tensor:
    """Upper bounds on the top eigenvalue of the Hessian of log p, one for every noise."""
    if len(law.means) == 1:
        return -1 / (law.variances.max() + tau)
    if bool((law.variances == law.variances[0]).all()):
        precision = 1 / (law.variances[0] + tau)
        return (_radius_squared(law.means) * precision - 1) * precision
    return torch.stack([_bound(law, one) for one in tau])


def _bound(law: _Alike, tau: Tensor) -> Tensor:
    precision = 1 / (law.variances + tau)
    excess = _radius_squared(law.means * precision.sqrt()) - 1
    return excess * (precision.max() if excess > 0 else precision.min())


def _radius_squared(u: Cloud) -> Tensor:
    """Of a ball that holds all points: about their mean, or about the middle of their box."""
    centres = u.mean(0), (u.min(0).values + u.max(0).values) / 2
    return torch.stack([(u - centre).square().sum(1).max() for centre in centres]).min()
