r"""Theorem 1: a bound from the score error and the one-sided constant, for continuous time.

With :math:`k = g^2 (1 + \eta^2)/2`, :math:`b(t) = E_{p_t} |\nabla \log p_t - s|^2` and, integrated
*from the data end*,

.. math:: \log I(t) = \int_0^t \bigl(f + k L_s\bigr)\,dr,

.. math:: W_2(p_0, q_0) \le \int_0^T k\,I \sqrt b\,dt + I(T)\,W_2(p_T, q_T)
          \le \sqrt{2 K_\lambda J_\lambda} + I(T)\,W_2(p_T, q_T),

.. math:: K_\lambda = \int_0^T \frac{k^2 I^2}{\lambda}\,dt, \qquad
          J_\lambda = \frac12 \int_0^T \lambda\,b\,dt .

:math:`J_{SM} \le J_{DSM} = J_{SM} + \frac12 \int \lambda c` with the variance c of the denoising
target, so b + c in place of b is a (weaker) bound from denoising losses alone. With an early stop
all integrals start there. Everything is kept in logarithms: with L of 1e5 the bound is a number
like 1e40000 and must not become a NaN.

Source: :cite:p:`kwon2022`, Theorem 1, Corollaries 1 and 3; the weight enters as k^2 / lambda.
"""

import math

import torch

WARP = 7.0
"""Nodes are uniform in this root of sigma / alpha: near the data integrands go as t^(-1/2)."""


def log_add(*logs: float) -> float:
    """Logarithm of a sum, from the logarithms of its terms."""
    return float(torch.logsumexp(torch.tensor(logs, dtype=torch.float64), 0))


def from_log(log: float) -> float:
    """The number itself, infinite where it cannot be written."""
    return math.exp(log) if log < 709 else math.inf
