r"""What particles see of their own law, and which of four rules to use.

The law of the particles is estimated from the particles, and a particle is its own nearest
neighbour:

==============  =================================================================================
keep            it counts itself: the same set on both sides is a fixed point, repulsion too weak
leave_one_out   it does not: repulsion too strong, and the target set itself is no fixed point
noised          the field is asked at :math:`x + \sigma \epsilon`: on average over the noise the
                exact gradient of :math:`KL(q_\sigma \| p_\sigma)` for clean particles
independent     each half of the particles is the law that the other half sees
==============  =================================================================================

In the plane ``keep`` is best. In high dimension all other particles are equally far, the softmax
of a particle is itself alone, and ``keep`` has no repulsion left.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.flow.kernels import Kernel
from wasserscore.flow.sides import CloudSide, Pull

RULES = ("keep", "leave_one_out", "noised", "independent")
REACH = 3.0
r"""A source that leaves the particle out pulls at most this times :math:`\sigma \sqrt d`.

The smoothed score of any law has :math:`E |\sigma^2 \nabla \log q_\sigma|^2 \le \sigma^2 d`; far
from all others the estimate says "as far again as they are", and distances would double.
"""


class Seen(NamedTuple):
    """The source's pull under a rule.

    Args:
        pull: The side's answer.
        self_weight: Median share of a particle in its own softmax.
        capped: Share of particles whose pull was cut to :data:`REACH`.
    """

    pull: Pull
    self_weight: float
    capped: float


def queries(rule: str, x: Tensor, sigma: float, streams: Streams, draw: int) -> Tensor:
    """Where the field is asked: at the particles, or beside them."""
    if rule != "noised":
        return x
    return x + sigma * streams.normal(f"query/{draw}", 0, len(x), tuple(x.shape[1:]), x)


def seen(rule: str, x: Tensor, z: Tensor, kernel: Kernel, sigma: float, streams: Streams) -> Seen:
    """The law of the particles ``x`` as it is seen at ``z``.

    Raises:
        InputError: For a single particle under a rule that leaves it out.
    """
    if rule in ("keep", "noised"):
        away = CloudSide(x, kernel)(z, sigma)
        # the kernel between a particle and its own query, as a cloud of one point at the origin
        own = CloudSide(torch.zeros_like(x[:1]), kernel)(z - x, sigma)
        logs = _known(own) - _known(away) - math.log(len(x))
        return Seen(away, float(logs.exp().median()), 0.0)
    require(len(x) >= 2, f"self_interaction {rule!r} needs two particles", got=len(x))
    if rule == "leave_one_out":
        away = CloudSide(x, kernel).without_own(z, sigma)
    else:
        away = _halves(x, z, kernel, sigma, streams)
    reach = REACH * sigma * math.sqrt(x.shape[1])
    length = away.pull.norm(dim=1, keepdim=True)
    cut = away.pull * (reach / length.clamp_min(reach))
    return Seen(away._replace(pull=cut), 0.0, float((length > reach).double().mean()))


def _halves(x: Tensor, z: Tensor, kernel: Kernel, sigma: float, streams: Streams) -> Pull:
    """Every half sees the other."""
    order = torch.randperm(len(x), generator=streams.generator("halves")).to(x.device)
    first, second = order.tensor_split(2)
    parts = [CloudSide(x[there], kernel)(z[here], sigma)
             for here, there in ((first, second), (second, first))]  # fmt: skip
    back = order.argsort()
    pull, density, ess = (
        torch.cat([getattr(part, name) for part in parts]) for name in Pull._fields
    )
    return Pull(pull[back], density[back], ess)


def _known(pull: Pull) -> Tensor:
    assert pull.log_density is not None
    return pull.log_density
