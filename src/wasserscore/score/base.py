r"""Scores that are known in closed form: one clock, one contract.

Every forward process of ours is linear and isotropic, :math:`x_t = \alpha_t x_0 + \sigma_t z`, so

.. math:: y = x_t / \alpha_t = x_0 + \sqrt{\tau} z, \qquad \tau = \sigma_t^2 / \alpha_t^2

is the data law smoothed by :math:`N(0, \tau I)`, and in the clock :math:`\tau` it is a Brownian
motion. A law therefore writes its formulas once, in :math:`(y, \tau)` (the *natural* clock); this
class carries them to any process by

.. math:: \log p_t(x) = \log p_\tau(y) - d \log \alpha_t, \qquad
          \nabla \log p_t(x) = \nabla \log p_\tau(y) / \alpha_t,

and to steps of any size: given its mixture component :math:`N(m, C)`, :math:`y` at the smaller
:math:`\tau_s` given :math:`y` at :math:`\tau_t` is the Gaussian bridge

.. math:: N\bigl(m + A (y - m),\ (\tau_t - \tau_s) A\bigr), \qquad
          A = (C + \tau_s I)(C + \tau_t I)^{-1},

one of the processes, by noise level :math:`\eta`, whose marginals are those of the component.

Source: :cite:p:`zhang2024` Prop. 4.1 (closure of mixtures); :cite:p:`song2021` (marginals).
"""

from abc import ABC, abstractmethod
from dataclasses import fields, replace
from math import prod
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.modes import require_digits
from wasserscore.core.numbers import as_times
from wasserscore.core.tensors import as_tensor, expand_like
from wasserscore.core.typing import Cloud, Matrix, PerPoint, Points, Times, Vector
from wasserscore.data import Scaling
from wasserscore.process import from_dict as process_from_dict
from wasserscore.process.base import Process, require_process

Law = TypeVar("Law", bound="ClosedFormScore")
Tau = Float[Tensor, ""] | Float[Tensor, " b"]
"""Variance of the natural clock, float64: one number, or one per point."""


