"""``train_score``: a network, data and a process in, a score out."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer
from wasserscore.core.random import as_seed
from wasserscore.core.tensors import as_points
from wasserscore.core.typing import Points
from wasserscore.data import Mapped, Scaling
from wasserscore.network import describe
from wasserscore.process.base import Process
from wasserscore.score import NetworkScore
from wasserscore.training.augmentation import Augmentation
from wasserscore.training.checkpoint import Checkpoints
from wasserscore.training.denoising import CLIP, PRECISIONS, Denoising
from wasserscore.training.heldout import HeldOut
from wasserscore.training.importance import Importance
from wasserscore.training.labelled import Labelled, Rows
from wasserscore.training.levels import Weighting
from wasserscore.training.loop import Callback, run
from wasserscore.training.regularise import Regulariser, regulariser_named
from wasserscore.training.schedule import Schedule
from wasserscore.training.weighting import weighting_named

OBJECTIVES = ("denoising", "implicit", "implicit_hutchinson", "sliced")


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
        learning_rate: Of AdamW, the highest.
        warmup: Steps over which the learning rate first rises from zero.
        decay: How it falls to zero over the steps: ``"cosine"`` (a half one), ``"linear"``, or
            ``"constant"`` where it stays.
        ema: How much of the averaged weights survives a step, once warmed up; in [0, 1). Of
            several the one with the least loss of the ``holdout`` is kept, which the logs name
            (``ema``, ``holdout_loss at ema=...``), and ``score.ema``.
        weight_decay: Of AdamW.
        gradient_clip: Largest gradient norm; longer gradients are shortened to it.
        regularise: What keeps the score from expanding, for a small certificate: ``"spectral"``
            (no layer stretches by more than 1), ``"clip"`` (no weight above 0.1), or an object of
            :mod:`wasserscore.training.regularise`.
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
            images show nothing of it.
        precision: ``"float32"`` leaves the network in its own dtype; ``"bfloat16"`` lets its
            products and convolutions run in that, on a GPU several times as fast.
        compile: Whether ``torch.compile`` makes the network faster, after a minute of work.
        accumulate: Parts into which a batch is cut that does not fit into memory at once: the
            same update up to rounding.
        shard: Whether ranks hold the weights, their average and AdamW's moments in parts, for
            networks that one device cannot hold beside them (PyTorch's FSDP); the same training
            up to rounding. Alone it changes nothing.
        holdout: Points ``(m, *shape)`` in model units that are not trained on: the logs then
            hold their loss, of the averaged weights, in all and per noise level (``holdout_loss``,
            ``holdout_loss at r=...``).
        measure: Asked about the score with the averaged weights as often, its numbers go to the
            logs: :class:`wasserscore.audit.Watch` gives W2 with its floor and the share of copies.
        measure_every: Steps between two such measurements; the last step has one too.
        callbacks: Called as ``callback(step, logs)`` after every step, for example
            :class:`~wasserscore.training.JsonLines` and
            :class:`~wasserscore.training.TensorBoard`.
        out: Folder of the run; None keeps nothing on disk.
        checkpoint_every: Steps between two checkpoints.
        keep: How many of the last checkpoints stay.
        seed: Of the order of the data, the noise levels and the noise.

    Raises:
        InputError: For settings or data that cannot be used, and for an ``out`` that holds the
            checkpoints of a different run (names the difference).
        DivergedError: If the loss stops being finite (names the step).

    Source: :cite:`karras2022` section 5; :cite:`song2021` eq. (7).
    """
    points = data if isinstance(data, Mapped) else as_points(data, "data")
    require(objective in OBJECTIVES, f"objective must be one of {OBJECTIVES}", got=repr(objective))
    steps, batch_size = as_integer(steps, "steps"), as_integer(batch_size, "batch_size")
    warmup, seed = as_integer(warmup, "warmup", least=0), as_seed(seed)
    accumulate = as_integer(accumulate, "accumulate", most=batch_size)
    measure_every = as_integer(measure_every, "measure_every")
    keep = as_integer(keep, "keep")
    require(learning_rate > 0, "learning_rate must be positive", got=learning_rate)
    require(precision in PRECISIONS, f"precision must be one of {PRECISIONS}", got=repr(precision))
    require(
        objective == "denoising" or not compile,
        "compile serves the denoising objective, others need second derivatives",
        got=repr(objective),
    )
    require(0 <= label_dropout < 1, "label_dropout must lie in [0, 1)", got=label_dropout)
    others = {"compile": compile, "regularise": regularise is not None,
              "objective": objective != "denoising", "measure": measure is not None}  # fmt: skip
    taken = [name for name, given in others.items() if given]
    require(not (shard and taken), "weights in parts are trained by denoising alone",
            got=f"shard with {', '.join(taken)}", do="leave one of them out")  # fmt: skip
    require(gradient_clip > 0, "gradient_clip must be positive", got=gradient_clip)
    emas = tuple(ema) if isinstance(ema, Sequence) else (ema,)
    require(len(emas) == len(set(emas)) > 0 and all(0 <= own < 1 for own in emas),
            "ema must lie in [0, 1), several must differ", got=ema)  # fmt: skip
    require(len(emas) == 1 or holdout is not None, "several ema need a holdout that chooses",
            got=ema, do="give holdout=, or one ema")  # fmt: skip
    points = points.to(next(network.parameters()).dtype)
    data_std = root_mean_square(points) if data_std is None else data_std
    require(data_std > 0, "data must vary", got=f"data_std={data_std}")
    untrained = NetworkScore(
        network, process, prediction, "edm", data_std, tuple(points.shape[1:]), scaling
    )
    chosen, limits = weighting_named(weighting), regulariser_named(regularise)
    rows: Rows = points
    if labels is not None or conditions is not None:
        rows = Labelled.build(points, network, labels, conditions)
    augmentation = None
    if augment is not None:
        require(conditions is None, "augment takes the place of conditions", got="both",
                do="leave one of them out")  # fmt: skip
        augmentation = Augmentation.named(augment)
        augmentation.fits(untrained.shape, getattr(network, "condition", 0))
    task = Denoising(
        untrained, chosen, Schedule(steps, learning_rate, emas, warmup, decay), weight_decay,
        limits, gradient_clip, precision=precision, compiled=compile,
        objective=objective, label_dropout=label_dropout, augmentation=augmentation,
        every=measure_every, accumulate=accumulate, sharded=shard,
    )  # fmt: skip
    if holdout is not None:
        unseen = as_points(holdout, "holdout").to(points.dtype)
        # at the levels of the objective, so that curves with and without importance compare
        objective_of = chosen.base if isinstance(chosen, Importance) else chosen
        task.heldout = HeldOut(untrained, objective_of, unseen, seed)
    if measure is not None:
        task.measure = lambda network: measure(replace(untrained, network=network))
    checkpoints = None
    if out is not None:
        config: dict[str, Any] = {
            "objective": objective,
            **chosen.to_dict(),
            "steps": steps,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "ema": emas[0] if len(emas) == 1 else list(emas),
            "weight_decay": weight_decay,
            "gradient_clip": gradient_clip,
            **({} if limits is None else limits.to_dict()),
            **({} if augmentation is None else augmentation.to_dict()),
            **changed(
                {
                    "warmup": (warmup, 0),
                    "decay": (decay, "cosine"),
                    "precision": (precision, "float32"),
                    "compile": (compile, False),
                }
            ),
            "prediction": prediction,
            "data_std": data_std,
            "seed": seed,
            "scaling": None if scaling is None else scaling.to_dict(),
            "process": process.to_dict(),
            "network": describe(network),
            "initial_weights_sha256": sha256(*network.state_dict().values()),
            "data_sha256": points.sha256 if isinstance(points, Mapped) else sha256(points),
        }
        if isinstance(rows, Labelled):
            told = {"labels_sha256": rows.labels, "conditions_sha256": rows.conditions}
            config |= {"label_dropout": label_dropout}
            config |= {name: sha256(x) for name, x in told.items() if x is not None}
        checkpoints = Checkpoints(
            Path(out) / "checkpoints", config, every=checkpoint_every, keep=keep
        )
    run(
        task,
        rows,
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        callbacks=callbacks,
        checkpoints=checkpoints,
    )
    return task.result()


def changed(settings: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
    """Settings that are not the default, which older checkpoints do not name."""
    return {name: value for name, (value, default) in settings.items() if value != default}


def root_mean_square(points: Points | Mapped) -> float:
    """Of all entries."""
    if isinstance(points, Mapped):
        return points.root_mean_square
    return float(points.double().square().mean().sqrt())


def sha256(*tensors: Tensor) -> str:
    """A digest of the numbers, shapes and dtypes of tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
