r"""What a density says of its own training rows: the likelihood gap, and room to move.

.. math:: \text{gap} = \frac1n \sum_{x \in T} \log p(x) - \frac1l \sum_{x \in P} \log p(x)

With p a mixture centred at the training rows, the gap holds the trivial term of each row's own
component, and that is the point: it grows without limit as the components shrink onto the rows.
Without that term the gap is about zero, or negative, for memorizing mixtures too, and shows
overfitting of another kind; both are reported.
"""

import math
from typing import Any

import torch
from pandas import DataFrame
from torch import Tensor

from wasserscore.audit.closeness import mean_number, median_distance
from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate
from wasserscore.core.typing import PerPoint
from wasserscore.kernel import nearest

MAX_ROWS = 5000
"""Rows of each set (drawn at random from more) that a model is asked about."""
NEED_MODEL = (
    "likelihood_train", "likelihood_holdout", "likelihood_gap", "likelihood_gap_others",
    "local_dimension", "local_dimension_holdout", "local_dimension_contrast",
)  # fmt: skip


def asked_of_model(
    model: Any, train: Tensor, generated: Tensor, holdout: Tensor | None, seed: int
) -> dict[str, Estimate | None]:
    """Everything of ``NEED_MODEL`` that this model, with or without a hold-out, can answer.

    Args:
        model: A score of ours with ``log_prob``, or anything with scikit-learn's
            ``score_samples``; in the units of the rows.
        train: Distinct training rows (n, *shape).
        generated: Rows (m, *shape).
        holdout: Rows (l, *shape), or None.
        seed: Seed of which rows are asked, and of the bootstrap.
    """
    found: dict[str, Estimate | None] = dict.fromkeys(NEED_MODEL)
    asked = {
        name: _some(rows.double(), seed, name)
        for name, rows in (("train", train), ("generated", generated), ("holdout", holdout))
        if rows is not None
    }
    own = mean_number(log_density(model, asked["train"]), "nats")
    found["likelihood_train"] = own
    if "holdout" in asked:
        fresh = mean_number(log_density(model, asked["holdout"]), "nats")
        found["likelihood_holdout"], found["likelihood_gap"] = fresh, _less(own, fresh)
        if hasattr(model, "log_prob_of_others") and 2 * model.components > len(train):
            others = model.log_prob_of_others(_scaled(model, asked["train"])) - _log_det(model)
            found["likelihood_gap_others"] = _less(mean_number(others, "nats"), fresh)
    if hasattr(model, "local_dimension"):
        found |= _local_dimensions(model, train, asked, seed)
    return found


def log_density(model: Any, rows: Tensor) -> PerPoint:
    """Log density of each row, in nats, per unit of volume of the rows.

    Raises:
        InputError: If the model has none, or not one finite-or-minus-infinite number per row.
    """
    if hasattr(model, "score_samples"):
        flat, names = rows.flatten(1).numpy(), getattr(model, "feature_names_in_", None)
        named = flat if names is None else DataFrame(flat, columns=names)
        values = torch.as_tensor(model.score_samples(named))
    elif hasattr(model, "log_prob"):
        values = model.log_prob(_scaled(model, rows)) - _log_det(model)
    else:
        raise InputError(explain("model needs log_prob (a score of ours) or score_samples",
                                 got=type(model).__name__, do="leave model out"))  # fmt: skip
    require(values.shape == (len(rows),) and not bool(values.isnan().any()),
            "model must give one log density per row", got=f"shape {tuple(values.shape)}",
            do="check that it was fitted in the units of the rows")  # fmt: skip
    return values.detach().cpu().double()


def _local_dimensions(
    model: Any, train: Tensor, asked: dict[str, Tensor], seed: int
) -> dict[str, Estimate | None]:
    """The medians at generated and held-out rows, and their difference.

    Noise of half the typical distance between training rows: less cannot tell a lone training
    row from data around it, more blurs neighbours together.
    """
    known = _scaled(model, train.double()).flatten(1)
    some = _scaled(model, asked["train"]).flatten(1)
    spacing = float(nearest(some, known, 2)[0][:, 1].median())
    ratio = torch.tensor(spacing**2 / (4 * known.shape[1]), dtype=torch.float64)
    time = model.process.time_at(ratio)
    alpha = model.process.alpha(time)

    def median(rows: Tensor) -> Estimate:
        at = model.local_dimension(alpha * _scaled(model, rows), time)
        return median_distance(at.double().cpu(), seed, units="dimensions")

    found: dict[str, Estimate | None] = {"local_dimension": median(asked["generated"])}
    if "holdout" in asked:
        own, fresh = found["local_dimension"], median(asked["holdout"])
        found |= {"local_dimension_holdout": fresh}
        found |= {"local_dimension_contrast": _less(own, fresh)}
    return found


def _scaled(model: Any, rows: Tensor) -> Tensor:
    """Rows in the units of the model."""
    scaling = getattr(model, "scaling", None)
    return rows if scaling is None else scaling.apply(rows)


def _log_det(model: Any) -> float:
    scaling = getattr(model, "scaling", None)
    return 0.0 if scaling is None else float(scaling.log_det)


def _some(rows: Tensor, seed: int, name: str) -> Tensor:
    if len(rows) <= MAX_ROWS:
        return rows
    generator = Streams(seed).generator(f"asked/{name}")
    return rows[torch.randperm(len(rows), generator=generator)[:MAX_ROWS]]


def _less(own: Estimate | None, fresh: Estimate) -> Estimate | None:
    """The difference of independent estimates."""
    if own is None:
        return None
    known = own.stderr is not None and fresh.stderr is not None
    error = math.hypot(own.stderr, fresh.stderr) if known else None  # type: ignore[arg-type]
    return Estimate(own.value - fresh.value, stderr=error,
                    n=min(own.n or 0, fresh.n or 0), units=own.units)  # fmt: skip
