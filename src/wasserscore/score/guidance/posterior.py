r"""The score of a law given a noisy linear measurement of its points.

With :math:`y = A x_0 + \sigma_y z` and :math:`D(x) = E[x_0 | x_t = x]`, Bayes' rule says
:math:`\nabla \log p(x_t | y) = \nabla \log p(x_t) + \nabla_{x_t} \log p(y | x_t)`. The last term
is that of a Gaussian with the mean and the covariance of :math:`x_0` given :math:`x_t`, both of
which the score knows (Tweedie, twice), the covariance held fixed:

.. math:: p(y | x_t) \approx N\bigl(A D(x_t),\ \sigma_y^2 I + A V A^T\bigr), \qquad
          V = \frac{\sigma_t^2}{\alpha_t} \frac{\partial D}{\partial x_t},

.. math:: \nabla \log p(x_t | y) \approx \nabla \log p(x_t) + \Bigl(\frac{\partial D}{\partial x_t}
          \Bigr)^T A^T (\sigma_y^2 I + A V A^T)^{-1} (y - A D(x_t)).

It is exact where the law is Gaussian, and good where the law seen through the noise is nearly so;
a mode that the measurement excludes while it is still far keeps part of its weight. The system
is solved by conjugate gradients, one backward pass through the score each.

Source: :cite:p:`rozet2024` section 4.2 (moment matching posterior sampling).
"""

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer
from wasserscore.core.linalg import conjugate_gradients
from wasserscore.core.modes import gradients
from wasserscore.core.numbers import as_times, is_number
from wasserscore.core.random import normal_like
from wasserscore.core.tensors import as_floats, as_tensor, expand_like, same_axes
from wasserscore.core.typing import Points, Times
from wasserscore.process.base import Process
from wasserscore.score.guidance.derived import Derived
from wasserscore.score.guidance.operators import MatrixMap, Measurements, Operator

ADJOINT = 1e-3
"""Relative difference of two products that are equal but for rounding."""


