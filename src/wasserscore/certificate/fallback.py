r"""Bounds that never explode: from relative entropy to W2.

For a sampler with noise, Girsanov's theorem bounds the relative entropy without any Lipschitz
constant; at noise level :math:`\eta > 0`, with :math:`k = g^2 (1 + \eta^2)/2`,

.. math:: KL(p_0 \| q_0) \le H := \frac12 \int \frac{k^2}{\eta^2 g^2}\,b\,dt + KL(p_T \| q_T)
          = \frac{(1 + \eta^2)^2}{4 \eta^2} J_{SM}(g^2) + KL(p_T \| q_T),

smallest at :math:`\eta = 1` and infinite for the probability flow, which has no such bound. Then
an exponential moment of the generated law (Bolley-Villani) or, when *both* laws live on a set of
diameter :math:`\Delta`, Pinsker's inequality turns H into a distance.

Source: Bolley and Villani (2005), weighted Csiszar-Kullback-Pinsker inequalities, corollary 2.3;
:cite:p:`song2021` for the relative entropy at eta = 1.
"""

import math

import torch
from scipy import optimize
from torch import Tensor

from wasserscore.core.errors import AssumptionError, require


def entropy(score_matching: float, start_entropy: float, eta: float) -> float:
    r"""Upper bound H on KL(p_0 || q_0), in nats.

    Args:
        score_matching: :math:`J_{SM}(g^2) = \frac12 \int g^2 b`, from the stop to the horizon.
        start_entropy: Upper bound on KL(p_T || q_T).
        eta: Noise level.

    Raises:
        AssumptionError: For the probability flow: its relative entropy is not bounded by the loss.
    """
    if eta <= 0:
        raise AssumptionError(
            "the probability flow has no relative-entropy bound: use the coupling, or eta > 0"
        )
    return (1 + eta**2) ** 2 / (4 * eta**2) * score_matching + start_entropy


def bolley_villani(entropy: float, constant: float) -> float:
    r"""W2 from relative entropy and an exponential moment of the generated law.

    .. math:: W_2 \le C \min\Bigl(\sqrt H + (H/2)^{1/4},\ \bigl(\sqrt H + H/2\bigr)^{1/2}\Bigr)

    Args:
        entropy: H, in nats.
        constant: C of :func:`moment_constant`, data units.
    """
    root = math.sqrt(entropy)
    return constant * min(root + math.sqrt(math.sqrt(entropy / 2)), math.sqrt(root + entropy / 2))


def moment_constant(squares: Tensor) -> float:
    r"""C of the Bolley-Villani inequality from squared distances of samples to a fixed point.

    .. math:: C = 2 \inf_a \sqrt{\tfrac1a \bigl(\tfrac32 + \log E e^{a |x - x_0|^2}\bigr)}

    An exponential moment of samples: the result is an *estimate*, never a proof.

    Args:
        squares: |x - x_0|^2 for samples of the generated law, shape (n,), squared data units.
    """
    require(float(squares.max()) > 0, "all points coincide with the centre", got=0.0)
    scale = float(squares.mean())

    def value(log_a: float) -> float:
        a = math.exp(log_a) / scale
        log_moment = float(torch.logsumexp(a * squares, 0)) - math.log(squares.numel())
        return (1.5 + log_moment) / a

    found = optimize.minimize_scalar(value, bounds=(-8.0, 8.0), method="bounded",
                                     options={"xatol": 1e-8})  # fmt: skip
    return 2 * math.sqrt(float(found.fun))


def bounded_support(entropy: float, diameter: float) -> float:
    r"""W2 of two laws on one set of finite diameter, by Pinsker's inequality.

    .. math:: W_2^2 \le \Delta^2\,TV \le \Delta^2 \min(1, \sqrt{H/2})

    Assumes: both laws live on the set; clip the samples (relative entropy can only fall).

    Args:
        entropy: H, in nats.
        diameter: Delta, data units.
    """
    return diameter * math.sqrt(min(1.0, math.sqrt(entropy / 2)))
