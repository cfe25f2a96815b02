"""Another average of the weights, after training."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.network import describe
from wasserscore.score import NetworkScore
from wasserscore.training.averaged import power_name, under
from wasserscore.training.checkpoint import Checkpoints
from wasserscore.training.power import Profile, nearest

MISSING = 0.1
"""Of the norm of a profile, the most that the averages in checkpoints may leave out."""


def post_hoc(score: NetworkScore, out: str | Path, *, width: float) -> NetworkScore:
    """The score with an average of the weights of any width, made of those in checkpoints.

    ``train_score(ema_widths=(0.05, 0.1), out=, checkpoint_every=, keep=)`` leaves two averages in
    each of the last ``keep`` checkpoints; ten of these, spread over the training, make averages
    of width 0.05 to 0.15 with profiles within 2.5 %. Which width is best is soon tried, by a
    held-out loss or a :class:`~wasserscore.audit.Watch`. Some averages are subtracted, so the
    result may leave the set that ``regularise=`` keeps the weights in.

    A damaged checkpoint is left out, as where a training goes on.

    Args:
        score: What the training gave.
        out: Folder of the run.
        width: Standard deviation of the average's profile in time, over the length of the
            training; of 0.1 the last quarter has nine tenths.

    Raises:
        InputError: If there are no such checkpoints of this network, or too few that can be read
            for the width.

    Source: :cite:`karras2024dynamics` section 3.2; see :mod:`wasserscore.training.power`.
    """
    checkpoints = Checkpoints(Path(out) / "checkpoints", {})
    steps = checkpoints.steps()
    require(bool(steps), "post_hoc needs a run's checkpoints", got=f"none in {out}")
    # each is read once to see that it can be, so that memory holds one at a time
    documents = {step: document for step, _, document in checkpoints.readable()}
    whole, damaged = sorted(documents), sorted(set(steps) - documents.keys())
    config: dict[str, Any] = documents[whole[-1]]["config"]
    require("ema_widths" in config, "post_hoc needs a run with ema_widths=", got="one without")
    own_network = describe(score.network)
    require(config["network"] == own_network, f"score must be that of the run in {out}",
            got=own_network)  # fmt: skip
    known = [Profile(own, step) for step in whole for own in config["ema_widths"]]
    factors, missing = nearest(Profile(width, steps[-1]), known)
    without = f" without the damaged checkpoints of {damaged}" if damaged else ""
    require(missing <= MISSING, f"the averages after steps {whole} make no width of {width}",
            got=f"one that misses {missing:.0%} of its profile{without}",
            do="run the training again, which goes on from the last whole one"
            if steps[-1] in damaged else
            "keep more checkpoints, or take a width nearer to those of the run")  # fmt: skip
    share = dict(zip(known, factors, strict=True))
    sums: dict[str, Tensor] = {
        name: torch.zeros_like(weight, dtype=torch.float64, device="cpu")
        for name, weight in score.network.named_parameters(remove_duplicate=False)
    }
    for step in whole:
        last, _ = checkpoints.read(step)
        for own in config["ema_widths"]:
            average = under(power_name(own), last)
            for name, total in sums.items():
                total += share[Profile(own, step)] * average[name].double()
    network = copy.deepcopy(score.network)
    network.load_state_dict(under(power_name(config["ema_widths"][0]), last) | sums)
    return replace(score, network=network, ema=None)