class ClosedFormScore(ABC):
    """A law that is a mixture of Gaussians (one, a few, or one per data point), noised.

    A subclass is a frozen dataclass (``eq=False``) with the fields ``process``, ``shape`` and
    ``scaling`` beside its own, and writes the eight members below that start with an underscore
    or are abstract. All of them see flat points ``(b, d)`` in the natural clock, and return the
    dtype of the points.

    Attributes:
        process: The forward process.
        shape: The shape of one point; ``d`` is its product.
        scaling: How the points came from data units; None where they are in data units. Every
            method here takes and gives scaled points; ``sample`` undoes the scaling.
    """

    process: Process
    shape: tuple[int, ...]
    scaling: Scaling | None

    def __post_init__(self) -> None:
        require_process(self.process)

    def __repr__(self) -> str:
        known = f"{self.components:,} component" + "s" * (self.components != 1)
        points = f"{known}, points {self.shape}, {self.process.call(4)}"
        return f"{type(self).__name__}({points})"

    # The contract of a subclass -----------------------------------------------------------------

    @property
    @abstractmethod
    def components(self) -> int:
        """Number of mixture components."""

    @property
    @abstractmethod
    def least_variance(self) -> float:
        """Smallest variance of any component in any direction; 0 where there is no density."""

    @abstractmethod
    def _score(self, y: Cloud, tau: Tau) -> Cloud:
        r""":math:`\nabla \log p_\tau(y)`; only asked where ``tau + least_variance > 0``."""

    @abstractmethod
    def _log_density(self, y: Cloud, tau: Tau) -> PerPoint:
        r""":math:`\log p_\tau(y)`, normalised, differentiable in ``y``."""

    @abstractmethod
    def _component(self, y: Cloud, tau: Tau, uniform: PerPoint) -> Int[Tensor, " b"]:
        """A component from its posterior given ``y``: the inverse CDF at ``uniform``."""

    @abstractmethod
    def _bridge(
        self,
        y: Cloud,
        index: Int[Tensor, " b"],
        tau: Tau,
        lower: Tau,
        noise: Cloud,
        eta: float = 1.0,
    ) -> Cloud:
        r"""Component ``index`` from ``tau`` to ``lower``: :meth:`bridge` in the natural clock."""

    @abstractmethod
    def _draw(self, n: int, generator: torch.Generator) -> Cloud:
        """``n`` points of the data law."""

    @abstractmethod
    def moments(self) -> tuple[Vector, Matrix]:
        """Mean ``(d,)`` and covariance ``(d, d)`` of the data law (scaled units)."""

    def _posterior_mean(self, y: Cloud, tau: Tau) -> Cloud:
        r""":math:`E[x_0 | y] = y + \tau \nabla \log p_\tau(y)`; override where digits matter."""
        return y + expand_like(tau, y) * self._score(y, tau)

    # What every closed-form score offers --------------------------------------------------------

    @property
    def dim(self) -> int:
        """Number of coordinates of a point."""
        return prod(self.shape)

    def __call__(self, x: Points, t: Times) -> Points:
        r"""The score :math:`\nabla \log p_t(x)`, shaped like ``x``: a tensor, or an array.

        Raises:
            InputError: At a negative time, or, for a law without a density, one without noise.
        """
        x = as_tensor(x)
        alpha, tau = self._clock(t, x)
        self._require_density(tau, t)
        score = self._score(self._flat(x) / expand_like(alpha, self._flat(x)), tau)
        return (score / expand_like(alpha, score)).reshape(x.shape).to(x.dtype)

    def log_prob(self, x: Points, t: Times = 0.0) -> PerPoint:
        r""":math:`\log p_t(x)` in nats, ``(b,)``, per scaled unit of volume.

        Raises:
            InputError: At a time without noise, for a law without a density.
        """
        x = as_tensor(x)
        alpha, tau = self._clock(t, x)
        self._require_density(tau, t)
        y = self._flat(x) / expand_like(alpha, self._flat(x))
        return (self._log_density(y, tau) - self.dim * alpha.log().to(y.dtype)).to(x.dtype)

    def denoise(self, x: Points, t: Times) -> Points:
        """The posterior mean E[x_0 | x_t = x]; ``x`` itself where there is no noise."""
        x = as_tensor(x)
        alpha, tau = self._clock(t, x)
        y = self._flat(x) / expand_like(alpha, self._flat(x))
        quiet = expand_like(tau, y) == 0
        if bool(quiet.all()):
            return y.reshape(x.shape).to(x.dtype)
        some = torch.where(tau == 0, torch.ones_like(tau), tau)
        mean = torch.where(quiet, y, self._posterior_mean(y, some))
        return mean.reshape(x.shape).to(x.dtype)

    def sample_marginal(self, n: int, t: Times = 0.0, *, generator: torch.Generator) -> Points:
        r"""``n`` independent points of :math:`p_t`, drawn as :math:`\alpha_t x_0 + \sigma_t z`."""
        x0 = self._draw(n, generator)
        z = torch.randn(x0.shape, generator=generator, dtype=x0.dtype, device=generator.device)
        alpha, tau = self._clock(t, x0)
        x_t = expand_like(alpha, x0) * (x0 + expand_like(tau.sqrt(), x0) * z.to(x0.device))
        return x_t.reshape(n, *self.shape)

    def reverse_transition(
        self, x_t: Points, t: Times, s: Times, *, noise: Points, uniform: Float[Tensor, " b"]
    ) -> Points:
        r"""A draw from :math:`p(x_s | x_t)`, exact for a step of any size, ``s = 0`` included.

        The mixture component comes from its posterior given ``x_t`` (inverse CDF at ``uniform``),
        then ``x_s`` from that component's Gaussian bridge with ``noise``. In the natural clock

        .. math:: x_s / \alpha_s = m + A (x_t / \alpha_t - m) + ((\tau_t - \tau_s) A)^{1/2} z,
                  \qquad A = (C + \tau_s I)(C + \tau_t I)^{-1}.

        A chain of such steps down any grid is the true reverse process, observed on the grid.

        Args:
            x_t: Points at time ``t``.
            t: Where the points are.
            s: Where to go, ``s <= t``.
            noise: Standard normal, shaped like ``x_t``.
            uniform: One number of [0, 1) per point.

        Raises:
            InputError: If ``s`` has more noise than ``t``.
        """
        return self.bridge(x_t, self.component(x_t, t, uniform), t, s, noise=noise)

    def component(self, x: Points, t: Times, uniform: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
        """A mixture component from its posterior given ``x_t = x``, by the inverse CDF.

        Args:
            x: Points at time ``t``.
            t: Where the points are; without noise only for a law with a density.
            uniform: One number of [0, 1) per point.
        """
        alpha, tau = self._clock(t, x)
        flat = self._flat(x)
        some = tau
        if self.least_variance == 0:  # no posterior without noise, and no use for one
            some = torch.where(tau == 0, torch.ones_like(tau), tau)
        return self._component(flat / expand_like(alpha, flat), some, uniform)

    def bridge(
        self,
        x_t: Points,
        index: Int[Tensor, " b"],
        t: Times,
        s: Times,
        *,
        noise: Points,
        eta: float = 1.0,
    ) -> Points:
        r"""Down from ``t`` to ``s`` inside a given component, at noise level ``eta``.

        In the natural clock, with :math:`A = (C + \tau_s I)(C + \tau_t I)^{-1}`,

        .. math:: y_s = m + A^{(1 + \eta^2)/2} (y_t - m)
                        + \bigl((C + \tau_s I)(I - A^{\eta^2})\bigr)^{1/2} z,

        which carries :math:`N(m, C + \tau_t I)` to :math:`N(m, C + \tau_s I)` at every
        :math:`\eta`; at :math:`\eta = 1` it is the law of :math:`y_s` given :math:`y_t`.

        Args:
            x_t: Points at time ``t``.
            index: The component of each point.
            t: Where the points are.
            s: Where to go, ``s <= t``.
            noise: Standard normal, shaped like ``x_t``.
            eta: Noise level, non-negative.

        Raises:
            InputError: If ``s`` has more noise than ``t``.
        """
        alpha, tau = self._clock(t, x_t)
        alpha_s, lower = self._clock(s, x_t)
        require(bool((lower <= tau).all()), "a reverse transition goes down in time, s <= t",
                got=f"t={t}, s={s}")  # fmt: skip
        if not bool((tau > 0).any()):
            return x_t
        y = self._flat(x_t) / expand_like(alpha, self._flat(x_t))
        some = torch.where(tau == 0, torch.ones_like(tau), tau)
        moved = self._bridge(y, index, some, lower, noise.reshape(y.shape), eta)
        moved = torch.where(expand_like(tau, y) == expand_like(lower, y), y, moved)
        return (expand_like(alpha_s, y) * moved).reshape(x_t.shape).to(x_t.dtype)

    def column_moments(self) -> tuple[Vector, Vector]:
        """Mean and variance of every coordinate, ``(d,)`` each; override where both are cheap."""
        mean, covariance = self.moments()
        return mean, torch.diagonal(covariance)

    def second_moment(self) -> float:
        """E|x_0|^2 of the data law (scaled units)."""
        mean, variances = self.column_moments()
        return float(mean.square().sum() + variances.sum())

    def under(self: Law, process: Process) -> Law:
        """The same law noised by another process."""
        return replace(self, process=process)  # type: ignore[type-var]

    # Saving -------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What ``save`` writes: the tensors, and everything else as JSON types."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.init}  # type: ignore[arg-type]
        tensors = {name: value for name, value in given.items() if isinstance(value, Tensor)}
        config = {name: value for name, value in given.items() if name not in tensors}
        config["process"] = self.process.to_dict()
        config["shape"] = list(self.shape)
        config["scaling"] = None if self.scaling is None else self.scaling.to_dict()
        return tensors, config

    @classmethod
    def from_state(cls: type[Law], tensors: dict[str, Tensor], config: dict[str, Any]) -> Law:
        """The score whose :meth:`state` this is."""
        rest = dict(config)
        rest["process"] = process_from_dict(rest["process"])
        rest["shape"] = tuple(rest["shape"])
        if rest.get("scaling") is not None:
            rest["scaling"] = Scaling.from_dict(rest["scaling"])
        return cls(**tensors, **rest)

    # Inside -------------------------------------------------------------------------------------

    def _clock(self, t: Times, x: Tensor) -> tuple[Tensor, Tensor]:
        r""":math:`\alpha_t` and :math:`\tau_t`, in float64 on the device of ``x``."""
        require_digits(x, "closed-form laws")
        time = as_times(t, x.shape[:1].numel(), x.device)
        return self.process.alpha(time), self.process.noise_to_signal(time)

    def _flat(self, x: Tensor) -> Tensor:
        """Points as rows of ``d`` numbers; halves in float32, in which sums keep their digits."""
        require(
            tuple(x.shape[1:]) in (self.shape, (self.dim,)),
            f"points must have shape (b, {', '.join(map(str, self.shape))})",
            got=tuple(x.shape),
        )
        rows = x.reshape(x.shape[0], self.dim)
        return rows.float() if x.element_size() == 2 else rows

    def _require_density(self, tau: Tensor, t: Times) -> None:
        """Refuse a time at which the law has no density."""
        if not bool((tau + self.least_variance > 0).all()):
            raise InputError(
                explain("this law has no density without noise", got=f"t={t}",
                        do="ask at a time t > 0, or give the law a bandwidth")
            )  # fmt: skip
