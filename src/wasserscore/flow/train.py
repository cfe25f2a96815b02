"""``train_generator``: a network and data in, a law that is sampled in one evaluation out."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from wasserscore.core.tensors import as_points, require_alike
from wasserscore.data import Scaling
from wasserscore.flow.annealing import Annealing
from wasserscore.flow.difference import DriftField
from wasserscore.flow.features import FeatureMap, identity
from wasserscore.flow.generator import DriftTask
from wasserscore.flow.named import drift_named
from wasserscore.flow.progress import Progress
from wasserscore.flow.settings import DriftSettings
from wasserscore.flow.views import view_of
from wasserscore.network import describe
from wasserscore.score import Pushforward
from wasserscore.training.averaged import weights_dtype
from wasserscore.training.checkpoint import Checkpoints
from wasserscore.training.denoising import CLIP
from wasserscore.training.identity import sha256
from wasserscore.training.loop import Callback, run


def train_generator(
    network: nn.Module,
    target: Any,
    *,
    drift: str | DriftField = "score_difference",
    bandwidths: Annealing | str | float = "geometric",
    features: Sequence[FeatureMap] = (identity,),
    step: float = 1.0,
    steps: int = 2000,
    batch_size: int = 512,
    learning_rate: float = 1e-3,
    ema: float = 0.999,
    weight_decay: float = 0.01,
    gradient_clip: float = CLIP,
    latent: int | None = None,
    holdout: Any = None,
    measure_every: int = 250,
    scaling: Scaling | None = None,
    callbacks: Sequence[Callback] = (),
    out: str | Path | None = None,
    checkpoint_every: int = 500,
    seed: int = 0,
) -> Pushforward:
    r"""Train a generator :math:`x = G(z)` that samples in one evaluation, by following a drift.

    Every step draws latents and a batch of the target, asks the drift where each generated point
    should go, and takes one step of AdamW towards there (:mod:`wasserscore.flow.generator`). The
    network given is copied and stays as it is; the result holds the average of the trained
    weights. The loss does not fall while the generator improves, so ``holdout`` is what tells.
    With ``out`` an interrupted call continues as in :func:`~wasserscore.training.train_score`,
    and ends with the same bits.

    Args:
        network: ``G(z (b, latent)) -> (b, *shape)``, for example ``ws.networks.LatentMLP``.
        target: Points ``(n, *shape)`` in model units, see ``scaling``.
        drift: ``"score_difference"``, ``"drifting"``, ``"sinkhorn"``, or an object of
            :mod:`wasserscore.flow` such as ``ScoreDifference(self_interaction="noised")``.
        bandwidths: The drift's width at every step: an
            :class:`~wasserscore.flow.Annealing` (its ``steps`` are taken from here), its name, or
            one width for all. Widths that are not given fall from half the size of the data to
            the distance of neighbours in a batch. Drifting has temperatures of its own.
        features: Maps ``(b, *shape) -> (b, k)`` in which drifts are taken, one loss each.
        step: How far along the drift the aim of a step lies.
        steps: Updates in all.
        batch_size: Generated points, and points of the target, per update.
        learning_rate: Of AdamW at the start; it falls to zero by a half cosine.
        ema: How much of the averaged weights survives a step, once warmed up; in [0, 1).
        weight_decay: Of AdamW.
        gradient_clip: Largest gradient norm; longer gradients are shortened to it.
        latent: Coordinates of a latent; the network's own ``latent`` where None.
        holdout: Points that are not trained on: every ``measure_every`` steps, and at the last,
            the logs hold ``w2`` of the averaged generator to them, ``w2_floor`` (training points
            to them) and ``coverage``.
        measure_every: Steps between two such measurements.
        scaling: How ``target`` came from data units; kept with the generator, so samples return
            there.
        callbacks: Called as ``callback(step, logs)`` after every step.
        out: Folder of the run; None keeps nothing on disk.
        checkpoint_every: Steps between two checkpoints, where there is ``out``.
        seed: Of the latents, the order of the target and the drift's noise.

    Raises:
        InputError: For settings or data that cannot be used, and for an ``out`` that holds the
            checkpoints of a different run (names the difference).
        DivergedError: If the loss stops being finite (names the step).

    Source: :cite:p:`weber2023`; :cite:p:`deng2026`.
    """
    dtype = weights_dtype(network)
    points = as_points(target, "target", minimum=2).to(dtype)
    settings = DriftSettings(
        step=step, steps=steps, batch_size=batch_size, learning_rate=learning_rate, ema=ema,
        weight_decay=weight_decay, gradient_clip=gradient_clip,
        latent=getattr(network, "latent", None) if latent is None else latent,  # type: ignore[arg-type]
        measure_every=measure_every, seed=seed,
    )  # fmt: skip
    field, name = drift_named(drift)
    untrained = copy.deepcopy(network).eval()
    law = Pushforward(untrained, settings.latent, tuple(points.shape[1:]))
    progress = None
    if holdout is not None:
        require_alike(target=target, holdout=holdout)
        unseen = as_points(holdout, "holdout").to(dtype)
        progress = Progress(points, unseen, law.latent, scaling, settings.seed)
    task = DriftTask(
        network, law.latent, field,
        [view_of(f, law, points, bandwidths, settings) for f in features],
        settings.schedule, step=settings.step, weight_decay=settings.weight_decay,
        clip=settings.gradient_clip, measure=progress, every=settings.measure_every,
    )  # fmt: skip
    checkpoints = None
    if out is not None:
        config = {
            "objective": "generator",
            "drift": name,
            **settings.to_dict(),
            "features": [getattr(f, "__name__", type(f).__name__) for f in features],
            "feature_units": [view.unit for view in task.views],
            "bandwidths_sha256": [sha256(points.new_tensor(v.widths)) for v in task.views],
            "scaling": None if scaling is None else scaling.to_dict(),
            "network": describe(network),
            "initial_weights_sha256": sha256(*network.state_dict().values()),
            "data_sha256": sha256(points),
        }
        checkpoints = Checkpoints(Path(out) / "checkpoints", config, every=checkpoint_every)
    run(task, points, steps=settings.steps, batch_size=settings.batch_size, seed=settings.seed,
        callbacks=callbacks, checkpoints=checkpoints)  # fmt: skip
    return Pushforward(task.average, law.latent, law.shape, scaling)
