r"""Principal axes of the data: a model on a few of them, isotropic noise across the others.

.. math:: z = S^{-1} A^T (x - m), \qquad
          \psi = \frac{1}{d - l} \sum_{k > l} \lambda_k

with A the l leading eigenvectors of the covariance, S their standard deviations (whitened) or the
identity, and :math:`\psi` the mean of the variances left out, its maximum likelihood.

Source: Tipping and Bishop, Journal of the Royal Statistical Society B 61 (1999), eqs. (7), (8).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.integers import is_integer
from wasserscore.core.typing import Cloud, Vector
from wasserscore.proximal.sample_rows import Rows
from wasserscore.score.spiked import Spiked


@dataclass(frozen=True, eq=False)
class PrincipalAxes:
    """The axes on which a law is fitted.

    Args:
        axes: A, orthonormal columns, ``(d, l)``.
        middle: m, the mean, ``(d,)``.
        scale: The diagonal of S, ``(l,)``.
        residual: psi; 0 where no axis was left out.
        explained: Share of the variance on the axes.
        lost: Mean squared distance of a row from the axes.
        turned: Of how many columns they are, where the other axes are columns themselves.
    """

    axes: Float[Tensor, "d l"]
    middle: Vector
    scale: Float[Tensor, " l"]
    residual: float
    explained: float
    lost: float
    turned: int | None = None

    def coordinates(self, rows: Rows) -> Rows:
        """The rows on the axes, whitened where the axes are."""
        return Rows((rows.points - self.middle) @ self.axes / self.scale, rows.counts)

    def centres(self, z: Cloud) -> Cloud:
        """Centres of a law of the coordinates, in the units of the points."""
        return z * self.scale

    def covariance(self, spiked: Spiked) -> Spiked:
        """Covariances of a law of the coordinates, in the units of the points."""
        return spiked.stretched(self.scale)

    @property
    def log_likelihood(self) -> float:
        """What a row's log-likelihood gains beyond that of its coordinates, in the mean, nats."""
        volume = -float(self.scale.log().sum())
        others = self.axes.shape[0] - self.axes.shape[1]
        if not others:
            return volume
        normal = others * math.log(2 * math.pi * self.residual) + self.lost / self.residual
        return volume - normal / 2

    @property
    def note(self) -> str:
        """What a report says of the axes."""
        d, l = self.axes.shape
        if self.turned is not None:
            return f"{self.turned} of {d} columns along their principal axes"
        text = f"{l} principal axes of {d} hold {100 * self.explained:.1f} % of the variance"
        if l < d:
            text += f"; across them, noise of standard deviation {self.residual**0.5:.3g}"
        return text


def principal_axes(
    rows: Rows, latent: int | float, least: Vector, *, whiten: bool = False
) -> PrincipalAxes:
    """The leading eigenvectors of the covariance of the rows.

    Args:
        rows: The data.
        latent: How many axes, or (below one) the least share of the variance they hold.
        least: Smallest variance allowed per column; the residual keeps their mean.
        whiten: Whether coordinates are divided by their standard deviations.

    Raises:
        InputError: If ``latent`` is neither a number of axes nor a share.
    """
    n, d = rows.points.shape
    top = min(d, n - 1)
    whole = is_integer(latent)
    require(1 <= latent <= top if whole else isinstance(latent, float) and 0 < latent < 1,
            f"latent must be a number of axes from 1 to {top}, or a share of the variance below 1",
            got=repr(latent))  # fmt: skip
    share = rows.counts / rows.counts.sum()
    middle = share @ rows.points
    values, vectors = _spectrum(rows.points - middle, share)
    total = values.sum()
    held = values.cumsum(0) / total
    l = int(latent) if whole else min(int((held < latent).sum()) + 1, top)
    lost = float((total - values[:l].sum()).clamp_min(0))
    floor = float(least.mean())
    return PrincipalAxes(
        axes=vectors[:, :l].contiguous(),
        middle=middle,
        scale=values[:l].clamp_min(floor).sqrt() if whiten else torch.ones_like(values[:l]),
        residual=max(lost / (d - l), floor) if l < d else 0.0,
        explained=float(held[l - 1]),
        lost=lost,
    )


def turned_axes(rows: Rows, columns: Sequence[int], least: Vector) -> PrincipalAxes:
    """As many axes as there are columns: principal ones of some, whitened, and the others.

    Args:
        rows: The data.
        columns: Those that are seen along their principal axes, two or more.
        least: Smallest variance allowed per column; no axis has less than their mean.

    Raises:
        InputError: If the columns are not some of the rows', or as many as there are rows.
    """
    (n, d), some = rows.points.shape, torch.tensor(columns)
    require(len(set(columns)) == len(columns) > 1 and set(columns) <= set(range(d)),
            f"turn must name two columns or more, each once, from 0 to {d - 1}",
            got=repr(columns))  # fmt: skip
    require(len(columns) < n, "turn needs more rows than columns: there is no spread in the "
            "directions beyond", got=f"{n} different rows, {len(columns)} columns",
            do="turn fewer columns, or fit principal axes (latent=)")  # fmt: skip
    share = rows.counts / rows.counts.sum()
    middle = share @ rows.points
    gap = (rows.points - middle)[:, some]
    values, vectors = torch.linalg.eigh(gap.mT @ (gap * share[:, None]))
    axes, scale = torch.eye(d).to(vectors), torch.ones(d).to(vectors)
    axes[some[:, None], some] = vectors
    scale[some] = values.clamp_min(float(least[some].mean())).sqrt()
    return PrincipalAxes(
        axes, middle, scale, residual=0.0, explained=1.0, lost=0.0, turned=len(columns)
    )


def _spectrum(
    gap: Cloud, share: Float[Tensor, " n"]
) -> tuple[Float[Tensor, " k"], Float[Tensor, "d k"]]:
    """Eigenvalues of the covariance, largest first, and their vectors, by the smaller matrix."""
    n, d = gap.shape
    if d <= n:
        values, vectors = torch.linalg.eigh(gap.mT @ (gap * share[:, None]))
        return values.flip(0).clamp_min(0), vectors.flip(1)
    weighted = gap * share.sqrt()[:, None]
    values, vectors = torch.linalg.eigh(weighted @ weighted.mT)
    values, vectors = values.flip(0)[: n - 1], vectors.flip(1)[:, : n - 1]
    return values.clamp_min(0), torch.linalg.qr(weighted.mT @ vectors).Q
