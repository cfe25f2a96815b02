"""What a generator's training takes of its feature maps: bandwidths and units, from the data."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from wasserscore.core.distributed import shared
from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.core.typing import Points
from wasserscore.flow.annealing import Annealing
from wasserscore.flow.features import FeatureMap
from wasserscore.flow.generator import View
from wasserscore.flow.settings import Settings
from wasserscore.score import Pushforward

LOOKED_AT = 2000
"""Most points of the target from which bandwidths and units are taken, at even distances."""


def view_of(
    feature: FeatureMap,
    law: Pushforward,
    points: Points,
    bandwidths: "Annealing | str | float",
    settings: Settings,
) -> View:
    """Bandwidths and unit of one feature map, from the data and the untrained generator.

    A batch cannot show what is finer than the distance of neighbours in it: widths end there.
    Of several ranks the first one's generator counts.

    Raises:
        InputError: If the features do not vary, or no drift can have such widths.
    """
    streams = Streams(settings.seed).child("bandwidths")
    there = feature(points[:: -(-len(points) // LOOKED_AT)]).detach()
    unit = float(there.double().var(0, correction=0).mean().sqrt())
    require(unit > 0, "target must vary", got="the same features everywhere")
    if not isinstance(bandwidths, Annealing | str):
        require(0 < bandwidths < math.inf, "a bandwidth must be positive", got=bandwidths)
        return View(feature, (float(bandwidths),) * settings.steps, unit)
    chosen = Annealing(bandwidths) if isinstance(bandwidths, str) else bandwidths

    def fall() -> Tensor:
        here = feature(law.sample(settings.batch_size, seed=streams.key("start"))).detach()
        widths = replace(chosen, steps=max(settings.steps, 2)).widths(here, there, streams)
        return torch.tensor(widths, dtype=torch.float64)

    return View(feature, tuple(shared([fall])[0].tolist()), unit)
