"""The loop: it drives any task step by step and can stop and continue anywhere.

Which rows a step sees, and what noise it draws, depends on (seed, step) only. There is no random
state to save, and a resumed run draws exactly what an uninterrupted one would have drawn. Under
several ranks all take every step; the first reads and writes checkpoints and calls callbacks.
"""

import math
import signal
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import lru_cache, partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from wasserscore.core.ahead import Ahead
from wasserscore.core.distributed import largest, on_first, publish, rank, world
from wasserscore.core.errors import require
from wasserscore.core.modes import gradients
from wasserscore.core.random import Streams, keyed
from wasserscore.training.averaged import Logs
from wasserscore.training.checkpoint import Checkpoints
from wasserscore.training.labelled import Rows
from wasserscore.training.signals import StopSignals

Callback = Callable[[int, dict[str, float]], Any]
"""``callback(step, logs)`` after every step; the first step is 1. A GPU works on the next one."""


class DivergedError(ArithmeticError):
    """The loss or its gradient is no longer a finite number; the last checkpoint is sound."""


@runtime_checkable
class Task(Protocol):
    """What the loop drives: networks, optimizers and objective in one object."""

    def step(self, batch: Any, generator: torch.Generator) -> dict[str, float]:
        """One update; leaves everything as it was if a log is not finite."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything the next step needs."""
        ...

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Continue from a state."""
        ...


@runtime_checkable
class Drawing(Protocol):
    """A task whose step is in two parts, the first of which can be done ahead of time."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        ...

    def draw(self, batch: Any, generator: torch.Generator) -> Any:
        """What the update needs; depends on nothing that updates change."""
        ...

    def start(self, drawn: Any) -> Logs:
        """Begin the rest of the step; what is called gives its logs, once the device has them."""
        ...


class Batches:
    """Endless passes over the rows, each in an order of its own; batches may span two passes.

    Args:
        data: Points, one per row.
        size: Rows of a batch.
        streams: Keys the order of every pass.
    """

    def __init__(self, data: Rows, size: int, streams: Streams) -> None:
        self.data, self.size, self.streams = data, size, streams
        self._order = lru_cache(maxsize=4)(self._shuffled)  # steps are drawn in several threads

    def __getitem__(self, step: int) -> Rows:
        """The batch of one step."""
        return self.data[self.rows(step)]

    def rows(self, step: int) -> Tensor:
        """The row numbers of one step."""
        position = torch.arange(step * self.size, (step + 1) * self.size)
        passes, places = position // len(self.data), position % len(self.data)
        parts = [self._order(int(p))[places[passes == p]] for p in passes.unique()]
        return torch.cat(parts)

    def _shuffled(self, number: int) -> Tensor:
        return torch.randperm(len(self.data), generator=self.streams.generator("order", number))


def run(
    task: Task,
    data: Rows,
    *,
    steps: int,
    batch_size: int,
    seed: int,
    callbacks: Sequence[Callback] = (),
    checkpoints: Checkpoints | None = None,
) -> None:
    """Train up to ``steps``, from the last checkpoint if there is one.

    Ctrl-C or a termination signal lets the step in progress finish, writes a checkpoint, and then
    does what it would have done. Of several ranks all stop after the same step, whichever of them
    was signalled.

    Raises:
        DivergedError: Names the step at which the loss stopped being finite.
        KeyboardInterrupt: After the checkpoint is on disk.
        InputError: If the checkpoint belongs to a different configuration, or another process is
            at work in its folder.
    """
    good = isinstance(callbacks, Sequence) and all(map(callable, callbacks))
    require(good, "callbacks must be a list of functions of (step, logs)", got=repr(callbacks))
    require(not any(map(torch.is_autocast_enabled, ("cpu", "cuda"))),
            "training chooses the precision of its products itself", got="torch.autocast",
            do="leave it for this call; train_score has precision='bfloat16'")  # fmt: skip
    with gradients("training"), nullcontext() if checkpoints is None else checkpoints.held():
        _train(task, data, steps, batch_size, seed, callbacks, checkpoints)


def _train(
    task: Task,
    data: Rows,
    steps: int,
    batch_size: int,
    seed: int,
    callbacks: Sequence[Callback],
    checkpoints: Checkpoints | None,
) -> None:
    streams = Streams(seed).child("training")
    batches = Batches(data, batch_size, streams)
    step = saved = _begin(task, checkpoints)

    def save() -> None:
        nonlocal saved
        if checkpoints and step != saved:
            state = task.state()
            on_first(lambda: checkpoints.write(state, step))
            saved = step

    def numbers(k: int) -> tuple[Rows, torch.Generator]:
        return batches[k], streams.generator("noise", k)

    draw: Callable[[int], Any] = numbers
    start: Callable[[Any], Logs] = lambda drawn: partial(dict, task.step(*drawn))
    if isinstance(task, Drawing):
        draw, start = (lambda k: task.draw(*numbers(k))), task.start
    device = getattr(task, "device", torch.device("cpu"))
    elsewhere = isinstance(task, Drawing) and device.type != "cpu"
    begun: deque[tuple[int, Logs]] = deque()

    def hear(leaving: int) -> KeyboardInterrupt | None:
        """The logs of all steps begun but the last few."""
        interrupted = None
        while len(begun) > leaving and not interrupted:
            k, logs = begun.popleft()
            interrupted = _told(callbacks if rank() == 0 else (), k, _finite(logs(), k))
        return interrupted

    with (
        StopSignals(active=checkpoints is not None) as stop,
        Ahead(draw, steps, active=elsewhere) as drawn,
    ):
        while step < steps and not stop.agreed:
            with keyed(streams.key(f"layers/{rank()}", step), device):
                begun.append((step + 1, start(drawn(step))))
            step += 1
            due = step == steps or (checkpoints is not None and step % checkpoints.every == 0)
            interrupted = hear(leaving=int(elsewhere and not due))
            stop.agree(signal.SIGINT if interrupted else None)
            if stop.agreed:
                interrupted = hear(leaving=0) or interrupted
            if due or stop.agreed:
                save()
            if interrupted:
                raise interrupted
    if step < steps:  # the signal's own handler returned; half a training is no result
        raise KeyboardInterrupt(f"training stopped after step {step}; run it again to continue")


def _begin(task: Task, checkpoints: Checkpoints | None) -> int:
    """The step to go on from, every rank with the first one's state."""
    step, found = 0, dict[str, Tensor]()

    def restore() -> None:
        nonlocal step, found
        step, found = checkpoints.restore(task) if checkpoints else (0, {})

    on_first(restore)
    if world() > 1:
        step = int(largest(torch.tensor(step)))
        found = publish(found if step else task.state())
        if rank() > 0:
            task.load_state(found)
    return step


def _told(
    callbacks: Sequence[Callback], step: int, logs: dict[str, float]
) -> KeyboardInterrupt | None:
    """Call the callbacks; an interruption is handed back, for all ranks to hear of it."""
    try:
        for callback in callbacks:
            callback(step, logs)
    except KeyboardInterrupt as error:
        return error
    return None


def _finite(logs: dict[str, float], step: int) -> dict[str, float]:
    for name, value in logs.items():
        if not math.isfinite(value):
            raise DivergedError(
                f"training diverged: {name} is {value} at step {step}; "
                "lower learning_rate, or look for extreme values in the data"
            )
    return logs
