r"""Training the precision network; its floor and number of steps by held-out likelihood.

The objective is implicit score matching or the likelihood, on points that are not centres: only
they have no self term. The paper draws them apart (``fit_points`` of :func:`fit_proximal`). With
one set of rows, a fixed half of them is soon known by heart; so every step splits the rows anew
into centres and fit points, and the final model takes all rows as its centres, which a function
of the centre allows. Weights are averaged over the last fifty steps or so.

Source: :cite:p:`zhang2024` section 4.2, eqs. (27), (30); the new split of every step is ours.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.modes import gradients
from wasserscore.core.random import Streams
from wasserscore.core.typing import PerPoint, Vector
from wasserscore.kernel import nearest
from wasserscore.network.triangular import Triangular
from wasserscore.proximal.bandwidth import kernel_covariance
from wasserscore.proximal.precision_network import PrecisionNetwork
from wasserscore.proximal.sample_rows import Rows
from wasserscore.proximal.tuning import FACTOR_BYTES, Choice
from wasserscore.proximal.validation import weighted_mean

NETWORKS = {
    "network": "precision network, implicit score matching",
    "network_likelihood": "precision network, likelihood",
}
FLOORS = (1 / 2, 1 / 8, 1 / 32)
"""In units of the kernel's covariance, tried in this order while the likelihood rises."""
STEPS = 2000
EVERY = 25
"""Steps between two looks at the held-out rows."""
PATIENCE = 4
"""Training ends when so many looks in a row were no better."""
BATCH = 256
RATE = 3e-3
LARGEST_GRADIENT = 10.0
AVERAGE = 0.98
"""How much of the averaged weights survives a step."""
FOLDS = 5
TUNING_FOLDS = 2
"""Training is slow: two of the five folds are enough."""
HELD_OUT = 2000
"""At most so many fit points are held out."""
KERNEL_ROWS = 1500

Pair = tuple[Rows, Rows | None, Rows]
"""Centres, fit points drawn apart if any, and held-out rows."""
Split = Callable[[torch.Generator], tuple[Rows, Rows]]
"""Centres and fit points of one step."""


@dataclass(eq=False)
class Training:
    """A network that is being trained; ``averaged`` is what the training has come to.

    Args:
        model: The network, changed in place.
        objective: One of :data:`NETWORKS`.
        split: Centres and fit points of a step.
        streams: Decides the splits.
    """

    model: PrecisionNetwork
    objective: str
    split: Split
    streams: Streams
    averaged: PrecisionNetwork = field(init=False)
    steps: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.averaged = replace(self.model, network=copy.deepcopy(self.model.network))
        self.averaged.network.requires_grad_(False)
        self._optimizer = torch.optim.Adam(self.model.network.parameters(), lr=RATE)

    def advance(self, steps: int) -> None:
        """So many steps more."""
        weights = list(self.model.network.parameters())
        for _ in range(steps):
            centres, fit = self.split(self.streams.generator("split", self.steps))
            self._optimizer.zero_grad()
            with gradients("training"):
                loss = self.loss(centres, fit)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, LARGEST_GRADIENT)
            self._optimizer.step()
            self.steps += 1
            kept = min(AVERAGE, self.steps / (self.steps + 9))
            for mean, last in zip(self.averaged.network.parameters(), weights, strict=True):
                mean.lerp_(last.detach(), 1 - kept)

    def loss(self, centres: Rows, fit: Rows) -> Float[Tensor, ""]:
        """The objective of one step, in units of the kernel."""
        law, x = self.model.law(centres), self.model.reduced(fit.points)
        values = law.matching(x) if self.objective == "network" else -law.log_density(x)
        return (fit.counts * values).sum() / fit.counts.sum()


def fit_network(
    method: str, rows: Rows, fit: Rows | None, least: Vector, streams: Streams
) -> tuple[Choice, PrecisionNetwork, tuple[str, ...]]:
    """The trained network for these centres.

    Args:
        method: One of :data:`NETWORKS`.
        rows: The centres; without fit points, they are those too.
        fit: Fit points drawn apart; those that are centres are left out.
        least: Smallest variance allowed per column.
        streams: Decides the first weights, what is held out, and the splits.

    Returns:
        The best settings, the model, and notes for the report.

    Raises:
        InputError: If precisions would not fit into memory, or fewer than ten fit points are left.
    """
    n, d = rows.points.shape
    require(8 * n * d**2 <= FACTOR_BYTES, "precisions would not fit into memory",
            got=f"{n} centres of {d} columns", do="use fewer centres")  # fmt: skip
    fit, notes = _without_centres(fit, rows)
    pairs = _held_out(rows, fit, streams)
    held = [pair[2] for pair in pairs]
    best, before, evaluated = None, 0.0, 0
    for floor in FLOORS:
        trainings = [_start(method, *pair[:2], floor, least, streams) for pair in pairs]
        looks = _train(trainings, pairs)
        evaluated += len(looks)
        choice = _choice(method, floor, looks, held)
        if best is not None and choice.log_likelihood <= best.log_likelihood:
            break
        best, before = choice, weighted_mean(looks[0], held)[0]
    assert best is not None
    final = _start(method, rows, fit, float(best.settings["floor"]), least, streams)
    final.advance(int(best.settings["steps"]))
    notes += (f"untrained, held-out points have {before:.2f} nats",)
    return replace(best, evaluated=evaluated), final.averaged, notes


