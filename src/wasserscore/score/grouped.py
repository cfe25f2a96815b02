r"""A mixture of proximal laws: one for the rows of every group, with the group's share.

.. math:: p_\tau = \sum_g w_g\, p^{(g)}_\tau, \qquad
          \nabla \log p_\tau(y) = \sum_g r_g(y)\, \nabla \log p^{(g)}_\tau(y), \qquad
          r_g \propto w_g\, p^{(g)}_\tau(y)

Groups share no covariance and no floor, so a law may be wide in one and thin in another. It is
again a mixture of Gaussians, and so is its law given some coordinates.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.integers import as_shape
from wasserscore.core.tensors import as_tensor, expand_like
from wasserscore.core.typing import Cloud, Matrix, PerPoint, Points, Times, Vector
from wasserscore.data import Scaling
from wasserscore.process.base import Process
from wasserscore.score.base import ClosedFormScore, Tau
from wasserscore.score.conditioning import conditioned_scaling, partly_known
from wasserscore.score.fit_report import FitReport
from wasserscore.score.latent import LatentScore
from wasserscore.score.proximal import ProximalScore

Member = ProximalScore | LatentScore
MEMBERS: dict[str, type[Member]] = {"ProximalScore": ProximalScore, "LatentScore": LatentScore}


@dataclass(frozen=True, eq=False, repr=False)
class GroupedScore(ClosedFormScore):
    """The score of a mixture of proximal laws, at every noise level.

    Args:
        laws: One law per group, all of the same points.
        weights: The share of each, positive, ``(g,)``; normalised here.
        process: The forward process, of all laws.
        shape: The shape of one point; empty for ``(d,)``.
        scaling: How the points came from data units.

    Raises:
        InputError: If the laws are of other points, or do not fit the weights.
    """

    laws: tuple[Member, ...]
    weights: Float[Tensor, " g"]
    process: Process
    shape: tuple[int, ...] = ()
    scaling: Scaling | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        dims = [law.dim for law in self.laws]
        require(len(set(dims)) == 1, "laws must be of points with as many coordinates", got=dims)
        good = len(self.weights) == len(dims) and bool((self.weights > 0).all())
        require(good, "weights must be positive, one per law", got=self.weights.tolist())
        object.__setattr__(self, "shape", as_shape(self.shape) or (dims[0],))
        require(self.dim == dims[0], f"shape must hold {dims[0]} numbers", got=self.shape)
        object.__setattr__(self, "weights", self.weights / self.weights.sum())
        object.__setattr__(self, "laws", tuple(law.under(self.process) for law in self.laws))

    @property
    def components(self) -> int:
        """Number of centres, in all groups."""
        return sum(law.components for law in self.laws)

    @property
    def least_variance(self) -> float:
        """The lowest floor of any group."""
        return min(law.least_variance for law in self.laws)

    @property
    def fit_report(self) -> tuple[FitReport | None, ...]:
        """How the model of every group was chosen, where they were fitted."""
        return tuple(law.fit_report for law in self.laws)

    def moments(self) -> tuple[Vector, Matrix]:
        """Mean and covariance of the mixture: within groups plus between them."""
        means, covariances = (torch.stack(part) for part in
                              zip(*(law.moments() for law in self.laws), strict=True))  # fmt: skip
        weights = self.weights.to(means)
        mean = weights @ means
        apart = (means - mean) * weights.sqrt()[:, None]
        return mean, torch.einsum("g,gij->ij", weights, covariances) + apart.mT @ apart

    def divergence(self, x: Points, t: Times) -> PerPoint:
        r"""The divergence of the score, ``(b,)``.

        .. math:: \sum_g r_g (\nabla \cdot s_g + |s_g|^2) - |s|^2
        """
        x = as_tensor(x)
        alpha, tau = self._clock(t, x)
        self._require_density(tau, t)
        y = self._flat(x) / expand_like(alpha, self._flat(x))
        shares, scores = self._shares(y, tau), self._scores(y, tau)
        each = torch.stack([law.divergence(x, t) for law in self.laws], dim=1)
        squares = scores.square().sum(2) / alpha.square().reshape(-1, 1).to(y)
        whole = torch.einsum("bg,bgd->bd", shares, scores) / expand_like(alpha, y)
        value: Tensor = (shares * (each + squares)).sum(1) - whole.square().sum(1)
        return value

    def conditioned(self, y: Vector) -> "GroupedScore":
        """The law of the coordinates that are NaN in ``y``, given the others.

        Every group is conditioned by itself, and weighs what it says of the known ones.

        Args:
            y: ``(d,)``, NaN where a coordinate is unknown; scaled units.

        Raises:
            InputError: If every coordinate is known, or none, or the law has no density.
        """
        y = partly_known(y, self.dim)
        laws = [law.conditioned(y) for law in self.laws]
        known = (~torch.isnan(y)).nonzero().squeeze(1)
        seen = torch.stack([law.marginal(known).log_prob(y[known][None])[0] for law in self.laws])
        shares = (self.weights.log().to(seen) + seen).softmax(0)
        kept = (shares > torch.finfo(shares.dtype).tiny).nonzero().squeeze(1)
        return GroupedScore(
            tuple(laws[g] for g in kept), shares[kept], self.process,
            scaling=conditioned_scaling(self.scaling, y),
        )  # fmt: skip

    def marginal(self, columns: Int[Tensor, " m"]) -> "GroupedScore":
        """The law of some coordinates, group by group."""
        laws = tuple(law.marginal(columns) for law in self.laws)
        return GroupedScore(laws, self.weights, self.process, scaling=laws[0].scaling)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON types; every law keeps its own under the number of its group."""
        tensors, config = super().state()
        config["laws"] = []
        for g, law in enumerate(self.laws):
            inside, settings = law.state()
            tensors |= {f"{g}.{name}": value for name, value in inside.items()}
            config["laws"].append({"class": type(law).__name__, "config": settings})
        return tensors, config

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor], config: dict[str, Any]) -> "GroupedScore":
        """The score whose :meth:`state` this is."""
        laws = []
        for g, law in enumerate(config["laws"]):
            inside = {name.partition(".")[2]: value for name, value in tensors.items()
                      if name.partition(".")[0] == str(g)}  # fmt: skip
            laws.append(MEMBERS[law["class"]].from_state(inside, law["config"]))
        own = {"weights": tensors["weights"]}
        return super().from_state(own, {**config, "laws": tuple(laws)})

    # The contract -------------------------------------------------------------------------------

    def _score(self, y: Cloud, tau: Tau) -> Cloud:
        return torch.einsum("bg,bgd->bd", self._shares(y, tau), self._scores(y, tau))

    def _posterior_mean(self, y: Cloud, tau: Tau) -> Cloud:
        means = torch.stack([law._posterior_mean(y, tau) for law in self.laws], dim=1)
        return torch.einsum("bg,bgd->bd", self._shares(y, tau), means)

    def _log_density(self, y: Cloud, tau: Tau) -> PerPoint:
        return self._joint(y, tau).logsumexp(1)

    def _component(self, y: Cloud, tau: Tau, uniform: PerPoint) -> Int[Tensor, " b"]:
        shares = self._shares(y, tau).double()
        upto = shares.cumsum(1)
        level = uniform.double() * upto[:, -1]
        group = (upto <= level[:, None]).sum(1).clamp_max(len(self.laws) - 1)
        found = torch.empty_like(group)
        for g, law in enumerate(self.laws):
            rows = (group == g).nonzero().squeeze(1)
            inside = (level - upto[:, g] + shares[:, g])[rows] / shares[rows, g]
            of = tau[rows] if tau.ndim else tau
            found[rows] = self._first[g] + law._component(y[rows], of, inside.clamp(0, 1))
        return found

    def _bridge(
        self,
        y: Cloud,
        index: Int[Tensor, " b"],
        tau: Tau,
        lower: Tau,
        noise: Cloud,
        eta: float = 1.0,
    ) -> Cloud:
        group = torch.bucketize(index, self._first[1:].to(index.device), right=True)
        moved = torch.empty_like(y)
        for g, law in enumerate(self.laws):
            rows = (group == g).nonzero().squeeze(1)
            upper, below = (level[rows] if level.ndim else level for level in (tau, lower))
            own = index[rows] - int(self._first[g])
            moved[rows] = law._bridge(y[rows], own, upper, below, noise[rows], eta)
        return moved

    def _draw(self, n: int, generator: torch.Generator) -> Cloud:
        uniform = torch.rand(n, generator=generator, dtype=torch.float64, device=generator.device)
        upto = self.weights.double().cumsum(0).to(uniform.device)
        group = torch.bucketize(uniform * upto[-1], upto[:-1], right=True)
        parts = [law._draw(int((group == g).sum()), generator)
                 for g, law in enumerate(self.laws)]  # fmt: skip
        order = torch.cat([(group == g).nonzero().squeeze(1) for g in range(len(self.laws))])
        return torch.cat(parts)[order.argsort().to(parts[0].device)]

    @cached_property
    def _first(self) -> Int[Tensor, " g"]:
        """Number of each group's first component."""
        counts = torch.tensor([law.components for law in self.laws])
        return counts.cumsum(0) - counts

    def _joint(self, y: Cloud, tau: Tau) -> Float[Tensor, "b g"]:
        """Log density of every group, weighted."""
        each = torch.stack([law._log_density(y, tau) for law in self.laws], dim=1)
        return self.weights.log().to(each) + each

    def _shares(self, y: Cloud, tau: Tau) -> Float[Tensor, "b g"]:
        """The posterior of the groups."""
        return self._joint(y, tau).softmax(1)

    def _scores(self, y: Cloud, tau: Tau) -> Float[Tensor, "b g d"]:
        return torch.stack([law._score(y, tau) for law in self.laws], dim=1)


ProximalLaw = Member | GroupedScore
"""What a proximal fit gives: centres with low-rank covariances, drawn from exactly."""
