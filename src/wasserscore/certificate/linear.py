r"""The whole ladder in closed moments: Gaussian data, linear score, continuous time.

With data :math:`N(m, S)` and model score :math:`s(x, t) = -A(t) x + c(t)` every law on the way is
Gaussian, so each rung is the end value of an ordinary differential equation. At noise level
:math:`\eta` the forcing is :math:`k = g^2 (1 + \eta^2) / 2` (the reverse SDE has :math:`k = g^2`,
the probability flow :math:`k = g^2/2`). Backwards from T, with :math:`B = f I - k A`,
:math:`P_t = V_t^{-1}` and :math:`B^\star = f I - k P_t`:

.. math::
   \begin{aligned}
   \dot m_q &= B m_q + k c, & \dot V_q &= B V_q + V_q B^T + \eta^2 g^2 I, \\
   \dot C &= B^\star C + C B^T + \eta^2 g^2 I && \text{(covariance of the synchronous coupling)}
   \end{aligned}

and forwards from 0, with :math:`L_s = \lambda_{\max}(-(A + A^T)/2)`,

.. math::
   \log I = \int_0^t (f + k L_s), \qquad \dot\Phi = \Phi B, \qquad b = E_{p_t} |e|^2 .

The ladder: W2 <= coupling <= matrix <= integral <= Cauchy-Schwarz.

Source: :cite:p:`kwon2022`, Theorem 1 and Corollary 1 with the one-sided constant of the drift;
coupling, matrix and gradient-projected forms in docs/theory.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.linalg import solve_sylvester, sqrtm

from wasserscore.core.errors import require
from wasserscore.core.results import Record
from wasserscore.distance import w2_gaussian
from wasserscore.process.base import Process

Array = NDArray[np.float64]
SOLVER: dict[str, Any] = {"method": "DOP853", "rtol": 1e-12, "atol": 1e-14}
"""``atol`` is in units in which the data have a standard deviation of one."""
COARSE = SOLVER | {"rtol": 1e-8, "atol": 1e-11}
"""Right to a millionth, at a third of the cost."""


@dataclass(frozen=True)
class LinearLadder(Record):
    r"""Every rung of the linear Gaussian case, data units, no Monte Carlo.

    Args:
        w2: The true distance.
        coupling: Root-mean-square distance of the synchronous coupling.
        matrix: Propagated along the full matrix :math:`\Phi`.
        integral: Theorem 1: the integral form.
        cauchy_schwarz: Corollary 1 with the weight that was given.
        projected: Integral form with the error projected on gradient fields (W2 only).
        offset: The start's share of ``integral``, I(T) W2(p_T, q_T).
        log_growth: log I(T).
        weight_integral: :math:`K_\lambda = \int k^2 I^2 / \lambda`.
        score_matching: :math:`J_{SM}(\lambda) = \frac12 \int \lambda b`.
        mean: Mean of the sampler's law at the stop, (d,).
        covariance: Its covariance, (d, d).
    """

    w2: float
    coupling: float
    matrix: float
    integral: float
    cauchy_schwarz: float
    projected: float
    offset: float
    log_growth: float
    weight_integral: float
    score_matching: float
    mean: Array
    covariance: Array


@dataclass(frozen=True)
class LinearGaussian:
    """Gaussian data, a score that is linear in x, a start, and a noise level.

    Args:
        process: The forward process.
        mean: Mean of the data (d,).
        covariance: Covariance of the data (d, d), positive definite unless ``stop`` is positive.
        slope: ``A(t)`` (d, d) of the model score ``-A x + c``.
        intercept: ``c(t)`` (d,).
        start_mean: Mean of the law the sampler starts from.
        start_covariance: Its covariance.
        eta: Noise level; 1 is the reverse SDE, 0 the probability flow.
        stop: Early stopping time.
        begin: The sampler's first time; None is the horizon.
    """

    process: Process
    mean: Array
    covariance: Array
    slope: Callable[[float], Array]
    intercept: Callable[[float], Array]
    start_mean: Array
    start_covariance: Array
    eta: float = 1.0
    stop: float = 0.0
    begin: float | None = None
    _eye: Array = field(init=False, repr=False)
    _rates: Callable[[float], tuple[float, float, float, float]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        require(self.eta >= 0, "eta must be non-negative", got=self.eta)
        object.__setattr__(self, "_eye", np.eye(len(self.mean)))
        # one evaluation of a rate asks for these several times at one t
        object.__setattr__(self, "slope", lru_cache(4)(self.slope))
        object.__setattr__(self, "_rates", lru_cache(4)(self._coefficients))

    @property
    def top(self) -> float:
        """The sampler's first time."""
        return self.process.horizon if self.begin is None else self.begin

    def ladder(
        self,
        weight: Callable[[float, float], float] | None = None,
        *,
        solver: dict[str, Any] = SOLVER,
    ) -> LinearLadder:
        r"""All rungs.

        Args:
            weight: The weight :math:`\lambda(t, \log I)` of the Cauchy-Schwarz form; None is the
                likelihood weight :math:`g^2`.
            solver: Settings of the integrations.
        """
        m_q, V_q, C = self._backwards(solver)
        m_p, V_p = self._marginal(self.stop)
        forwards = self._forwards(weight or (lambda t, _: self._g2(t)), solver)
        start = self._start()
        growth = float(np.exp(forwards["log_growth"]))
        offset = growth * start[0]
        difference = V_p + V_q - C - C.T
        gap = m_p - m_q
        carried = float(np.sqrt(_second_moment(forwards["flow"], *start[1:])))
        pair = forwards["K"], forwards["J"]
        return LinearLadder(
            w2=w2_gaussian(*(torch.from_numpy(a) for a in (m_p, V_p, m_q, V_q))),
            coupling=float(np.sqrt(max(gap @ gap + np.trace(difference), 0.0))),
            matrix=forwards["matrix"] + carried,
            integral=forwards["integral"] + offset,
            cauchy_schwarz=float(np.sqrt(2 * pair[0] * pair[1])) + offset,
            projected=forwards["projected"] + offset,
            offset=offset,
            log_growth=forwards["log_growth"],
            weight_integral=pair[0],
            score_matching=pair[1],
            mean=m_q,
            covariance=V_q,
        )

    # The law on the way -------------------------------------------------------------------------

    def _f(self, t: float) -> float:
        return self._rates(t)[0]

    def _g2(self, t: float) -> float:
        return self._rates(t)[1]

    def _coefficients(self, t: float) -> tuple[float, float, float, float]:
        """f, g^2, alpha and sigma^2."""
        p, time = self.process, torch.tensor([t], dtype=torch.float64)
        return float(p.f(time)), float(p.g2(time)), float(p.alpha(time)), float(p.variance(time))

    def _k(self, t: float) -> float:
        return (1 + self.eta**2) / 2 * self._g2(t)

    def _marginal(self, t: float) -> tuple[Array, Array]:
        _, _, alpha, variance = self._rates(t)
        return alpha * self.mean, alpha**2 * self.covariance + variance * self._eye

    def error(self, t: float) -> tuple[Array, Array]:
        r"""The score error :math:`e = R (x - m_t) + v` under :math:`p_t`: ``(R, v)``."""
        mean, covariance = self._marginal(t)
        slope = self.slope(t)
        return np.linalg.inv(covariance) - slope, self.intercept(t) - slope @ mean

    def growth_rate(self, t: float) -> float:
        """The rate of log I: the drift's one-sided constant plus k times the score's."""
        slope = self.slope(t)
        return self._f(t) + self._k(t) * float(np.linalg.eigvalsh(-(slope + slope.T) / 2)[-1])

    def _start(self) -> tuple[float, Array, Array]:
        """W2(p_T, q_T), and the mean and covariance of X_T - Y_T under the optimal coupling."""
        m, V = self._marginal(self.top)
        m_q, V_q = self.start_mean, self.start_covariance
        w2 = w2_gaussian(*(torch.from_numpy(a) for a in (m, V, m_q, V_q)))
        cross = self._cross(V)
        return w2, m - m_q, V + V_q - cross - cross.T

    def _cross(self, V: Array) -> Array:
        r"""E (X - EX)(Y - EY)^T of the optimal coupling.

        .. math:: V^{1/2} (V^{1/2} Q V^{1/2})^{1/2} V^{-1/2}
        """
        root = np.real(sqrtm(V))
        middle = np.real(sqrtm(root @ self.start_covariance @ root))
        return np.asarray(root @ middle @ np.linalg.inv(root))

    @property
    def _unit(self) -> float:
        """The standard deviation of a coordinate of the data, on average."""
        return float(np.sqrt(np.trace(self._marginal(self.stop)[1]) / len(self.mean)))

    # The two integrations -----------------------------------------------------------------------

    def _backwards(self, solver: dict[str, Any]) -> tuple[Array, Array, Array]:
        """Mean and covariance of the model at ``stop``, and the coupling's cross covariance."""
        d, eye = len(self.mean), self._eye

        def rhs(tau: float, state: Array) -> Array:
            t = self.top - tau
            m, V, C = _unpack(state, d)
            k, noise = self._k(t), self.eta**2 * self._g2(t) * eye
            B = self._f(t) * eye - k * self.slope(t)
            truth = self._f(t) * eye - k * np.linalg.inv(self._marginal(t)[1])
            return np.concatenate([
                B @ m + k * self.intercept(t),
                (B @ V + V @ B.T + noise).ravel(),
                (truth @ C + C @ B.T + noise).ravel(),
            ])  # fmt: skip

        V_T = self._marginal(self.top)[1]
        first = np.concatenate(
            [self.start_mean, self.start_covariance.ravel(), self._cross(V_T).ravel()]
        )
        span, unit = (0.0, self.top - self.stop), self._unit
        units = np.repeat([unit, unit**2], [d, 2 * d * d])
        return _unpack(_end(rhs, span, first, units, solver), d)

    def _forwards(
        self, weight: Callable[[float, float], float], solver: dict[str, Any]
    ) -> dict[str, Any]:
        """Growth, flow and the integrals of the bounds, from ``stop`` to the horizon."""
        d = len(self.mean)

        def rhs(t: float, state: Array) -> Array:
            log_growth, flow = state[0], state[1 : 1 + d * d].reshape(d, d)
            k, (R, v), V = self._k(t), self.error(t), self._marginal(t)[1]
            growth = np.exp(log_growth)
            b = v @ v + np.trace(R @ V @ R.T)
            gradient = solve_sylvester(V, V, R @ V + V @ R.T)
            b_gradient = v @ v + np.trace(gradient @ V @ gradient)
            lam = weight(t, float(log_growth))
            B = self._f(t) * self._eye - k * self.slope(t)
            rates = [k * growth * np.sqrt(b),
                     k * growth * np.sqrt(b_gradient),
                     k * np.sqrt(_second_moment(flow, v, R @ V @ R.T)),
                     k**2 * growth**2 / lam if k > 0 else 0.0,
                     lam * b / 2]  # fmt: skip
            return np.concatenate([[self.growth_rate(t)], (flow @ B).ravel(), rates])

        first = np.concatenate([[0.0], self._eye.ravel(), np.zeros(5)])
        unit = self._unit
        units = np.concatenate([np.ones(1 + d * d), np.full(3, unit), [unit**2, 1]])
        end = _end(rhs, (self.stop, self.top), first, units, solver)
        names = ("integral", "projected", "matrix", "K", "J")
        found: dict[str, Any] = dict(zip(names, (float(v) for v in end[1 + d * d :]), strict=True))
        return found | {"log_growth": float(end[0]), "flow": end[1 : 1 + d * d].reshape(d, d)}


def _end(
    rates: Callable[[float, Array], Array], span: tuple[float, float], first: Array, units: Array,
    solver: dict[str, Any],
) -> Array:  # fmt: skip
    """Where an integration ends, each number with the absolute tolerance of its own units."""
    settings = solver | {"atol": solver["atol"] * units}
    end: Array = solve_ivp(rates, span, first, **settings).y[:, -1]
    return end


def _unpack(state: Array, d: int) -> tuple[Array, Array, Array]:
    m, V, C = np.split(state, [d, d + d * d])
    return m, V.reshape(d, d), C.reshape(d, d)


def _second_moment(flow: Array, mean: Array, covariance: Array) -> float:
    r"""E |Phi z|^2 for z with this mean and covariance."""
    carried = flow @ mean
    return float(max(carried @ carried + np.trace(flow @ covariance @ flow.T), 0.0))
