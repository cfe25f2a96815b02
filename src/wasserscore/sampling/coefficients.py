r"""Solvers that evaluate the score once per step: :math:`x_s = e\,x_t + q\,s(x_t,t) + \sqrt n\,z`.

They differ only in the three numbers, so they are three numbers: the planner and the Gaussian
theory read them without running anything. ``t`` and ``s`` may be numbers or tensors of times (the
steps of a grid at once); the results are float64. The general law with stochasticity ``eta``, of
which all are discretisations, is in :mod:`wasserscore.sampling.law`.
"""

from torch import Tensor

from wasserscore.dynamics import Coefficients
from wasserscore.process import Process

Time = float | Tensor


def _weight(eta: float) -> float:
    """The score's share in the drift: 1 for the reverse SDE, 1/2 for the probability flow."""
    return (1 + eta**2) / 2


def integrated_euler(process: Process, t: Time, s: Time, eta: float) -> Coefficients:
    r"""Euler's scheme with the coefficients integrated exactly over the step.

    .. math:: e = 1 + F,\quad q = \tfrac{1+\eta^2}{2} G,\quad n = \eta^2 G,\qquad
              F = \int_s^t f,\quad G = \int_s^t g^2

    Only F and G enter, so it is invariant under a change of time.
    Source: :cite:p:`gao2025`, eq. (2.7), is ``eta = 1``; ``eta = 0`` is Euler's method for the
    probability flow in the same form.
    """
    stretch = process.integrated_f(t) - process.integrated_f(s)
    spread = process.integrated_g2(t) - process.integrated_g2(s)
    return Coefficients(1 + stretch, _weight(eta) * spread, eta**2 * spread)


def euler_maruyama(process: Process, t: Time, s: Time, eta: float) -> Coefficients:
    r"""Euler-Maruyama: the coefficients frozen at the start of the step.

    .. math:: e = 1 + h f(t),\quad q = \tfrac{1+\eta^2}{2} h g^2(t),\quad n = \eta^2 h g^2(t)

    With ``eta = 0`` it is Euler's method for the probability flow, and under EDM (f = 0,
    g^2 = 2t) the Euler method of :cite:p:`karras2022`. Source: :cite:p:`song2021`, appendix D.
    """
    g2 = process.g2(t)
    h = g2.new_tensor(0.0) + t - s
    return Coefficients(1 + h * process.f(t), _weight(eta) * h * g2, eta**2 * h * g2)


def exponential(process: Process, t: Time, s: Time, eta: float) -> Coefficients:
    r"""Exponential integrator: the linear part exact, the score frozen.

    .. math:: e = e^F,\quad q = \tfrac{1+\eta^2}{2} \int_s^t e^{H(u) - H(s)} g^2(u)\,du,\quad
              n = \eta^2 \alpha_s^2 (S_t - S_s)

    Source: the semilinear form of the law, solved with the score constant; the probability flow
    of Zhang, Chen, Fast Sampling of Diffusion Models with Exponential Integrator (2023), eq. (8).
    """
    stretch = process.integrated_f(t) - process.integrated_f(s)
    gap = process.noise_to_signal(t) - process.noise_to_signal(s)
    return Coefficients(stretch.exp(), _weight(eta) * process.exponential_weight(t, s),
                        eta**2 * process.alpha(s) ** 2 * gap)  # fmt: skip


def ddim(process: Process, t: Time, s: Time, eta: float) -> Coefficients:
    r"""DDIM: keep the predicted noise, replace a part of it by fresh noise.

    .. math::
        x_s = \alpha_s \hat x_0 + \sqrt{\sigma_s^2 - n}\,\hat z + \sqrt n\,z,\qquad
        n = \eta^2 \sigma_s^2 (1 - S_s / S_t)

    with :math:`\hat x_0 = (x_t + \sigma_t^2 s)/\alpha_t` and :math:`\hat z = -\sigma_t s`. With
    ``eta = 1`` it is ancestral sampling with the variance of :math:`q(x_s | x_t, x_0)`.
    Source: :cite:p:`song2021ddim`, eqs. (12), (16); :cite:p:`ho2020`, eq. (7).
    """
    ratio = process.noise_to_signal(s) / process.noise_to_signal(t)
    alpha_s, renewed = process.alpha(s), eta**2 * (1 - ratio)
    e = alpha_s / process.alpha(t)
    kept = (ratio * (1 - renewed)).sqrt()
    return Coefficients(e, e * process.variance(t) * (1 - kept), process.variance(s) * renewed)


def dpmpp_1s(process: Process, t: Time, s: Time, eta: float) -> Coefficients:
    r"""DPM-Solver++ of first order: the linear part exact, the predicted data frozen.

    .. math:: e = \frac{\alpha_s}{\alpha_t},\quad
              q = \frac{\alpha_s}{\alpha_t} \sigma_t^2 (1 - \rho^{1 + \eta^2}),\quad
              n = \sigma_s^2 (1 - \rho^{2 \eta^2}),\qquad \rho = \sqrt{S_s / S_t}

    DDIM at ``eta`` 0 and 1, another scheme between. Source: :cite:p:`lu2022`, eqs. (9), (18).
    """
    ratio = process.noise_to_signal(s) / process.noise_to_signal(t)
    e = process.alpha(s) / process.alpha(t)
    renewed = 1 - ratio ** (eta**2) if eta else 0 * ratio
    return Coefficients(e, e * process.variance(t) * (1 - ratio ** _weight(eta)),
                        process.variance(s) * renewed)  # fmt: skip


def dpm_1s(process: Process, t: Time, s: Time, eta: float) -> Coefficients:
    r"""DPM-Solver of first order: the linear part exact, the predicted noise frozen.

    .. math:: e = \frac{\alpha_s}{\alpha_t},\quad
              q = (1 + \eta^2)\,\alpha_s \sigma_t (\sqrt{S_t} - \sqrt{S_s}),\quad
              n = \eta^2 \alpha_s^2 (S_t - S_s)

    DDIM at ``eta = 0``. At ``eta = 1`` its errors in the variance have opposite signs at noise
    above and below the data's, and on Gaussian data they cancel to first order where the steps
    are equal in :math:`\log r`; below about sixteen evaluations it overshoots.
    Source: :cite:p:`lu2022`, SDE-DPM-Solver-1.
    """
    before, after = process.noise_to_signal(t), process.noise_to_signal(s)
    alpha_s = process.alpha(s)
    frozen = alpha_s * process.sigma(t) * (before.sqrt() - after.sqrt())
    return Coefficients(alpha_s / process.alpha(t), 2 * _weight(eta) * frozen,
                        eta**2 * alpha_s**2 * (before - after))  # fmt: skip
