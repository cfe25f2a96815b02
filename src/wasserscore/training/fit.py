"""``train_score``: a network, data and a process in, a score out."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from wasserscore.core.errors import require
from wasserscore.core.tensors import as_points, require_alike, require_shape
from wasserscore.core.typing import Points
from wasserscore.data import Mapped, Scaling
from wasserscore.process.base import Process
from wasserscore.score import NetworkScore
from wasserscore.training.augmentation import Augmentation
from wasserscore.training.averaged import weights_dtype
from wasserscore.training.checkpoint import Checkpoints
from wasserscore.training.denoising import CLIP, Denoising
from wasserscore.training.heldout import HeldOut
from wasserscore.training.identity import identity
from wasserscore.training.importance import Importance
from wasserscore.training.labelled import Labelled, Rows
from wasserscore.training.levels import Weighting
from wasserscore.training.loop import Callback, run
from wasserscore.training.regularise import Regulariser, regulariser_named
from wasserscore.training.settings import Settings
from wasserscore.training.weighting import weighting_named


def train_score(
    network: nn.Module,
    data: Any,
    process: Process,
    *,
    objective: str = "denoising",
    weighting: str | Weighting = "edm",
    steps: int = 800,
    batch_size: int = 256,
    learning_rate: float = 3e-3,
    warmup: int = 0,
    decay: str = "cosine",
    ema: float | Sequence[float] = 0.999,
    ema_widths: float | Sequence[float] = (),
    weight_decay: float = 0.01,
    gradient_clip: float = CLIP,
    regularise: str | Regulariser | None = None,
    prediction: str = "velocity",
    data_std: float | None = None,
    scaling: Scaling | None = None,
    labels: Any = None,
    conditions: Any = None,
    label_dropout: float = 0.1,
    augment: str | Sequence[str] | Augmentation | None = None,
    precision: str = "float32",
    compile: bool = False,
    accumulate: int = 1,
    shard: bool = False,
    holdout: Any = None,
    measure: Callable[[NetworkScore], dict[str, float]] | None = None,
    measure_every: int = 500,
    callbacks: Sequence[Callback] = (),
    out: str | Path | None = None,
    checkpoint_every: int = 500,
    keep: int = 2,
    seed: int = 0,
) -> NetworkScore:
    """Train a network as the score of the noised data, by score matching.

    The network given is copied and stays as it is; the score holds the average of the trained
    weights. Training is where the network is: the data may stay on the CPU, which draws all
    random numbers (for another device in a thread, ahead of time). With ``out``, checkpoints go
    to ``out/checkpoints``, an interruption leaves one, and the same call continues from it; on
    one machine's CPU it ends with the same bits as a run that was never interrupted. A finished
    run returns at once.

    Under ``torchrun`` every rank makes this call and takes its share of each batch, which is as
    large as without: the same training, up to rounding. Checkpoints and callbacks are the first
    rank's; a signal to any of them stops all after the same step. A layer that mixes the rows of
    a batch (batch normalisation) sees a rank's share only.

    Args:
        network: ``F(x (b, *shape), c_noise (b,)) -> like x``, for example ``ws.networks.MLP``.
        data: Points ``(n, *shape)`` in model units; best centred, see ``scaling``. A
            :class:`wasserscore.data.Mapped` stays on disk, whatever its size.
        process: The forward process.
        objective: ``"denoising"``, or ``"implicit"``, ``"implicit_hutchinson"``, ``"sliced"``: the
            same loss in expectation, from noisy points alone, at the cost of second derivatives.
        weighting: ``"edm"``, ``"certificate"`` (the weight of the certificate's bound),
            ``"likelihood"``, ``"uniform"`` (both J_DSM), ``"min_snr"``, or an object of
            :mod:`wasserscore.training.weighting` or :mod:`wasserscore.training.bound`; or any of
            these with levels drawn by their measured losses,
            :class:`~wasserscore.training.Importance`.
        steps: Updates in all.
        batch_size: Points per update.
        learning_rate: Of AdamW, before ``warmup`` and ``decay`` lower it.
        warmup: Steps over which the learning rate first rises from zero, while ``decay`` goes on.
        decay: How it falls to zero over the steps: ``"cosine"`` (a half one), ``"linear"``, or
            ``"constant"`` where it stays.
        ema: How much of the averaged weights survives a step, once warmed up; in [0, 1). Of
            several the one with the least loss of the ``holdout`` is kept, which the logs name
            (``ema``, ``holdout_loss at ema=...``), and ``score.ema``.
        ema_widths: Of averages that checkpoints keep besides, ``(0.05, 0.1)`` say, or of one, from
            which :func:`~wasserscore.training.post_hoc` makes one of any width after training.
        weight_decay: Of AdamW.
        gradient_clip: Largest gradient norm; longer gradients are shortened to it.
        regularise: What keeps the score from expanding, for a small certificate: ``"spectral"``
            (no linear layer stretches by more than 1), ``"clip"`` (no weight of one above 0.1), or
            an object of :mod:`wasserscore.training.regularise`. Convolutions are left as they are.
        prediction: What the network predicts, see :class:`NetworkScore`.
        data_std: Root mean square of the data's entries; measured where None (in one pass over
            mapped rows).
        scaling: How ``data`` came from data units; kept with the score, so samples return there.
        labels: Classes ``(n,)`` from 0, for a network built with ``classes=``.
        conditions: Vectors ``(n, k)`` for a network built with ``condition=k``, best of entries
            near one and away from zero, which says nothing (an angle: its cosine and sine);
            ``score.conditioned(vector)`` is the score of one.
        label_dropout: Share of the points that are trained without their class and vector, so
            that the network is a score of all together too; what guidance needs.
        augment: ``"flip"``, ``"rotate"``, ``"translate"``, several of them, or an
            :class:`~wasserscore.training.Augmentation`: images are transformed in training, the
            network (built with ``condition=`` 1, 2, 2, or their sum) is told how, and generated
            images show nothing of it. Beside ``conditions`` the network is told these first: it
            is built with the sum of both lengths.
        precision: ``"float32"`` leaves the network in its own dtype; ``"bfloat16"`` lets its
            products and convolutions run in that, on a GPU several times as fast.
        compile: Whether ``torch.compile`` makes the network faster, after a minute of work.
        accumulate: Parts into which a batch is cut that does not fit into memory at once: the
            same update up to rounding.
        shard: Whether ranks hold the weights, their average and AdamW's moments in parts, for
            networks that one device cannot hold beside them (PyTorch's FSDP); the same training
            up to rounding. ``measure`` is asked about the average gathered on every rank. Alone it
            changes nothing.
        holdout: Points ``(m, *shape)`` in model units that are not trained on: the logs then
            hold their loss, of the averaged weights, in all and per noise level (``holdout_loss``,
            ``holdout_loss at r=...``); without classes and vectors, which takes some
            ``label_dropout``.
        measure: Asked about the score with the averaged weights as often, its numbers go to the
            logs: :class:`wasserscore.audit.Watch` gives W2 with its floor and the share of copies.
            All ranks ask it together, the first one's numbers count.
        measure_every: Steps between two such measurements; the last step has one too.
        callbacks: Called as ``callback(step, logs)`` after every step, for example
            :class:`~wasserscore.training.JsonLines` and
            :class:`~wasserscore.training.TensorBoard`.
        out: Folder of the run; None keeps nothing on disk.
        checkpoint_every: Steps between two checkpoints, where there is ``out``.
        keep: How many of the last checkpoints stay.
        seed: Of the order of the data, the noise levels and the noise, and of what layers of the
            network draw (dropout).

    Raises:
        InputError: For settings or data that cannot be used, and for an ``out`` that holds the
            checkpoints of a different run (names the difference).
        DivergedError: If the loss stops being finite (names the step).

    Source: :cite:`karras2022` section 5; :cite:`song2021` eq. (7).
    """
    points = data if isinstance(data, Mapped) else as_points(data, "data")
    settings = Settings(
        objective=objective, weighting=weighting_named(weighting), steps=steps,
        batch_size=batch_size, learning_rate=learning_rate, warmup=warmup, decay=decay, ema=ema,
        ema_widths=ema_widths, weight_decay=weight_decay, gradient_clip=gradient_clip,
        regularise=regulariser_named(regularise), label_dropout=label_dropout,
        augmentation=None if augment is None else Augmentation.named(augment),
        precision=precision, compile=compile, accumulate=accumulate, shard=shard,
        measure_every=measure_every, keep=keep, seed=seed,
    )  # fmt: skip
    require(out is not None or not settings.widths,
            "ema_widths need out=, whose checkpoints hold them", got=ema_widths)  # fmt: skip
    dtype = weights_dtype(network)
    require(measure is None or callable(measure), "measure must be a function of the score",
            got=repr(measure))  # fmt: skip
    points = points.to(dtype)
    data_std = root_mean_square(points) if data_std is None else data_std
    require(data_std != 0, "data must vary", got=f"data_std={data_std}")
    untrained = NetworkScore(
        network, process, prediction, "edm", data_std, tuple(points.shape[1:]), scaling,
        augmented=settings.augmented,
    )  # fmt: skip
    rows = _rows(points, network, labels, conditions, settings)
    if holdout is not None:
        require_alike(data=data, holdout=holdout)
        told = labels is not None or conditions is not None
        require(not told or settings.label_dropout > 0,
                "label_dropout must be positive beside a holdout, which the network is asked "
                "about without classes and vectors", got=settings.label_dropout)  # fmt: skip
    task = _task(untrained, settings, holdout, measure)
    checkpoints = None
    if out is not None:
        checkpoints = Checkpoints(
            Path(out) / "checkpoints", identity(settings, untrained, rows),
            every=checkpoint_every, keep=settings.keep,
        )  # fmt: skip
    run(task, rows, steps=settings.steps, batch_size=settings.batch_size, seed=settings.seed,
        callbacks=callbacks, checkpoints=checkpoints)  # fmt: skip
    return task.result()


def _rows(
    points: Points | Mapped,
    network: nn.Module,
    labels: Any,
    conditions: Any,
    settings: Settings,
) -> Rows:
    """The points, with what the network is told of each."""
    own = 0
    if conditions is not None:
        conditions = as_points(conditions, "conditions")
        own = conditions.shape[1]
    if settings.augmentation is not None:
        told = getattr(network, "condition", 0)
        settings.augmentation.fits(tuple(points.shape[1:]), told, own)
    if labels is None and conditions is None:
        return points
    return Labelled.build(points, network, labels, conditions, settings.augmented)


def _task(
    untrained: NetworkScore,
    settings: Settings,
    holdout: Any,
    measure: Callable[[NetworkScore], dict[str, float]] | None,
) -> Denoising:
    """The training of the score, and what its averaged weights are asked on the way."""
    require(len(settings.emas) == 1 or holdout is not None, "several ema need a holdout that "
            "chooses", got=settings.ema, do="give holdout=, or one ema")  # fmt: skip
    task = Denoising(
        untrained, settings.weighting, settings.schedule, settings.weight_decay,
        settings.regularise, settings.gradient_clip, precision=settings.precision,
        compiled=settings.compile, objective=settings.objective,
        label_dropout=settings.label_dropout, augmentation=settings.augmentation,
        every=settings.measure_every, accumulate=settings.accumulate, sharded=settings.shard,
    )  # fmt: skip
    if holdout is not None:
        unseen = as_points(holdout, "holdout").to(next(untrained.network.parameters()).dtype)
        require_shape(unseen, untrained.shape, "holdout")
        # at the levels of the objective, so that curves with and without importance compare
        own = settings.weighting
        levels = own.base if isinstance(own, Importance) else own
        task.heldout = HeldOut(untrained, levels, unseen, settings.seed)
    if measure is not None:
        task.measure = lambda network: measure(replace(untrained, network=network))
    return task


def root_mean_square(points: Points | Mapped) -> float:
    """Of all entries."""
    if isinstance(points, Mapped):
        return points.root_mean_square
    return float(points.double().square().mean().sqrt())
