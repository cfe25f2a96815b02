"""Parts of ``results.json``: records of other rooms in the shape the page reads."""

import json
import platform
import shlex
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import torch

from wasserscore.audit import Suspect
from wasserscore.certificate import Certificate
from wasserscore.core.results import plain
from wasserscore.core.typing import Cloud
from wasserscore.data import Dataset
from wasserscore.experiment.config import RunConfig
from wasserscore.experiment.whole import Whole

PAIRS = 12
"""Samples shown beside their nearest training rows."""
UNSEEN = 1e-7
"""A column narrower than this share of the widest one is less than the rounding of squares."""
NAMED = 3
"""Columns that a note names."""
PACKAGES = ("wasserscore", "torch", "numpy", "scipy", "POT", "scikit-learn")
TERMS = {
    "start": "the sampler starts from the prior, not from the noised reference",
    "steps": "the sampler takes finitely many steps",
    "score": "the model's score is not the reference's",
    "stop": "the sampler stops before all noise is gone",
    "reference path": "the reference process itself was solved numerically",
    "start solved": "the start of the reference process was solved numerically",
    "smoothing": "the reference is smoothed, the data set is not",
    "score and start": "the model's score and start, in units of its own",
}


def data_section(
    train: Dataset | Whole, holdout: Dataset | Whole, whole: Dataset | Whole
) -> dict[str, Any]:
    """What was fed in."""
    own = slice(1) if train.kind == "image" else slice(None)
    return {
        "name": whole.name, "source": whole.source, "kind": whole.kind, "shape": whole.shape,
        "n": whole.n, "n_train": train.n, "n_holdout": holdout.n, "d": whole.d,
        "table": None if whole.codec is None else list(whole.codec.names),
        "columns": whole.columns, "constant_columns": whole.constant_columns,
        "units": whole.units, "sha256": whole.sha256,
        "notes": _unseen(whole) if whole.codec is None else list(whole.codec.notes),
        "low": whole.low[own], "high": whole.high[own],
        "lattice": None if whole.lattice is None else whole.lattice[own],
    }  # fmt: skip


def _unseen(whole: Dataset | Whole) -> list[str]:
    """A note on columns of vectors, which share one unit, that no distance sees."""
    if whole.kind != "vectors" or not isinstance(whole, Dataset):
        return []
    named = [name for name in whole.columns if name not in whole.constant_columns]
    spread = dict(zip(named, whole.varying.double().std(0).tolist(), strict=True))
    widest = max(spread, key=lambda name: spread[name])
    small = [f"{name!r} ({spread[name]:.2g})" for name in named
             if spread[name] < UNSEEN * spread[widest]]  # fmt: skip
    if not small:
        return []
    more = f" and {len(small) - NAMED} more" if len(small) > NAMED else ""
    return ["Vectors are measured in one unit: no distance sees columns so narrow beside "
            f"{widest!r} (standard deviation {spread[widest]:.2g}) as "
            f"{', '.join(small[:NAMED])}{more}; standardise the columns, or give a table (.csv, "
            ".parquet), whose columns are standardised."]  # fmt: skip


def certificate_section(certificate: Certificate) -> dict[str, Any]:
    """A certificate with its rungs and terms as rows of a table."""
    found = certificate.to_dict()
    found["rungs"] = [
        {"name": rung.name, "value": rung.estimate.value, "stderr": rung.estimate.stderr,
         "upper": rung.upper.value, "level": rung.upper.level, "kind": rung.upper.kind,
         "valid": rung.valid, "vacuous": rung.vacuous, "meaning": rung.note}
        for rung in certificate.rungs
    ]  # fmt: skip
    found["terms"] = [
        {"name": name, **plain(estimate), "meaning": TERMS.get(name, "")}
        for name, estimate in certificate.terms.items()
    ]
    found["theorem"] = next(
        (plain(r.details) for r in certificate.rungs if r.details is not None), None
    )
    solver, steps, *_ = certificate.sampler.split(", ")
    found["solver"], found["steps"] = solver, int(steps.split()[0])
    out: dict[str, Any] = plain(found)
    return out


def neighbours_section(
    generated: Cloud, train: Dataset | Whole, suspects: Sequence[Suspect], *, count: int = PAIRS
) -> dict[str, Any]:
    """Samples beside training rows near them, as the audit found them.

    Args:
        generated: Rows, data units.
        train: The training rows.
        suspects: The pairs to show, most suspicious first.
        count: How many pairs.
    """
    shown = list(suspects)[:count]
    rows, known = [suspect.index for suspect in shown], [suspect.nearest for suspect in shown]
    chosen, closest = generated[rows], train.points[torch.tensor(known, dtype=torch.long)]
    shape, codec = (len(shown), *train.shape), train.codec
    cells = codec and {"sample": codec.text(chosen), "nearest training row": codec.text(closest)}
    return {
        "cells": cells,
        "outside": codec and codec.outside(chosen),
        "rows": rows,
        "samples": chosen.reshape(shape).tolist(),
        "nearest": closest.reshape(shape).tolist(),
        "distances": [suspect.distance for suspect in shown],
    }


def provenance_section(config: RunConfig, data: Dataset) -> dict[str, Any]:
    """How to make the same numbers again; the folder's name does not enter."""
    return {
        "seed": config.seed,
        "command": command(config),
        "config": config.model_dump(mode="json"),
        "data_sha256": data.sha256,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Python and the packages that decide numbers."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def command(config: RunConfig) -> str:
    """The command line of a configuration: what differs from the defaults, as ``--set``."""
    defaults = RunConfig(source=config.source).model_dump(mode="json")
    given = config.model_dump(mode="json")
    words = ["wasserscore", "run", config.source, "--seed", str(config.seed)]
    for key, value in _changed(defaults, given):
        if key != "seed":
            words += ["--set", f"{key}={'none' if value is None else json.dumps(value)}"]
    return shlex.join(words) + " --out DIR"


def _changed(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found = []
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            found += _changed(before, value, f"{prefix}{key}.")
        elif value != before:
            found.append((f"{prefix}{key}", value))
    return found
