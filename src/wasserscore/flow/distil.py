"""``distil_generator``: a score model in, a law that is sampled in one evaluation out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.core.tensors import as_points, require_alike
from wasserscore.flow.distillation import Distillation
from wasserscore.flow.progress import Progress
from wasserscore.flow.settings import DistilSettings
from wasserscore.network import describe
from wasserscore.score import NetworkScore, Pushforward
from wasserscore.training.averaged import Averaged, weights_dtype
from wasserscore.training.checkpoint import Checkpoints
from wasserscore.training.denoising import CLIP, Denoising
from wasserscore.training.identity import sha256
from wasserscore.training.loop import Callback, run
from wasserscore.training.weighting import LogNormal

SEEN = 2000
"""Points of a law in closed form from which its spread is taken."""


def distil_generator(
    network: nn.Module,
    teacher: Any,
    *,
    critic: nn.Module | None = None,
    method: str = "dmd",
    alpha: float = 1.2,
    turns: int = 2,
    steps: int = 2000,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    critic_rate: float = 1e-3,
    ema: float = 0.999,
    gradient_clip: float = CLIP,
    latent: int | None = None,
    holdout: Any = None,
    train: Any = None,
    measure_every: int = 250,
    callbacks: Sequence[Callback] = (),
    out: str | Path | None = None,
    checkpoint_every: int = 500,
    seed: int = 0,
) -> Pushforward:
    r"""Train a one-step generator from a score model; no data are needed.

    A second network, the critic, learns the score of the generator's own law, and the generator
    goes where teacher and critic differ (:mod:`wasserscore.flow.distillation`). Neither loss says
    how far it has come: give ``holdout`` and ``train`` to measure. Interrupted runs continue as
    those of :func:`~wasserscore.flow.train_generator`.

    Args:
        network: ``G(z (b, latent)) -> (b, *shape)``, for example ``ws.networks.LatentMLP``.
        teacher: A score with a process: a trained :class:`NetworkScore`, or one in closed form.
        critic: The critic's network ``F(x, c_noise)``; None starts from the teacher's.
        method: ``"dmd"`` or ``"sid"``.
        alpha: Of ``"sid"``: how much of the plain Fisher divergence is taken off; finite.
        turns: Updates of the critic per update of the generator.
        steps: Updates of the generator.
        batch_size: Generated points per update.
        learning_rate: Of the generator at the start; it falls to zero by a half cosine.
        critic_rate: Likewise of the critic.
        ema: How much of the averaged weights survives a step, once warmed up; in [0, 1).
        gradient_clip: Largest gradient norm of either network.
        latent: Coordinates of a latent; the network's own ``latent`` where None.
        holdout: Held-out points, in the teacher's model units, to measure the generator with.
        train: Points of the law for the floor of that measurement; needed beside ``holdout``.
        measure_every: Steps between two measurements.
        callbacks: Called as ``callback(step, logs)`` after every step.
        out: Folder of the run; None keeps nothing on disk.
        checkpoint_every: Steps between two checkpoints, where there is ``out``.
        seed: Of latents, noise levels and noise.

    Raises:
        InputError: For settings or a teacher that cannot be used, and for an ``out`` that holds
            the checkpoints of a different run (names the difference).
        DivergedError: If a loss stops being finite (names the step).
    """
    known = hasattr(teacher, "process") and hasattr(teacher, "shape")
    require(known, "a teacher must be a score with a process and a shape",
            got=type(teacher).__name__)  # fmt: skip
    dtype = weights_dtype(network)
    if critic is not None:
        weights_dtype(critic)
    settings = DistilSettings(
        method=method, alpha=alpha, turns=turns, steps=steps, batch_size=batch_size,
        learning_rate=learning_rate, critic_rate=critic_rate, ema=ema,
        gradient_clip=gradient_clip,
        latent=getattr(network, "latent", None) if latent is None else latent,  # type: ignore[arg-type]
        measure_every=measure_every, seed=seed,
    )  # fmt: skip
    student = Pushforward(network, settings.latent, tuple(teacher.shape))
    progress = None
    if holdout is not None:
        require(train is not None, "holdout needs train beside it", got=None)
        require_alike(train=train, holdout=holdout)
        seen, unseen = (as_points(x, "points").to(dtype) for x in (train, holdout))
        progress = Progress(seen, unseen, student.latent, teacher.scaling, settings.seed)
    untrained = _critic(critic, teacher, Streams(settings.seed))
    task = Distillation(
        Averaged(network, settings.schedule, 0.0, settings.gradient_clip),
        Denoising(untrained, LogNormal(), settings.critic_schedule, 0.0,
                  clip=settings.gradient_clip),
        teacher, student.latent, method=settings.method, alpha=settings.alpha,
        turns=settings.turns, measure=progress, every=settings.measure_every,
    )  # fmt: skip
    checkpoints = None
    if out is not None:
        config = {
            "objective": "distillation",
            **settings.to_dict(),
            "network": describe(network),
            "critic": describe(untrained.network),
            "initial_weights_sha256": sha256(*network.state_dict().values(),
                                             *untrained.network.state_dict().values()),
            "process": teacher.process.to_dict(),
            "teacher_sha256": sha256(*teacher.state()[0].values()),
        }  # fmt: skip
        checkpoints = Checkpoints(Path(out) / "checkpoints", config, every=checkpoint_every)
    no_data = torch.zeros(settings.batch_size, 1, dtype=dtype)  # a batch is a number of points
    run(task, no_data, steps=settings.steps, batch_size=settings.batch_size, seed=settings.seed,
        callbacks=callbacks, checkpoints=checkpoints)  # fmt: skip
    return Pushforward(task.generator.average, student.latent, student.shape, teacher.scaling)


def _critic(network: nn.Module | None, teacher: Any, streams: Streams) -> NetworkScore:
    """The critic before its first step: the teacher itself, or a network of one's own."""
    if network is None:
        require(isinstance(teacher, NetworkScore), "a teacher without a network needs a critic",
                got=type(teacher).__name__, do="pass critic=ws.networks.MLP(...)")  # fmt: skip
        assert isinstance(teacher, NetworkScore)
        return teacher
    spread = getattr(teacher, "data_std", None)
    if spread is None:
        points = teacher.sample_marginal(SEEN, generator=streams.generator("spread"))
        spread = float(points.double().square().mean().sqrt())
    return NetworkScore(network, teacher.process, "velocity", "edm", spread, tuple(teacher.shape))
