r"""Networks trained elsewhere with EDM's preconditioning, from their weights.

They are modules ``F(x, c_noise)``, or ``F(x, c_noise, classes as one-hot rows)``, and
:math:`D(x, \sigma) = c_{skip} x + c_{out} F(c_{in} x, \ln(\sigma) / 4)`. Their F is minus our
velocity.

Source: :cite:`karras2022` table 1 and eq. (7).
"""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer
from wasserscore.core.tensors import not_finite
from wasserscore.core.typing import PerPoint, Points
from wasserscore.network import built, describe, filled, register
from wasserscore.network.told import Labels
from wasserscore.process import EDM
from wasserscore.score.network import NetworkScore
from wasserscore.score.vault import read_tensors

PREFIX = "model."
"""What the names of weights begin with where a preconditioned network was saved."""


@register
class EDMNetwork(nn.Module):
    """EDM's F as ours: of the opposite sign, and told classes by number.

    Args:
        network: The module, or the configuration of a registered one.
        classes: How many it knows; a point whose class is not told has a row of zeros.
    """

    def __init__(self, network: nn.Module | dict[str, Any], classes: int = 0) -> None:
        super().__init__()
        self.network = network if isinstance(network, nn.Module) else built(network)
        self.classes = as_integer(classes, "classes", least=0)

    def config(self) -> dict[str, Any]:
        """What rebuilds this network, as JSON types; the weights come beside it."""
        return {"class": "EDMNetwork", "network": describe(self.network), "classes": self.classes}

    def forward(self, x: Points, c_noise: PerPoint, labels: Labels | None = None) -> Points:
        """Points ``(b, *shape)`` and noise labels ``(b,)`` to outputs like x."""
        told: tuple[Tensor, ...] = ()
        if self.classes:
            nobody = torch.full((len(x),), self.classes, device=x.device)
            rows = functional.one_hot(nobody if labels is None else labels, self.classes + 1)
            told = (rows[:, :-1].to(x),)
        out: Tensor = -self.network(x, c_noise, *told)
        return out


def from_edm(
    network: nn.Module,
    weights: str | Path | Mapping[str, Tensor],
    shape: tuple[int, ...],
    *,
    classes: int = 0,
    sigma_data: float = 0.5,
    sigma_max: float = 80.0,
) -> NetworkScore:
    """The score of a network with EDM's preconditioning.

    Args:
        network: The module F; it is copied.
        weights: Its state dict, or the ``.safetensors`` file that holds it; the names may begin
            with ``model.``, as those of a preconditioned network do.
        shape: Of one point.
        classes: How many classes the network is told as one-hot rows; 0 where it is called
            without. ``score.conditioned(y)`` is the score of one.
        sigma_data: As it was trained with.
        sigma_max: Largest noise of the process.

    Raises:
        InputError: If the file cannot be read, or its weights do not fit or are not finite (names
            the first).
    """
    tensors = dict(weights) if isinstance(weights, Mapping) else read_tensors(Path(weights))
    if all(name.startswith(PREFIX) for name in tensors):
        tensors = {name.removeprefix(PREFIX): value for name, value in tensors.items()}
    broken = not_finite(tensors)
    require(not broken, "weights must be finite", got=f"NaN or infinity in {broken[:1]}")
    whole = EDMNetwork(filled(deepcopy(network), tensors), classes)
    whole.eval().requires_grad_(False)
    return NetworkScore(whole, EDM(sigma_max=sigma_max), "velocity", "edm", sigma_data, shape)
