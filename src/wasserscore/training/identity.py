"""What makes two runs the same one: settings, network, process and data, large ones by digest."""

import hashlib
from typing import Any

from torch import Tensor

from wasserscore.data import Mapped
from wasserscore.network import describe
from wasserscore.score import NetworkScore
from wasserscore.training.labelled import Labelled, Rows
from wasserscore.training.settings import Settings


def identity(settings: Settings, untrained: NetworkScore, rows: Rows) -> dict[str, Any]:
    """What a run's checkpoints keep, and a continued run must share, as JSON types."""
    told: dict[str, Any] = {}
    if isinstance(rows, Labelled):
        vectors = {"labels_sha256": rows.labels, "conditions_sha256": rows.conditions}
        told = {"label_dropout": settings.label_dropout}
        told |= {name: sha256(x) for name, x in vectors.items() if x is not None}
        rows = rows.points
    scaling = untrained.scaling
    return settings.to_dict() | {
        "prediction": untrained.prediction,
        "data_std": untrained.data_std,
        "scaling": None if scaling is None else scaling.to_dict(),
        "process": untrained.process.to_dict(),
        "network": describe(untrained.network),
        "initial_weights_sha256": sha256(*untrained.network.state_dict().values()),
        "data_sha256": rows.sha256 if isinstance(rows, Mapped) else sha256(rows),
        **told,
    }


def sha256(*tensors: Tensor) -> str:
    """A digest of the numbers, shapes and dtypes of tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