def _without_centres(fit: Rows | None, rows: Rows) -> tuple[Rows | None, tuple[str, ...]]:
    """Fit points that are no centres; a point on its centre would have no lower bound."""
    if fit is None:
        return None, ()
    apart = nearest(fit.points, rows.points)[0][:, 0] > 0
    require(int(apart.sum()) >= 10, "at least ten fit points must not be centres",
            got=int(apart.sum()), do="give fit points apart from the points")  # fmt: skip
    left_out = int((~apart).sum())
    notes = (f"{left_out} fit points that are centres were left out",) if left_out else ()
    return fit.at(apart.nonzero()[:, 0]), notes


def _held_out(rows: Rows, fit: Rows | None, streams: Streams) -> list[Pair]:
    """Centres, fit points and held-out rows of every fold."""
    if fit is None:
        folds = rows.folds(FOLDS, streams)[:TUNING_FOLDS]
        return [(train, None, held) for train, held in folds]
    order = torch.randperm(len(fit.points), generator=streams.generator("held out"))
    held = min(HELD_OUT, len(order) // FOLDS)
    return [(rows, fit.at(order[held:]), fit.at(order[:held]))]


def _start(
    method: str, rows: Rows, fit: Rows | None, floor: float, least: Vector, streams: Streams
) -> Training:
    """An untrained network: every covariance is the kernel's, and the floor on top."""
    n, d = rows.points.shape
    share = rows.counts / rows.counts.sum()
    middle = share @ rows.points
    spread = torch.maximum(share @ (rows.points - middle).square(), least).sqrt()
    some = rows.subset(KERNEL_ROWS, streams)
    # Fewer rows have a wider kernel, by Scott's rate.
    kernel = kernel_covariance(some, "columns", least) * (n / len(some.points)) ** (-2 / (d + 4))
    kernel = torch.maximum(kernel, least)
    network = Triangular(d, seed=streams.key("network") % 2**31)
    floor = max(floor, float((least / kernel).max()))
    model = PrecisionNetwork(network, middle, spread, kernel.sqrt(), floor)
    return Training(model, method, _anew(rows) if fit is None else _apart(rows, fit), streams)


def _anew(rows: Rows) -> Split:
    """Half of the rows are centres, some of the others fit points."""
    half = len(rows.points) // 2

    def split(generator: torch.Generator) -> tuple[Rows, Rows]:
        order = torch.randperm(len(rows.points), generator=generator)
        return rows.at(order[:half]), rows.at(order[half : half + BATCH])

    return split


def _apart(rows: Rows, fit: Rows) -> Split:
    """The centres stay, and fit points come from elsewhere."""
    n = len(fit.points)

    def split(generator: torch.Generator) -> tuple[Rows, Rows]:
        whole = torch.arange(n) if n <= BATCH else torch.randint(n, (BATCH,), generator=generator)
        return rows, fit.at(whole)

    return split


def _train(trainings: list[Training], pairs: list[Pair]) -> list[PerPoint]:
    """Log densities of all held-out rows, before training and after every :data:`EVERY` steps."""
    held, looks, means = [pair[2] for pair in pairs], list[PerPoint](), list[float]()
    while True:
        values = [t.averaged.log_density(held.points, rows)
                  for t, (rows, _, held) in zip(trainings, pairs, strict=True)]  # fmt: skip
        looks.append(torch.cat(values).nan_to_num(-torch.inf))
        means.append(weighted_mean(looks[-1], held)[0])
        late = len(looks) - 1 - means.index(max(means))
        if late == PATIENCE or trainings[0].steps >= STEPS:
            return looks
        for training in trainings:
            training.advance(EVERY)


def _choice(method: str, floor: float, looks: list[PerPoint], held: list[Rows]) -> Choice:
    """The number of steps that explains the held-out rows best."""
    best = max(range(len(looks)), key=lambda k: weighted_mean(looks[k], held)[0])
    settings = {"floor": floor, "steps": best * EVERY}
    return Choice(method, settings, *weighted_mean(looks[best], held), len(looks))
