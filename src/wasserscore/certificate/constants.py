r"""One-sided Lipschitz constants of scores, and how they are known.

.. math:: L(t) = \sup_x \lambda_{\max}\bigl(\tfrac12 (\nabla s + \nabla s^T)\bigr),

often negative. A bound is only as good as its constant, so the way a constant is known travels
with it: ``stated`` (given by the user), ``analytic`` (closed form from stated facts about the
law), ``certified`` (proved for the score at hand) or ``estimated`` (a maximum over finitely many
points, which is a *lower* estimate of a supremum). An estimated constant never makes a bound.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from wasserscore.certificate.concavity import Concavity
from wasserscore.core.errors import require
from wasserscore.core.linalg import symmetric
from wasserscore.core.typing import Cloud, PerPoint, ScoreFn, Vector
from wasserscore.process import Process

KINDS = ("stated", "analytic", "certified", "estimated")
DENSE = 256
"""Largest dimension whose Jacobian is formed; beyond it a full Krylov space is built."""


@dataclass(frozen=True)
class OneSided:
    """A one-sided constant as a function of time, and how it is known.

    Args:
        value: ``value(t)`` for times of shape (m,), in inverse squared units of the points.
        kind: "stated", "analytic", "certified" or "estimated".
        detail: Where it comes from.
    """

    value: Callable[[Tensor], Tensor]
    kind: str
    detail: str = ""

    def __post_init__(self) -> None:
        require(self.kind in KINDS, "kind must be one of " + ", ".join(KINDS), got=repr(self.kind))

    @property
    def bounding(self) -> bool:
        """Whether a bound may rest on it."""
        return self.kind != "estimated"


def from_concavity(law: Concavity, process: Process) -> OneSided:
    r"""The constant of the *true* score, from bounds on the law's log density.

    .. math:: L_p(t) = -a(S_t) / \alpha_t^2

    Args:
        law: What is known of the data law: log-concave, bounded and smoothed, ...
        process: The forward process.
    """
    return OneSided(
        lambda t: -law.concavity(process.noise_to_signal(t)) / process.alpha(t) ** 2,
        "analytic",
        type(law).__name__,
    )


def tabulated(times: Vector, values: Vector, kind: str, detail: str = "") -> OneSided:
    """A constant known at some times and linear between them.

    Args:
        times: Increasing, shape (m,).
        values: Shape (m,).
        kind: How the values are known.
        detail: Where they come from.
    """

    def value(t: Tensor) -> Tensor:
        right = torch.searchsorted(times, t.to(times)).clamp(1, len(times) - 1)
        left = right - 1
        share = (t.to(times) - times[left]) / (times[right] - times[left])
        return values[left] + share.clamp(0, 1) * (values[right] - values[left])

    return OneSided(value, kind, detail)


def estimate(score: ScoreFn, clouds: Sequence[tuple[float, Cloud]]) -> OneSided:
    """The largest local constant over clouds of points and over the midpoints of random pairs.

    Midpoints reach into the valleys between modes, where a score expands most. A lower estimate
    of the supremum, whatever the number of points.

    Args:
        score: Any differentiable callable ``(x, t)``.
        clouds: Times, increasing, each with its points (n, d).
    """
    values = []
    for t, x in clouds:
        middles = (x + x.roll(1, 0)) / 2
        values.append(float(local(score, torch.cat([x, middles]), t).max()))
    times = torch.tensor([t for t, _ in clouds], dtype=torch.float64)
    detail = f"largest of {2 * len(clouds[0][1])} points per time"
    return tabulated(times, torch.tensor(values, dtype=torch.float64), "estimated", detail)


def local(score: ScoreFn, x: Cloud, t: float) -> PerPoint:
    """The largest eigenvalue of the symmetrised Jacobian at every point, shape (n,).

    Exact up to rounding: the dense Jacobian up to 256 dimensions, beyond it a Krylov space of full
    dimension with re-orthogonalisation. A few Lanczos steps would not do: next to eigenvalues of
    -1e4 they miss the top one by hundreds.
    """
    if x.shape[1] <= DENSE:
        top: Tensor = torch.linalg.eigvalsh(symmetric(jacobian(score, x, t)))[:, -1]
        return top
    return torch.stack([krylov(partial(_both, score, point, t), point) for point in x])


def jacobian(score: ScoreFn, x: Cloud, t: float) -> Tensor:
    """The Jacobian of a score at every point, shape (n, d, d)."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        s = score(x, t)
        rows = [torch.autograd.grad(s[:, j].sum(), x, retain_graph=True)[0]
                for j in range(x.shape[1])]  # fmt: skip
    return torch.stack(rows, 1).detach()


def krylov(multiply: Callable[[Tensor], Tensor], like: Vector) -> Tensor:
    """The largest eigenvalue of a symmetric map, by Lanczos over the whole space.

    Args:
        multiply: ``v -> H v`` for a vector (d,).
        like: A vector that gives dimension, dtype and device.
    """
    d = like.numel()
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(d, generator=generator, dtype=torch.float64).to(like)
    basis = (v / v.norm())[None]
    images = multiply(basis[0])[None]
    for _ in range(d - 1):
        w = images[-1].clone()
        for _ in range(2):
            w = w - basis.mT @ (basis @ w)
        size = w.norm()
        if size <= 1e-12 * images.norm():
            break
        basis = torch.cat([basis, (w / size)[None]])
        images = torch.cat([images, multiply(basis[-1])[None]])
    top: Tensor = torch.linalg.eigvalsh(symmetric(basis @ images.mT))[-1]
    return top


def _both(score: ScoreFn, x: Vector, t: float, v: Vector) -> Tensor:
    """(J v + J^T v) / 2 at one point: a vector-Jacobian product, and its own derivative."""
    with torch.enable_grad():
        x = x.detach()[None].requires_grad_()
        s = score(x, t)[0]
        probe = torch.zeros_like(v).requires_grad_()
        (pulled,) = torch.autograd.grad(s, x, probe, create_graph=True)
        (pushed,) = torch.autograd.grad(pulled[0], probe, v, retain_graph=True)
        (back,) = torch.autograd.grad(s, x, v)
    return (pushed + back[0]).detach() / 2
