"""Score-based generative models with a Wasserstein certificate.

Names load on first use (PEP 562), so that importing the package costs next to nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0.dev0"

_ROOMS = {
    "process": ("VE", "VP", "SubVP", "OU", "EDM", "LinearSDE"),
    "score": (
        "GaussianScore",
        "MixtureScore",
        "EmpiricalScore",
        "ProximalScore",
        "NetworkScore",
        "DenoiserScore",
        "from_azula",
        "from_edm",
        "from_diffusers",
        "to_diffusers",
        "save",
        "load",
    ),
    "proximal": ("fit_proximal",),
    "training": ("train_score",),
    "sampling": ("sample", "solvers", "log_likelihood"),
    "flow": ("ScoreDifferenceFlow", "train_generator"),
    "certificate": ("certify", "certify_classes", "Certificate"),
    "planner": ("plan", "Plan"),
    "audit": ("audit", "AuditReport", "SplitHalf", "split_half"),
    "experiment": (
        "compare",
        "ProximalGenerator",
        "KernelGenerator",
        "NetworkGenerator",
        "OneStepGenerator",
    ),
    "core.results": ("Estimate",),
    "core.errors": ("InputError", "AssumptionError"),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}
_MODULES = {
    "distance": "distance",
    "networks": "network",
    "data": "data",
    "guidance": "score.guidance",
}

__all__ = [*_HOME, *_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f"wasserscore.{_HOME[name]}"), name)
    elif name in _MODULES:
        value = import_module(f"wasserscore.{_MODULES[name]}")
    else:
        raise AttributeError(f"module 'wasserscore' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
