"""Score matching as a task of the loop: network, average, optimizer, one step."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from wasserscore.core.distributed import of_first
from wasserscore.core.random import normal_like
from wasserscore.core.tensors import beside, expand_like
from wasserscore.core.typing import PerPoint, Points
from wasserscore.score import NetworkScore
from wasserscore.training.augmentation import Augmentation
from wasserscore.training.averaged import Averaged, Logs, Measure, due, shares
from wasserscore.training.implicit import SIGNED, implicit_loss
from wasserscore.training.labelled import Labelled, Rows
from wasserscore.training.levels import Weighting
from wasserscore.training.regularise import Regulariser
from wasserscore.training.schedule import Schedule
from wasserscore.training.weighting import stratified

CLIP = 1.0
"""Largest gradient norm, unless told."""
PRECISIONS = ("float32", "bfloat16")


def denoising_loss(
    score: NetworkScore,
    weighting: Weighting,
    x0: Points,
    uniform: PerPoint,
    noise: Points,
    labels: Tensor | None = None,
    condition: Tensor | None = None,
) -> Tensor:
    """The mean of :func:`denoising_losses`: the objective per coordinate."""
    return denoising_losses(score, weighting, x0, uniform, noise, labels, condition).mean()


def denoising_losses(
    score: NetworkScore,
    weighting: Weighting,
    x0: Points,
    uniform: PerPoint,
    noise: Points,
    labels: Tensor | None = None,
    condition: Tensor | None = None,
) -> PerPoint:
    r""":math:`w(r) \|D(x_t, t) - x_0\|^2 / d` of every point.

    Args:
        score: The network in training.
        weighting: Where along the noise, and what it counts.
        x0: Clean points, model units.
        uniform: One number of [0, 1) per point: its noise level.
        noise: Standard normal, shaped like ``x0``.
        labels: A class per point, where the network knows classes.
        condition: A vector per point, where it knows these.

    Source: :cite:`karras2022` eq. (2) and (8); see :mod:`wasserscore.training.weighting`.
    """
    levels = weighting(score.process, score.data_std, uniform.to(torch.float64))
    t = score.process.time_at(levels.r.square())
    x_t = expand_like(score.process.alpha(t), x0) * (x0 + expand_like(levels.r, x0) * noise)
    squared = (score.denoise(x_t, t, labels, condition) - x0).square().flatten(1).mean(1)
    losses: Tensor = beside(levels.weight, squared) * squared
    return losses


class Drawn(NamedTuple):
    """All that is random in a step."""

    x0: Points
    uniform: PerPoint
    noise: Points
    labels: Tensor | None = None
    condition: Tensor | None = None
    signs: Points | None = None

    def rows(self, part: slice) -> "Drawn":
        """The numbers of some points."""
        return Drawn(*(None if x is None else x[part] for x in self))  # type: ignore[arg-type]

    def moved(self, move: Callable[[Tensor], Tensor]) -> "Drawn":
        """The same numbers elsewhere; noise levels stay where they are."""
        told = (None if x is None else move(x) for x in self[3:])
        return Drawn(move(self.x0), self.uniform, move(self.noise), *told)


class Denoising(Averaged):
    """A score network that learns by score matching, AdamW and an average of its weights.

    Args:
        score: The untrained score; its network is copied, never changed.
        weighting: See :mod:`wasserscore.training.weighting`.
        schedule: Learning rate and averaging.
        weight_decay: Of AdamW.
        regularise: Called on the network before the first and after every update.
        clip: Largest gradient norm.
        precision: Of the network's matrix products and convolutions; weights, their average and
            the loss stay as they are.
        compiled: Whether ``torch.compile`` makes the network faster.
        objective: ``"denoising"`` or one of :mod:`wasserscore.training.implicit`.
        label_dropout: Share of the points that are trained without their class and vector.
        augmentation: What is done to images, which the network is told after their vectors.
        heldout: Its ``holdout_loss`` of each averaged network chooses among several.
        measure: Asked about the averaged network, for the logs.
        every: How often.
        accumulate: Parts into which a rank cuts its points, one after another.
        sharded: Whether ranks hold the weights in parts.
    """

    def __init__(
        self,
        score: NetworkScore,
        weighting: Weighting,
        schedule: Schedule,
        weight_decay: float,
        regularise: Regulariser | None = None,
        clip: float = CLIP,
        *,
        precision: str = "float32",
        compiled: bool = False,
        objective: str = "denoising",
        label_dropout: float = 0.0,
        augmentation: Augmentation | None = None,
        heldout: Measure | None = None,
        measure: Measure | None = None,
        every: int = 1,
        accumulate: int = 1,
        sharded: bool = False,
    ) -> None:
        super().__init__(score.network, schedule, weight_decay, clip, regularise, sharded=sharded)
        if compiled:
            self.network.compile(dynamic=False)
        self.score = replace(score, network=self.network)
        self.weighting, self.label_dropout, self.objective = weighting, label_dropout, objective
        self.halved = precision == "bfloat16"
        self.nobody = int(getattr(score.network, "classes", 0))
        self.augmentation = augmentation
        self.heldout, self.measure = heldout, measure
        self.every, self.accumulate = every, accumulate

    def draw(self, batch: Rows, generator: torch.Generator) -> Drawn:
        """What a step takes: drawn on the CPU, so that every device sees the same numbers."""
        x0 = batch.points if isinstance(batch, Labelled) else batch
        assert isinstance(x0, Tensor)  # rows may be on disk, a batch of them is not
        uniform, noise = stratified(len(batch), generator), normal_like(x0, generator)
        drawn = Drawn(x0, uniform, noise)
        if isinstance(batch, Labelled):
            hidden = torch.rand(len(batch), generator=generator) < self.label_dropout
            labels, condition = batch.hidden(hidden.to(x0.device), self.nobody)
            drawn = drawn._replace(labels=labels, condition=condition)
        if self.objective in SIGNED:
            heads = torch.randint(0, 2, x0.shape, generator=generator)
            drawn = drawn._replace(signs=(2 * heads - 1).to(x0))
        if self.augmentation is not None:
            x0, done = self.augmentation(x0, generator)
            own = () if drawn.condition is None else (drawn.condition,)
            drawn = drawn._replace(x0=x0, condition=torch.cat([*own, done], 1))
        if self.device.type == "cuda" and not x0.is_cuda:
            drawn = drawn.moved(Tensor.pin_memory)  # so that copying does not wait
        return drawn

    def start(self, drawn: Drawn) -> Logs:
        """One update, see :meth:`Averaged.begin`.

        Every rank draws the same numbers and takes its share of the points.

        Raises:
            InputError: If there are fewer points than shares.
        """
        n, mine = len(drawn.x0), shares(len(drawn.x0), self.accumulate)
        terms = ((part.stop - part.start) / n * self._loss(drawn.rows(part)) for part in mine)
        logs = self.begin(terms, shared=True)
        more = self._measured() if due(self, self.every) else {}
        return lambda: logs() | more

    def _measured(self) -> dict[str, float]:
        """What to log of the average that is best so far, whole; all ranks ask it together."""
        best, logs = self._judged()
        if self.measure is None:
            return logs
        return logs | of_first(self.measure(self.averaged(best)))

    def _judged(self) -> tuple[float, dict[str, float]]:
        """Which average has the least held-out loss, and what to log of it."""
        if self.heldout is None:
            return self.schedule.emas[0], {}
        found = {ema: self.heldout(average) for ema, average in self.averages.items()}
        losses = {ema: logs["holdout_loss"] for ema, logs in found.items()}
        best = min(losses, key=lambda ema: losses[ema])
        if len(found) == 1:
            return best, found[best]
        each = {f"holdout_loss at ema={ema:g}": loss for ema, loss in losses.items()}
        return best, {"ema": best, **each, **found[best]}

    def _loss(self, drawn: Drawn) -> Tensor:
        """The objective of some points, where the network is."""
        d = drawn.moved(lambda part: part.to(self.device, non_blocking=True))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.halved):
            if self.objective == "denoising":
                return denoising_loss(
                    self.score, self.weighting, d.x0, d.uniform, d.noise, d.labels, d.condition
                )
            return implicit_loss(
                self.score, self.weighting, d.x0, d.uniform, d.noise, d.labels, d.condition,
                signs=d.signs, sliced=self.objective == "sliced",
            )  # fmt: skip

    def step(self, batch: Rows, generator: torch.Generator) -> dict[str, float]:
        """Draw, then update."""
        return self.start(self.draw(batch, generator))()

    def result(self) -> NetworkScore:
        """The score with the averaged weights, the best of several, ready for inference."""
        if len(self.averages) == 1:
            return replace(self.score, network=self.averaged(self.schedule.emas[0]))
        best, _ = self._judged()
        return replace(self.score, network=self.averaged(best), ema=best)
