r"""What an update may not leave behind: weights that let the score expand.

The certificate's theorem multiplies errors by :math:`\exp \int (f + k L)` with the one-sided
constant L of the score, and every linear layer W that points pass through multiplies L's bound by
:math:`\|W\|`. A regulariser is called after every update and puts the weights back into a convex
set; the average of weights, being a convex combination, never leaves that set either.

Source: :cite:p:`kwon2022`, section 5, where both lower the intercept of the bound, and where
too much of either costs samples.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from wasserscore.core.errors import require


@runtime_checkable
class Regulariser(Protocol):
    """What :func:`train_score` asks of a regulariser."""

    def __call__(self, network: nn.Module) -> None:
        """Put the weights where they may be, in place."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """As JSON types, so that a resumed run can tell whether it is the same."""
        ...


@dataclass(frozen=True)
class SpectralCap:
    r"""No linear layer stretches by more than ``cap``: :math:`\|W\|_2 \le cap`.

    Singular values above the cap are cut to it (the nearest matrix of that set); smaller ones
    stay. For a network that names the layers its points pass through (``lipschitz_layers``, as
    :class:`~wasserscore.network.Perceptron` does) only those are capped, and the product of their
    norms bounds :math:`\|\nabla F\|`: ``wasserscore.certificate.closed.certified(score)`` proves a
    constant from it. For other networks, the MLP with its normalisation among them, every linear
    layer is capped and nothing is proved.

    Args:
        cap: The largest singular value, positive.
    """

    cap: float = 1.0

    def __post_init__(self) -> None:
        require(self.cap > 0, "cap must be positive", got=self.cap)

    @torch.no_grad()
    def __call__(self, network: nn.Module) -> None:
        """Cut the singular values; costs one decomposition per layer that is too large."""
        for layer in _layers(network):
            weight = layer.weight
            if float(weight.norm()) <= self.cap:  # never below the largest singular value
                continue
            u, sizes, v = torch.linalg.svd(weight.double(), full_matrices=False)
            if float(sizes[0]) > self.cap:
                weight.copy_((u * sizes.clamp_max(self.cap)) @ v)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {"regularise": "spectral", "cap": self.cap}


@dataclass(frozen=True)
class WeightClip:
    r"""Every entry of a linear layer's weight lies in :math:`[-bound, bound]`.

    A layer of n x m entries then stretches by at most :math:`bound \sqrt{n m}`. The same layers as
    for :class:`SpectralCap`.

    Args:
        bound: The largest entry; the paper's is 0.1.
    """

    bound: float = 0.1

    def __post_init__(self) -> None:
        require(self.bound > 0, "bound must be positive", got=self.bound)

    @torch.no_grad()
    def __call__(self, network: nn.Module) -> None:
        """Clip the entries."""
        for layer in _layers(network):
            layer.weight.clamp_(-self.bound, self.bound)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {"regularise": "clip", "bound": self.bound}


def regulariser_named(regularise: "str | Regulariser | None") -> Regulariser | None:
    """A regulariser from its name; an object or None passes through.

    Raises:
        InputError: For an unknown name.
    """
    if not isinstance(regularise, str):
        good = regularise is None or callable(regularise)
        require(good, "regularise must be a name, a regulariser or None", got=repr(regularise))
        return regularise
    known: dict[str, Regulariser] = {"spectral": SpectralCap(), "clip": WeightClip()}
    require(
        regularise in known,
        f"regularise must be one of {sorted(known)}, a regulariser or None",
        got=repr(regularise),
    )
    return known[regularise]


def _layers(network: nn.Module) -> list[nn.Linear]:
    """The linear layers that points pass through, or all where a network does not say."""
    named: Callable[[], Iterable[nn.Module]] | None = getattr(network, "lipschitz_layers", None)
    roots = [network] if named is None else named()
    return [part for root in roots for part in root.modules() if isinstance(part, nn.Linear)]
