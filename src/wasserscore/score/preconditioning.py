r"""What a network sees and predicts, in the natural clock of any process.

With :math:`\hat x = x / \alpha_t = x_0 + r z` and :math:`r = \sigma_t / \alpha_t`, the network
``F`` gives the denoiser and the denoiser gives the score (Tweedie):

.. math:: D(x, t) = c_{skip}\, \hat x + c_{out}\, F(c_{in}\, x, c_{noise}), \qquad
          s(x, t) = \frac{\alpha_t D(x, t) - x}{\sigma_t^2}.

What ``F`` predicts fixes :math:`c_{skip}, c_{out}`; with preconditioning ``"edm"`` (``s`` is the
standard deviation of the data) it sees :math:`\hat x / \sqrt{r^2 + s^2}` and
:math:`\ln(r) / 4`, with ``"none"`` it sees ``x`` and ``t`` as they are:

* ``"velocity"``, :math:`F = (s z - r x_0 / s) / \sqrt{r^2 + s^2}`:
  :math:`c_{skip} = s^2 / (r^2 + s^2)`, :math:`c_{out} = -r s / \sqrt{r^2 + s^2}`, with s = 1 for
  ``"none"``;
* ``"noise"``, :math:`F = z`: :math:`c_{skip} = 1, c_{out} = -r`;
* ``"data"``: :math:`c_{skip} = 0`, and :math:`c_{out} = s` where :math:`F = x_0 / s` (``"edm"``),
  :math:`c_{out} = 1` where :math:`F = x_0` (``"none"``);
* ``"score"``: :math:`c_{skip} = 1`, and :math:`c_{out} = r` where F is :math:`\sigma_t` times the
  score (``"edm"``), :math:`c_{out} = \alpha_t r^2` where F is the score itself (``"none"``).

Source: :cite:`karras2022` Table 1 and eq. (7), whose F is minus our velocity; the velocity is
that of Salimans and Ho (2022) Appendix D, in the natural clock.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

PRECONDITIONINGS = ("edm", "none")


class Preconditioner(NamedTuple):
    r"""Coefficients of :math:`D = skip\,\hat x + out\,F(scale\_in\,x, noise)`, ``(b,)`` each."""

    skip: Tensor
    out: Tensor
    scale_in: Tensor
    noise: Tensor


def _velocity(r: Tensor, alpha: Tensor, s: float, edm: bool) -> tuple[Tensor, Tensor]:
    total = r * r + s * s
    return s * s / total, -r * s / total.sqrt()


def _noise(r: Tensor, alpha: Tensor, s: float, edm: bool) -> tuple[Tensor, Tensor]:
    return torch.ones_like(r), -r


def _data(r: Tensor, alpha: Tensor, s: float, edm: bool) -> tuple[Tensor, Tensor]:
    return torch.zeros_like(r), torch.full_like(r, s)


def _score(r: Tensor, alpha: Tensor, s: float, edm: bool) -> tuple[Tensor, Tensor]:
    return torch.ones_like(r), r if edm else alpha * r * r


_OUTPUT: dict[str, Callable[[Tensor, Tensor, float, bool], tuple[Tensor, Tensor]]] = {
    "velocity": _velocity,
    "noise": _noise,
    "data": _data,
    "score": _score,
}
PREDICTIONS = tuple(_OUTPUT)


def coefficients(
    prediction: str, preconditioning: str, data_std: float, t: Tensor, alpha: Tensor, r: Tensor
) -> Preconditioner:
    """The coefficients at time ``t``, float64.

    Args:
        prediction: One of ``PREDICTIONS``.
        preconditioning: One of ``PRECONDITIONINGS``.
        data_std: Root mean square of the data's entries; used by ``"edm"``.
        t: Times ``(b,)``.
        alpha: Of these, the scale of the data.
        r: Of these, noise to signal.
    """
    edm = preconditioning == "edm"
    s = data_std if edm else 1.0
    skip, out = _OUTPUT[prediction](r, alpha, s, edm)
    if edm:
        return Preconditioner(skip, out, 1 / (alpha * (r * r + s * s).sqrt()), r.log() / 4)
    return Preconditioner(skip, out, torch.ones_like(r), t)