@dataclass(frozen=True, eq=False)
class Posterior(Derived):
    r"""The score of what is known by a score and by :math:`y = A x_0 + \sigma_y z`.

    A score like every other: any solver samples it, under any process.

    Assumes: that :math:`x_0` given :math:`x_t` is near to Gaussian; see the module.

    Args:
        score: The score of the law before the measurement, with ``process`` and ``shape``;
            differentiable. Its rows must not see each other.
        operator: :math:`A`, on points in data units: an object with ``forward(x)`` and
            ``adjoint(y)``, see :mod:`~wasserscore.score.guidance.operators`, or a matrix
            ``(m, d)``.
        y: What was measured, once, data units: shaped like one ``forward``.
        noise_std: :math:`\sigma_y`, data units; 0 for a measurement without noise, which then
            must be one that a point can have.
        iterations: Most conjugate gradients per evaluation: the cost, in backward passes, is one
            more.
        tolerance: Where they stop: residual over right-hand side.

    Raises:
        InputError: If the measurement does not fit the operator, or the operator the score, or
            is not linear or has another adjoint.
    """

    score: Any
    operator: Any
    y: Tensor
    noise_std: float
    iterations: int = 5
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        known = hasattr(self.score, "process") and hasattr(self.score, "shape")
        require(known, "the score must have a process and a shape", got=type(self.score).__name__,
                do="wrap a function in ws.DenoiserScore")  # fmt: skip
        object.__setattr__(self, "y", as_floats(self.y, "y"))
        object.__setattr__(self, "iterations", as_integer(self.iterations, "iterations"))
        if isinstance(self.operator, Tensor | np.ndarray):
            matrix = as_floats(self.operator, "matrix")
            object.__setattr__(self, "operator", MatrixMap(matrix, self.shape))
        require(isinstance(self.operator, Operator), "an operator needs forward and adjoint",
                got=type(self.operator).__name__,
                do="pass a matrix, or a subclass of ws.guidance.LinearMap")  # fmt: skip
        for name in ("noise_std", "tolerance"):
            value = getattr(self, name)
            good = is_number(value) and 0 <= value < float("inf")
            require(good, f"{name} must be finite and non-negative", got=value)
        own = tuple(getattr(self.operator, "shape", self.shape))
        flat = 1 in (len(own), len(self.shape)) and prod(own) == prod(self.shape)
        good = flat or same_axes(own, self.shape)
        require(good, f"the operator must take points of {self.shape}", got=f"one for {own}")
        self._require_measurement()

    def _require_measurement(self) -> None:
        """Refuse what is not measured by the operator, and an operator that is not linear.

        Where the adjoint is one, |A x|^2 is <x, A^T A x>.
        """
        x = normal_like(self.y.new_empty(1, *self.shape), torch.Generator().manual_seed(0))
        seen = self.operator.forward(x)
        wanted = tuple(seen.shape[1:])
        require(tuple(self.y.shape) == wanted, f"y must have shape {wanted}, as one forward has",
                got=tuple(self.y.shape))  # fmt: skip
        require(bool(torch.isfinite(self.y).all()), "y must be finite", got="NaN or infinity",
                do="leave out what was not measured, as ws.guidance.Mask does")  # fmt: skip
        squared = float(seen.double().square().sum())
        pulled = float((x * self.operator.adjoint(seen).reshape(x.shape)).double().sum())
        require(abs(squared - pulled) <= ADJOINT * squared, "an operator must be linear, and its "
                "adjoint that of its forward", got=f"|Ax|^2 = {squared:.6g} and <x, A^T A x> = "
                f"{pulled:.6g} at one x", do="subclass ws.guidance.LinearMap, which derives the "
                "adjoint, and put what is added into y")  # fmt: skip

    @property
    def origin(self) -> Any:
        """The score before the measurement."""
        return self.score

    def under(self, process: Process) -> "Posterior":
        """The same law and measurement under another process."""
        return replace(self, score=self.score.under(process))

    def __call__(self, x: Points, t: Times) -> Points:
        """The score at ``x`` and time ``t > 0``, shaped like ``x``: a tensor, or an array."""
        x = as_tensor(x)
        alpha, tau = self._clock(t, len(x))
        clean = self.denoise(x, t)
        return (clean - x / expand_like(alpha, x)) / expand_like(alpha * tau, x)

    def denoise(self, x: Points, t: Times) -> Points:
        """The mean of the data given ``x`` at time ``t > 0`` and the measurement.

        Raises:
            InputError: At a time without noise, or if the score is not differentiable.
        """
        x = as_tensor(x)
        alpha, tau = self._clock(t, len(x))
        require(bool((tau > 0).all()), "a posterior has no score without noise", got=f"t={t}",
                do="ask at t > 0")  # fmt: skip
        with gradients("a posterior"):
            point = x.detach().requires_grad_()
            mean = self._prior_mean(point, t)
        gain = expand_like(alpha * tau, x)

        def moved(u: Tensor) -> Tensor:  # V A^T u
            pulled = self._stretch(self.operator.adjoint(u).reshape(len(x), *self.shape))
            back = torch.autograd.grad(mean, point, pulled.reshape(x.shape), retain_graph=True)
            return gain * back[0]

        def covariance(u: Tensor) -> Tensor:
            step = self._stretch(moved(u).reshape(len(x), *self.shape))
            seen: Tensor = self.operator.forward(step)
            return self.noise_std**2 * u + seen

        clean = mean.detach()
        step = self._stretch(clean.reshape(len(x), *self.shape))
        rest = self._from_origin.to(x) - self.operator.forward(step)
        solved = conjugate_gradients(covariance, rest, iterations=self.iterations,
                                     tolerance=self.tolerance)  # fmt: skip
        return clean + moved(solved)

    @cached_property
    def _from_origin(self) -> Tensor:
        """The measurement, less that of the origin of the score's units.

        These are data that may be so far from zero that a network's float32 loses all difference.
        """
        origin = self.measured(self.y.new_zeros(1, *self.shape))[0]
        return self.y - origin

    def measured(self, x: Points) -> Measurements:
        """What the operator says of points in the units of the score, without noise."""
        shaped = x.reshape(len(x), *self.shape)
        found: Tensor = self.operator.forward(
            shaped if self.scaling is None else self.scaling.undo(shaped)
        )
        return found

    def _prior_mean(self, x: Tensor, t: Times) -> Tensor:
        """The mean of the data given ``x`` alone, by Tweedie's formula where need be."""
        direct = hasattr(self.score, "denoise")
        value: Tensor = self.score.denoise(x, t) if direct else self.score(x, t)
        require(value.requires_grad, "the score must be differentiable for a posterior",
                got="a value without a gradient", do="run the score without no_grad")  # fmt: skip
        if direct:
            return value
        alpha, tau = self._clock(t, len(x))
        return x / expand_like(alpha, x) + expand_like(alpha * tau, x) * value

    def _clock(self, t: Times, n: int) -> tuple[Tensor, Tensor]:
        time = as_times(t, n)
        return self.process.alpha(time), self.process.noise_to_signal(time)

    def _stretch(self, step: Tensor) -> Tensor:
        return step if self.scaling is None else self.scaling.stretch(step)
