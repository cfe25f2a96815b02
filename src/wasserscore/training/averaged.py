"""What tasks of one network share: AdamW, averages of the weights, and a state of all."""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from wasserscore.core.ahead import arriving
from wasserscore.core.distributed import rank, total, world
from wasserscore.core.errors import require
from wasserscore.core.tensors import cuts
from wasserscore.training.regularise import Regulariser
from wasserscore.training.schedule import Schedule
from wasserscore.training.sharded import gathered, part_of, shard, whole

BETAS = (0.9, 0.99)
"""AdamW's memories; 0.99 forgets the large early gradients sooner, which short runs need."""

Measure = Callable[[nn.Module], dict[str, float]]
"""A network in, numbers to log out."""
Logs = Callable[[], dict[str, float]]
"""The numbers of a step that was begun; asking for them waits until a device has them."""


class Averaged:
    """A network that learns by AdamW, and the average of its weights, or several.

    Args:
        network: It is copied, never changed.
        schedule: Learning rate and averaging.
        weight_decay: Of AdamW.
        clip: Largest gradient norm.
        regularise: Called on the network before the first and after every update.
        sharded: Whether ranks hold the weights, their average and AdamW's moments in parts.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        weight_decay: float,
        clip: float,
        regularise: Regulariser | None = None,
        *,
        sharded: bool = False,
    ) -> None:
        self.network = copy.deepcopy(network).train().requires_grad_(True)
        if next(network.parameters()).is_cuda:  # where convolutions want it; others are untouched
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.regularise, self.clip = regularise, clip
        if regularise is not None:
            regularise(self.network)
        self.averages, self.powers = (
            {kind: copy.deepcopy(self.network).eval().requires_grad_(False) for kind in kinds}
            for kinds in (schedule.emas, schedule.widths)
        )
        followers = (*self.averages.values(), *self.powers.values())
        self.untrained, self.sharded = network, sharded and world() > 1
        if self.sharded:
            for parts in (self.network, *followers):
                shard(parts)
        self.schedule, self.count = schedule, 0
        self.weights = dict(self.network.named_parameters())
        # listed once: a step of a GPU is short beside walks through all modules
        self._learning, *self._following = map(_weights, (self.network, *followers))
        self.optimizer = torch.optim.AdamW(
            self.weights.values(),
            lr=schedule.learning_rate,
            betas=BETAS,
            weight_decay=weight_decay,
            fused=True,
        )

    @property
    def average(self) -> nn.Module:
        """The first average."""
        return self.averages[self.schedule.emas[0]]

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(iter(self.weights.values())).device

    def descend(self, losses: Iterable[Tensor]) -> dict[str, float]:
        """One update, waited for: see :meth:`begin`."""
        return self.begin(losses)()

    def begin(self, losses: Iterable[Tensor], *, shared: bool = False) -> Logs:
        """One update; without one where the loss or its gradient is not finite (the logs say).

        A GPU is not waited for: a step that is not finite leaves the weights there, too, but it
        is counted, and the average goes on towards them.

        Args:
            losses: Terms of the loss, each asked for when the one before is done with.
            shared: Whether other ranks have other terms.
        """
        self.optimizer.zero_grad()
        loss = torch.zeros((), device=self.device)
        for term in losses:
            term.backward()
            loss = loss + term.detach()
        if shared and world() > 1:
            # of weights in parts the backward pass has summed the gradients
            loss = total(loss) if self.sharded else self._summed(loss)
        norm = whole(clip_grad_norm_(self.weights.values(), self.clip))
        rate = self.schedule.rate(self.count)
        found = torch.stack([loss, norm])
        numbers, finite = arriving(found), found.isfinite().all()
        if found.is_cuda:
            skip = (~finite).float()  # AdamW looks there, as it does for gradient scalers
            self.optimizer.found_inf = skip  # type: ignore[attr-defined]
        if found.is_cuda or finite:
            self.optimizer.param_groups[0]["lr"] = rate
            self.optimizer.step()
            if self.regularise is not None:
                self.regularise(self.network)
            self._update_average()
            self.count += 1
        names = ("loss", "gradient_norm")
        return lambda: dict(zip(names, numbers(), strict=True)) | {"learning_rate": rate}

    @torch.no_grad()
    def _summed(self, loss: Tensor) -> Tensor:
        """Sum gradients and loss over the ranks, in one message."""
        gradients = [w.grad for w in self.weights.values() if w.grad is not None]
        whole = total(torch.cat([*(g.flatten() for g in gradients), loss.reshape(1)]))
        parts = whole[:-1].split([g.numel() for g in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return whole[-1]

    @torch.no_grad()
    def _update_average(self) -> None:
        for keep, kept in zip(self.schedule.keep(self.count), self._following, strict=True):
            torch._foreach_lerp_(kept, self._learning, 1 - keep)
        if buffers := list(self.network.buffers()):  # anew: modules put others in their place
            for average in (*self.averages.values(), *self.powers.values()):
                torch._foreach_copy_(list(average.buffers()), buffers)

    def averaged(self, ema: float) -> nn.Module:
        """An average, whole; of weights in parts all ranks call it together."""
        average = self.averages[ema]
        return gathered(average, self.untrained) if self.sharded else average

    def _networks(self) -> dict[str, nn.Module]:
        """The network and its averages, by the names that their weights have in a state."""
        first, *others = self.averages.items()
        named = {"network/": self.network, "average/": first[1]}
        named |= {f"average {ema}/": average for ema, average in others}
        return named | {power_name(width): average for width, average in self.powers.items()}

    def state(self) -> dict[str, Tensor]:
        """Everything the next step needs: weights, averages, both moments of AdamW, the count.

        Of weights in parts all ranks call it together, and the first alone has the state.
        """
        tensors = {f"{prefix}{name}": value for prefix, module in self._networks().items()
                   for name, value in module.state_dict().items()}  # fmt: skip
        for name, weight in self.weights.items():
            for moment, value in self.optimizer.state[weight].items():
                tensors[f"{moment}/{name}"] = value
        tensors["count"] = torch.tensor(self.count)
        if not self.sharded:
            return tensors
        kept = {}
        for name, x in tensors.items():
            together = whole(x).cpu()
            if rank() == 0:
                kept[name] = together
        return kept

    @torch.no_grad()
    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Continue from what :meth:`state` gave.

        Raises:
            KeyError: If a tensor is missing.
            RuntimeError: If a tensor has another shape.
        """
        for prefix, module in self._networks().items():
            known = module.state_dict()
            module.load_state_dict({name: part_of(x, known[name])
                                    for name, x in under(prefix, tensors).items()})  # fmt: skip
        self.count = int(tensors["count"])
        for name, weight in self.weights.items() if self.count else ():
            like = torch.empty_like(weight)  # laid out as the weight is
            moments = {moment: like.clone().copy_(part_of(tensors[f"{moment}/{name}"], weight))
                       for moment in ("exp_avg", "exp_avg_sq")}  # fmt: skip
            steps = tensors[f"step/{name}"].to(weight.device)
            self.optimizer.state[weight] = {"step": steps, **moments}


