"""What we want to sample: data sets, analytic targets, files, scaling, lattices."""

from importlib import import_module
from typing import Any

from wasserscore.data import targets as targets
from wasserscore.data.arrow import on_disk as on_disk
from wasserscore.data.dataset import Dataset as Dataset
from wasserscore.data.dataset import split as split
from wasserscore.data.labels import load_labels as load_labels
from wasserscore.data.lattice import dequantise as dequantise
from wasserscore.data.lattice import lattice_step as lattice_step
from wasserscore.data.layout import Layout as Layout
from wasserscore.data.load import EMBEDDED as EMBEDDED
from wasserscore.data.load import load as load
from wasserscore.data.mapped import Mapped as Mapped
from wasserscore.data.scaling import Scaling as Scaling
from wasserscore.data.scaling import in_data_units as in_data_units

_TABLES = ("Codec", "Overrides", "read_frame", "read_overrides", "write_frame")
"""Of :mod:`wasserscore.data.tables`, on first use: pandas takes a second to load, and every score
imports this room."""


def __getattr__(name: str) -> Any:
    if name not in _TABLES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("wasserscore.data.tables"), name)
