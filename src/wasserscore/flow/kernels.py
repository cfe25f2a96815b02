r"""Kernels that smooth a cloud of points into a proxy with a score.

A cloud :math:`y_1, \dots, y_m` and a positive kernel make the proxy
:math:`p_\sigma(z) = \frac1m \sum_j k_\sigma(z - y_j)`, whose score is a weighted mean,

.. math:: \nabla \log p_\sigma(z) = \sum_j w_j \nabla_z \log k_\sigma(z - y_j), \qquad
          w = \text{softmax}_j \log k_\sigma(z - y_j) .

Every kernel here is radial, :math:`k_\sigma(u) = \kappa(|u|^2 / \sigma^2)`, so that
:math:`\sigma^2 \nabla_z \log k = g\,(y - z)` with a positive slope ``g``:

===================  =====================================  =====================================
kernel               :math:`\log \kappa(v)`                 slope g
===================  =====================================  =====================================
Gaussian             :math:`-v / 2`                         1
InverseMultiquadric  :math:`-\beta \log(1 + v)`             :math:`2 \beta / (1 + v)`
Laplace              :math:`-\sqrt v`                       :math:`1 / \sqrt v`
StudentT             :math:`-\frac{\nu+d}{2}\log(1+v/\nu)`  :math:`\frac{\nu+d}\nu / (1+v/\nu)`
===================  =====================================  =====================================

Only the Gaussian's slope is constant, so only its pull is a mean of the points minus ``z``: a
denoiser. ``Widths`` is a kernel of several widths at once.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.flow.radial import radial_sums
from wasserscore.kernel import Keys, effective_size, softmax_mean

NEAR = 1e-12
"""Squared distance, in squared widths, below which the Laplace kernel is taken as flat."""
ASKED = 256
"""Queries of which the effective number of points is found."""


def spread(b: int) -> slice:
    """At most ``ASKED`` of ``b`` queries, evenly spread."""
    return slice(0, b, -(-b // ASKED))


class KernelSums(NamedTuple):
    """What a kernel and a cloud give at each query.

    Args:
        pull: sigma^2 times the score of the proxy, ``(b, d)``.
        log_mean: Log of the mean kernel value (no normaliser), ``(b,)``.
        ess: Effective number of points in the softmax of evenly spread queries, ``(a,)``: of
            ``spread(b)``, which are enough for their median.
    """

    pull: Tensor
    log_mean: Tensor
    ess: Tensor


@runtime_checkable
class Kernel(Protocol):
    """A radial kernel and its sums over a cloud."""

    def sums(
        self, z: Tensor, keys: Keys, sigma: float, *, leave_one_out: bool = False
    ) -> KernelSums:
        """Pull, log of the mean kernel value, and effective sample size at the queries ``z``."""
        ...

    def curvature(self, d: int) -> float:
        """The slope at distance zero: a step is sigma^2 over it, whatever the kernel."""
        ...


@dataclass(frozen=True)
class Gaussian:
    r""":math:`e^{-|u|^2 / 2 \sigma^2}`; its pull is the denoiser minus the point."""

    def sums(
        self, z: Tensor, keys: Keys, sigma: float, *, leave_one_out: bool = False
    ) -> KernelSums:
        """One streamed softmax of the engine, and a small one for the sizes."""
        mean, log_sum = softmax_mean(z, keys, sigma, leave_one_out=leave_one_out)
        some = spread(len(z))
        own = torch.arange(len(z), device=z.device)[some] if leave_one_out else None
        ess = effective_size(z[some], keys, sigma, own=own)
        return KernelSums(mean - z, log_sum - math.log(len(keys) - leave_one_out), ess)

    def curvature(self, d: int) -> float:
        """One."""
        return 1.0


GAUSSIAN = Gaussian()
"""The default everywhere."""


class Radial:
    """A kernel by its profile; the sums are streamed over tiles of exact distances."""

    def profile(self, v: Tensor, d: int) -> tuple[Tensor, Tensor]:
        """Log of the kernel and slope at squared distances ``v`` in squared widths."""
        raise NotImplementedError

    def sums(
        self, z: Tensor, keys: Keys, sigma: float, *, leave_one_out: bool = False
    ) -> KernelSums:
        """Online softmax over runs of keys."""
        d = z.shape[1]
        found = radial_sums(z, keys, sigma, lambda v: self.profile(v, d), leave_one_out)
        return KernelSums(found.pull, found.log_mean, found.ess[spread(len(z))])

    def curvature(self, d: int) -> float:
        """The slope at distance zero."""
        return 1.0


@dataclass(frozen=True)
class InverseMultiquadric(Radial):
    r""":math:`(1 + |u|^2 / \sigma^2)^{-\beta}`: heavy tails, so far particles still move."""

    beta: float = 0.5

    def __post_init__(self) -> None:
        require(0 < self.beta < math.inf, "beta must be positive and finite", got=self.beta)

    def profile(self, v: Tensor, d: int) -> tuple[Tensor, Tensor]:
        """As in the table."""
        return -self.beta * v.log1p(), 2 * self.beta / (1 + v)

    def curvature(self, d: int) -> float:
        """Twice beta."""
        return 2 * self.beta


@dataclass(frozen=True)
class Laplace(Radial):
    r""":math:`e^{-|u| / \sigma}`: every point pulls with the same strength, its weight apart."""

    def profile(self, v: Tensor, d: int) -> tuple[Tensor, Tensor]:
        """As in the table; a point does not pull at itself."""
        return -v.sqrt(), torch.where(v > NEAR, v.clamp_min(NEAR).rsqrt(), torch.zeros_like(v))


@dataclass(frozen=True)
class StudentT(Radial):
    r""":math:`(1 + |u|^2 / \nu \sigma^2)^{-(\nu + d) / 2}`: heavy tails in any dimension."""

    nu: float = 3.0

    def __post_init__(self) -> None:
        require(0 < self.nu < math.inf, "nu must be positive and finite", got=self.nu)

    def profile(self, v: Tensor, d: int) -> tuple[Tensor, Tensor]:
        """As in the table."""
        power = self.nu + d
        return -power / 2 * (v / self.nu).log1p(), power / (self.nu + v)

    def curvature(self, d: int) -> float:
        """The slope at zero grows with the dimension."""
        return (self.nu + d) / self.nu


@dataclass(frozen=True)
class Widths:
    r"""One kernel at several widths.

    .. math:: k(u) = \sum_i a_i \rho_i^{-d} \kappa(|u|^2 / \rho_i^2 \sigma^2)

    The factor :math:`\rho_i^{-d}` gives every width the mass :math:`a_i`. Coarse widths carry
    particles far, fine ones shape the detail, in one field.

    Args:
        ratios: The widths, in units of sigma, positive.
        weights: The masses :math:`a_i`; equal by default.
        base: The kernel.
    """

    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    weights: tuple[float, ...] = ()
    base: Kernel = GAUSSIAN

    def __post_init__(self) -> None:
        require(bool(self.ratios) and min(self.ratios) > 0, "ratios must be positive",
                got=self.ratios)  # fmt: skip
        object.__setattr__(self, "weights", self.weights or (1.0,) * len(self.ratios))
        good = len(self.weights) == len(self.ratios) and min(self.weights) > 0
        require(good, "weights must be positive, one per ratio", got=self.weights)

    def sums(
        self, z: Tensor, keys: Keys, sigma: float, *, leave_one_out: bool = False
    ) -> KernelSums:
        """Sums at every width, mixed by how much each explains the query.

        The effective sample size is the mean of those of the widths.
        """
        parts = [self.base.sums(z, keys, sigma * ratio, leave_one_out=leave_one_out)
                 for ratio in self.ratios]  # fmt: skip
        d = z.shape[1]
        pairs = zip(self.weights, self.ratios, strict=True)
        masses = z.new_tensor([math.log(weight) - d * math.log(ratio) for weight, ratio in pairs])
        logs = torch.stack([part.log_mean for part in parts], 1) + masses
        shares = logs.softmax(1)
        # a pull is in squared widths of its own
        steep = z.new_tensor([ratio**-2 for ratio in self.ratios])
        pull = torch.einsum("bk,bkd->bd", shares * steep, torch.stack([p.pull for p in parts], 1))
        some = shares[spread(len(z))]
        ess = (some * torch.stack([part.ess for part in parts], 1)).sum(1)
        return KernelSums(pull, logs.logsumexp(1), ess)

    def curvature(self, d: int) -> float:
        """That of the finest width."""
        return self.base.curvature(d) / min(self.ratios) ** 2


KERNELS: dict[str, Kernel] = {
    "gaussian": GAUSSIAN,
    "inverse_multiquadric": InverseMultiquadric(),
    "laplace": Laplace(),
    "student_t": StudentT(),
}


def as_kernel(kernel: "str | Kernel") -> Kernel:
    """A kernel by its name, or itself.

    Raises:
        InputError: For a name that is not known.
    """
    if not isinstance(kernel, str):
        return kernel
    known = ", ".join(KERNELS)
    require(kernel in KERNELS, "unknown kernel", got=repr(kernel),
            do=f"use one of {known}, or an object such as Widths((0.5, 1, 2))")  # fmt: skip
    return KERNELS[kernel]