def weights_dtype(network: Any) -> torch.dtype:
    """Of a network that is to be trained.

    In half precision most updates are less than the last digit of a weight, and what the average
    moves in a step always is: it would stay where it is.

    Raises:
        InputError: If it is no module, has no weights, or ones of half precision.
    """
    first = next(network.parameters(), None) if isinstance(network, nn.Module) else None
    name = type(network).__name__
    require(first is not None, "a network to train needs weights", got=f"none in {name}")
    dtype: torch.dtype = first.dtype  # type: ignore[union-attr]
    require(dtype in (torch.float32, torch.float64), "weights to train must be float32 or float64",
            got=dtype, do="pass network.float(); products may be of half precision beside them: "
            "precision='bfloat16' of train_score")  # fmt: skip
    return dtype


def _weights(network: nn.Module) -> list[Tensor]:
    return list(network.parameters())


def power_name(width: float) -> str:
    """What the names of a width's average begin with, in a state."""
    return f"power {width}/"


def shares(n: int, parts: int = 1) -> list[slice]:
    """What this rank takes of the n points of a batch, in as many parts.

    Raises:
        InputError: If there are fewer points than parts on all ranks.
    """
    every = world() * parts
    require(n >= every, f"a batch needs a point for each of {every} shares "
            f"({world()} ranks x {parts} parts)", got=n)  # fmt: skip
    return cuts(n, every)[rank() * parts :][:parts]


def measured(task: Averaged, measure: Measure | None, every: int) -> dict[str, float]:
    """What to log of the averaged network after a step: mostly nothing.

    Args:
        task: The network in training.
        measure: Asked every so many steps, and after the last; None measures nothing.
        every: How many.
    """
    return {} if measure is None or not due(task, every) else measure(task.average)


def due(task: Averaged, every: int) -> bool:
    """Whether to measure after this step: every so many, and after the last."""
    return task.count % every == 0 or task.count == task.schedule.steps


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with a prefix, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
