r"""The denoising forms of the linear Gaussian case: what a bound from losses alone would say.

.. math:: c(t) = \frac d{\sigma_t^2} - \operatorname{tr} V_t^{-1}, \qquad
          C_\lambda = \tfrac12 \int \lambda c,

.. math:: \int k I \sqrt{b + c}\,dt \quad\text{and}\quad
          \sqrt{2 K_\lambda (J_\lambda + C_\lambda)},

without the offset. Near the data c grows like d / sigma^2: the integrals run in the root of time,
and those that have no limit need an early stop.

Source: :cite:p:`kwon2022`, Corollary 3.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp

from wasserscore.certificate.linear import SOLVER, Array, LinearGaussian
from wasserscore.core.results import Record

FIRST = 1e-8
"""Root of the first time, in roots of the horizon, where there is no early stop."""


@dataclass(frozen=True)
class DenoisingForms(Record):
    r"""Bounds from denoising losses, data units, from the stop to the horizon, no offset.

    Args:
        variance: :math:`C_\lambda`.
        integral: :math:`\int k I \sqrt{b + c}`.
        cauchy_schwarz: :math:`\sqrt{2 K_\lambda (J_\lambda + C_\lambda)}`.
    """

    variance: float
    integral: float
    cauchy_schwarz: float


def denoising_forms(
    problem: LinearGaussian, weight: Callable[[float], float] | None = None
) -> DenoisingForms:
    r"""All of them for a linear Gaussian problem.

    Args:
        problem: The problem.
        weight: :math:`\lambda(t)`; None is the likelihood weight :math:`g^2`.
    """
    process, eta = problem.process, problem.eta
    lam = weight or (lambda t: float(process.g2(t)))
    eye = np.eye(len(problem.mean))

    def rates(root: float, state: Array) -> Array:
        t = root**2
        k, growth = (1 + eta**2) / 2 * float(process.g2(t)), float(np.exp(state[0]))
        alpha, variance = float(process.alpha(t)), float(process.variance(t))
        covariance = alpha**2 * problem.covariance + variance * eye
        (R, v), size = problem.error(t), lam(t)
        b = v @ v + np.trace(R @ covariance @ R.T)
        c = len(eye) / variance - np.trace(np.linalg.inv(covariance))
        found = [problem.growth_rate(t), k * growth * np.sqrt(b + c), k**2 * growth**2 / size,
                 size * b / 2, size * c / 2]  # fmt: skip
        return 2 * root * np.array(found)

    start = np.sqrt(problem.stop) or FIRST * np.sqrt(process.horizon)
    span = (float(start), float(np.sqrt(process.horizon)))
    _, integral, K, J, C = solve_ivp(rates, span, np.zeros(5), **SOLVER).y[:, -1]
    return DenoisingForms(float(C), float(integral), float(np.sqrt(2 * K * (J + C))))
