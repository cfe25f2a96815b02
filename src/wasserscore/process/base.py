r"""What every forward process knows about itself.

The forward process is :math:`dx = -f(t)\,x\,dt + g(t)\,dB`, so that
:math:`x_t \mid x_0 \sim N(\alpha_t x_0, \sigma_t^2 I)` with

.. math::
    H(t) = \int_0^t f, \quad G(t) = \int_0^t g^2, \quad \alpha_t = e^{-H(t)}, \quad
    S(t) = \int_0^t e^{2H} g^2, \quad \sigma_t^2 = \alpha_t^2 S(t).

Everything else in the package is written in these few functions; a new family supplies them in
closed form, and one contract suite compares them with quadrature.

Source: :cite:p:`gao2025`, eqs. (1.1), (1.2).
"""

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.integers import as_shape
from wasserscore.core.numbers import as_times, require_forward
from wasserscore.core.random import normal_like
from wasserscore.core.results import plain
from wasserscore.core.tensors import as_tensor, expand_like
from wasserscore.core.typing import Points
from wasserscore.process.keywords import Named
from wasserscore.process.prior import Prior

Time = float | int | Tensor
"""Forward time: a number, or a tensor of any shape. ``t = 0`` is data."""
LONG = 8
"""Lists of more are spelled by their ends."""
DEFAULT_NOISE_TO_SIGNAL = 1e4
"""S at the default horizon: the data's standard deviation is then 1 % of the noise's."""


def as_time(t: Any, name: str = "t") -> Tensor:
    """``t`` as a floating tensor; numbers, arrays, lists and integers become float64.

    Raises:
        InputError: If these are no numbers, or as :func:`require_forward` says.
    """
    if isinstance(t, Tensor):
        time = t if t.is_floating_point() else t.to(torch.float64)
    else:
        try:
            time = torch.as_tensor(t, dtype=torch.float64)
        except (TypeError, ValueError, RuntimeError):
            raise InputError(explain(f"{name} must be a number", got=repr(t))) from None
    # A number tells in a tenth of the time; a union of types cannot be compiled by PyTorch 2.8.
    if not (isinstance(t, (float, int)) and t >= 0):
        require_forward(time, name)
    return time


class Process(Named, ABC):
    """A forward noising process with known marginals; members are frozen and keyword-only.

    Every function of a time refuses what is no number, negative or NaN (the latter two where
    :func:`~wasserscore.core.numbers.require_forward` looks). Times beyond the horizon are fine
    where the formula goes on.

    Attributes:
        horizon: The final forward time, positive.
    """

    horizon: float

    @abstractmethod
    def f(self, t: Time) -> Tensor:
        """Rate at which the signal shrinks, per unit of time."""

    @abstractmethod
    def g2(self, t: Time) -> Tensor:
        """Squared diffusion, in squared data units per unit of time."""

    @abstractmethod
    def integrated_f(self, t: Time) -> Tensor:
        r""":math:`H(t) = \int_0^t f`."""

    @abstractmethod
    def integrated_g2(self, t: Time) -> Tensor:
        r""":math:`G(t) = \int_0^t g^2`."""

    @abstractmethod
    def variance(self, t: Time) -> Tensor:
        r"""Noise variance :math:`\sigma_t^2 = \int_0^t e^{-2(H(t)-H(u))} g^2(u)\,du`."""

    @abstractmethod
    def noise_to_signal(self, t: Time) -> Tensor:
        r"""Variance ratio :math:`S(t) = \sigma_t^2 / \alpha_t^2`, the natural clock."""

    @abstractmethod
    def time_at(self, noise_to_signal: Time) -> Tensor:
        """The time at which the variance ratio has this value: the inverse of S."""

    @abstractmethod
    def exponential_weight(self, t: Time, s: Time) -> Tensor:
        r"""Score weight of an exponential integrator from ``t`` down to ``s``.

        .. math:: E = \int_s^t e^{H(u) - H(s)} g^2(u)\,du
        """

    @abstractmethod
    def describe(self) -> str:
        """The equation, the marginals and where the process comes from."""

    def alpha(self, t: Time) -> Tensor:
        r"""Signal factor :math:`\alpha_t = e^{-H(t)}`."""
        return torch.exp(-self.integrated_f(t))

    def sigma(self, t: Time) -> Tensor:
        """Noise standard deviation, in data units."""
        return self.variance(t).sqrt()

    def prior(self, shape: tuple[int, ...]) -> Prior:
        """The law sampling starts from, for points of ``shape``."""
        return Prior(std=float(self.sigma(self.horizon)), shape=as_shape(shape))

    def perturb(self, x0: Points, t: Time, *, generator: torch.Generator) -> tuple[Points, Points]:
        """Draw ``x_t = alpha_t x0 + sigma_t z`` and return it with its noise ``z``.

        Args:
            x0: Clean points, ``(b, *shape)``.
            t: One time, or one per point.
            generator: Where the noise comes from.

        Raises:
            InputError: If the points or the times are no numbers, or the times no forward ones.
        """
        x0 = as_tensor(x0)
        t = as_times(t, len(x0), x0.device)
        z = normal_like(x0, generator)
        return expand_like(self.alpha(t), x0) * x0 + expand_like(self.sigma(t), x0) * z, z

    @property
    def least_time(self) -> float:
        """The first time after 0 at which noise was ever seen: 0, or the first step of a chain."""
        return 0.0

    @property
    def family(self) -> str:
        """The call that makes it, for example ``"VP.linear"``."""
        return type(self).__name__

    @property
    def parameters(self) -> dict[str, Any]:
        """The keywords of that call."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.init}  # type: ignore[arg-type]

    @property
    def name(self) -> str:
        """The family's name, for tables and figures."""
        return self.family

    def to_dict(self) -> dict[str, Any]:
        """The call as JSON types; :func:`wasserscore.process.from_dict` makes it again."""
        call: dict[str, Any] = plain({"family": self.family, **self.parameters})
        return call

    def call(self, digits: int | None = None) -> str:
        """The call that makes it, in full or with so many digits; of long lists the ends."""

        def spelled(value: object) -> str:
            value = value.item() if isinstance(value, np.generic) else value
            if isinstance(value, list) and len(value) > LONG:
                return f"[{spelled(value[0])}, {spelled(value[1])}, ..., {spelled(value[-1])}]"
            if isinstance(value, float) and digits is not None:
                return f"{value:.{digits}g}"
            return repr(value)

        given = ", ".join(f"{name}={spelled(v)}" for name, v in self.parameters.items())
        return f"{self.family}({given})"

    def __repr__(self) -> str:
        return self.call()


def require_process(process: Any) -> None:
    """Refuse what is no process of ours: its name, or its class.

    Raises:
        InputError: Says what came.
    """
    require(isinstance(process, Process), "the process must be one of wasserscore's",
            got=repr(process), do="pass an object, such as ws.EDM()")  # fmt: skip
