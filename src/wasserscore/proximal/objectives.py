r"""What a proximal score can be trained or judged by, in closed form.

Matching the terminal condition of the game in gradient, after integration by parts, needs no
density of the data:

.. math:: L = E_x \Bigl[ 2 \frac{\Delta p_\theta}{p_\theta} - |\nabla \log p_\theta|^2 \Bigr]
            = 2 E_x \Bigl[ \tfrac12 |s_\theta|^2 + \nabla \cdot s_\theta \Bigr] .

Two ways lead to minus infinity, and both are closed here or by the floor: a point that is also a
centre lets that centre's variance v go to zero (v L goes to -2 d), so its own component is masked
or the call is refused; and even on disjoint points an anisotropic covariance may become a pancake
through one of them, which only a variance floor prevents.

Source: :cite:p:`zhang2024` eqs. (27), (30).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.typing import Cloud, PerPoint
from wasserscore.kernel import nearest
from wasserscore.score.proximal import ProximalScore


def implicit_score_matching(score: ProximalScore, points: Cloud) -> Float[Tensor, ""]:
    r"""The loss :math:`E[2 \Delta p / p - |s|^2]` at t = 0, differentiable in the score's tensors.

    Args:
        score: The model.
        points: Fit points ``(b, d)``, none of them a centre of the model.

    Raises:
        InputError: If a point is a centre: the loss would have no minimum.
    """
    distances, _ = nearest(points, score.centres.detach())
    same = int((distances == 0).sum())
    require(same == 0, "fit points must not be centres: the loss is unbounded below",
            got=f"{same} of {len(points)} points at distance 0",
            do="split the data into centres and fit points")  # fmt: skip
    squared = score(points, 0.0).square().sum(1)
    return (squared + 2 * score.divergence(points, 0.0)).mean()


def leave_one_out(score: ProximalScore, points: Cloud) -> PerPoint:
    r"""Log density at each centre's own point under the other components, ``(n,)``.

    .. math:: \log \frac{1}{1 - w_i} \sum_{j \ne i} w_j N(x_i; z_j, \Sigma_j)

    The covariances stay as they are, so where they were built from neighbourhoods that hold the
    point this is optimistic; held-out points judge, this only removes the self term.

    Args:
        score: A model with one component per point.
        points: ``(n, d)``, in the order of the centres.
    """
    require(len(points) == len(score.centres), "points must be those of the centres, in order",
            got=f"{len(points)} points for {len(score.centres)} centres")  # fmt: skip
    joint = score.law.log_joint(points, 0.0)
    own = torch.eye(len(points), dtype=torch.bool, device=joint.device)
    others = joint.masked_fill(own, -torch.inf).logsumexp(1)
    return others - torch.log1p(-score.law.weights)
