r"""What the convergence theorem becomes for small steps, and its probability-flow companion.

With the weight :math:`w = e^{H - \Lambda}`, how much an error made at time t is worth at the end,

.. math::
    I_1 = \int_0^T g\,(f + g^2 L)\,w, \quad I_2 = \int_0^T g^2 w, \quad
    I_3 = \int_0^T (c_2 f + c_1 (f + g^2 L))(f + g^2 L)\,w

.. math::
    E_1 \to \sqrt{\eta d}\,I_1 + \eta\,[M_1 (1 + c + c_2) I_2 + I_3], \qquad E_2 \to M I_2 .

For a log-concave law I2 is known: log(1 + m0 S_T)/m0 under VE (it grows with the horizon), and
bounded under VP, which forgets score errors.

Source: :cite:p:`gao2025`, section 3; the limits and closed forms are our derivation.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.certificate.concavity import LogConcave
from wasserscore.certificate.convergence import DataLaw, Path
from wasserscore.core.errors import AssumptionError, explain
from wasserscore.core.results import Record
from wasserscore.process import OU, Process
from wasserscore.process.quadrature import Function, Panels


@dataclass(frozen=True)
class Limits(Record):
    """Coefficients of the theorem's leading order; ``bound`` puts them together.

    Args:
        start: E0.
        root: Coefficient of eta^(1/2), sqrt(d) I1 for the reverse SDE, 0 for the flow.
        linear: Coefficient of eta.
        linear_time: The part of ``linear`` that M1 alone causes; often the loose one.
        score_gain: What one unit of score error M adds, I2.
    """

    start: float
    root: float
    linear: float
    linear_time: float
    score_gain: float

    def bound(self, step: float, score_error: float = 0.0) -> float:
        """E0 + E1 + E2 to leading order in the step."""
        return (
            self.start
            + self.root * math.sqrt(step)
            + self.linear * step
            + self.score_gain * score_error
        )


def sde_limits(process: Process, law: DataLaw) -> Limits:
    """Leading order of the theorem for scheme (2.7)."""
    path, t, panels = _panels(process, law)
    c1, c2 = path.c1(t), path.c2(t)

    def speed(u: Tensor) -> Tensor:
        return process.f(u) + process.g2(u) * path.smoothness(u)

    def weight(u: Tensor) -> Tensor:
        return torch.exp(path.log_weight(u))

    def third(u: Tensor) -> Tensor:
        return (c2 * process.f(u) + c1 * speed(u)) * speed(u) * weight(u)

    i1 = _integral(panels, lambda u: process.g2(u).sqrt() * speed(u) * weight(u))
    i2 = _integral(panels, lambda u: process.g2(u) * weight(u))
    time = law.time_lipschitz * (1 + max(law.rms, c1) + c2) * i2
    return Limits(
        start=path.start(),
        root=math.sqrt(law.dim) * i1,
        linear=time + _integral(panels, third),
        linear_time=time,
        score_gain=i2,
    )


def flow_limits(process: Process, law: DataLaw) -> Limits:
    r"""Leading order for the probability flow with the exponential integrator: order one.

    .. math:: E_0 = \|x_0\|\,e^{-\Lambda(S_T)/2}, \qquad w_o = e^{H - \Lambda/2}, \qquad
              E_2 = \tfrac{M}{2} \int g^2 w_o

    .. math:: E_1 = \eta \int w_o \Bigl\{ \tfrac{M_1}{2} (1 + c + c_2) g^2 + \tfrac{g^2 L}{2}
              \bigl[ c_1 (f + \tfrac{g^2 L}{2}) + c_2 f + \tfrac{g^2}{2} \sqrt{d L} \bigr] \Bigr\}

    The flow does not forget score errors: E2 grows with the horizon.

    Source: our derivation by the synchronous coupling; leading order only, no step condition.

    Raises:
        AssumptionError: If the law is not log-concave: the derivation needs it.
    """
    _log_concave(law)
    path, t, panels = _panels(process, law)
    half = Path(process, law, share=0.5)
    c1, c2 = half.c1(t), path.c2(t)
    outer = 1 + max(law.rms, c1) + c2

    def weight(u: Tensor) -> Tensor:
        return torch.exp(half.log_weight(u))

    def local(u: Tensor) -> Tensor:
        f, g2, smooth = process.f(u), process.g2(u), path.smoothness(u)
        pull = c1 * (f + g2 * smooth / 2) + c2 * f + g2 / 2 * (law.dim * smooth).sqrt()
        return g2 * smooth / 2 * pull * weight(u)

    gain = _integral(panels, lambda u: process.g2(u) * weight(u)) / 2
    time = law.time_lipschitz * outer * gain
    return Limits(
        start=half.start(),
        root=0.0,
        linear=time + _integral(panels, local),
        linear_time=time,
        score_gain=gain,
    )


def ou_bound(process: OU, law: DataLaw, steps: int, mode_norm: float = 0.0) -> float:
    r"""The explicit bound for the Ornstein-Uhlenbeck process.

    .. math:: W_2 \le \frac{A}{1 + m_0 \sigma^2 (e^{2\alpha T} - 1)/(2\alpha)}
        + \frac{2}{\alpha} M_1 \eta \Bigl(1 + 2A + \sigma\sqrt{\tfrac{d}{2\alpha}}\Bigr) \sigma^2
        + \frac{2}{\alpha} \bigl(M \sigma^2 + \sqrt\eta\,C (3\alpha + \sigma^2 L_0)\bigr)

    with :math:`A = \sqrt{2d/m_0} + \|x^*\|` and
    :math:`C = A(4\alpha + \sigma^2 L_0) + \alpha\sqrt{d\sigma^2/(2\alpha)} + \sigma\sqrt d`.

    Assumes: log-concave data, :math:`m_0 > \alpha/\sigma^2` (the paper asks twice that), and
    :math:`\eta \le \alpha / (2\alpha^2 + 2(2\alpha + \sigma^2 L_0)^2 + 2 M_1 \sigma^2)`, which
    includes the M1 that the paper's condition leaves out.
    Source: :cite:p:`gao2025`, Corollary 21.

    Args:
        process: The process.
        law: The data law; its ``rms`` is not used.
        steps: K.
        mode_norm: ``|x*|``, distance of the density's mode from the origin.

    Raises:
        AssumptionError: If one of the conditions fails.
    """
    shape = _log_concave(law)
    al, sg2, m0, big = process.rate, process.diffusion**2, shape.m0, shape.L0
    eta, m1 = process.horizon / steps, law.time_lipschitz
    limit = min(1.0, al / (2 * al**2 + 2 * (2 * al + sg2 * big) ** 2 + 2 * m1 * sg2))
    if not m0 > al / sg2:
        raise AssumptionError(explain("Corollary 21 needs m0 > alpha / sigma^2", got=m0))
    if eta > limit:
        raise AssumptionError(
            explain(f"Corollary 21 needs a step of at most {limit:.3g}", got=eta)
        )
    d = law.dim
    size = math.sqrt(2 * d / m0) + mode_norm
    spread = math.sqrt(d * sg2 / (2 * al))
    c = size * (4 * al + sg2 * big) + al * spread + math.sqrt(sg2 * d)
    ratio = sg2 * math.expm1(2 * al * process.horizon) / (2 * al)
    return (
        size / (1 + m0 * ratio)
        + 2 / al * m1 * eta * (1 + 2 * size + spread) * sg2
        + 2 / al * (law.score_error * sg2 + math.sqrt(eta) * c * (3 * al + sg2 * big))
    )


def _log_concave(law: DataLaw) -> LogConcave:
    if not isinstance(law.concavity, LogConcave):
        raise AssumptionError(explain("this bound needs a log-concave law", got=law.concavity))
    return law.concavity


def _panels(process: Process, law: DataLaw) -> tuple[Path, Tensor, Panels]:
    """The path, a dense grid for suprema, and panels that integrate its coefficients."""
    path = Path(process, law)
    t = process.horizon * torch.linspace(0, 1, 4001, dtype=torch.float64) ** 2

    def speed(u: Tensor) -> Tensor:
        return (process.f(u) + process.g2(u) * path.smoothness(u)) * torch.exp(path.log_weight(u))

    return path, t, Panels.fit([speed], process.horizon, tolerance=1e-12)


def _integral(panels: Panels, function: Function) -> float:
    low = torch.zeros((), dtype=torch.float64)
    return float(panels.between(function, low, panels.edges[-1]))
