"""The sixteen forward processes of the paper's image experiment, and its way of training.

Source: Gao, Nguyen, Zhu, JMLR 26(43), 2025, section 4: Tables 3 and 4, and the authors' program.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from wasserscore.process import VE, VP, Process
from wasserscore.training.levels import Levels

EARLIEST = 1e-5
"""First time of training, and of the sampler's last step, in the paper."""
LINEAR = 10.05
"""B(1) of the paper's linear VP."""
LOW, HIGH = 0.02, 100.0
"""The paper's .01 and 50, which are of pixels in [0, 1]; ours are in [-1, 1]."""
ORDERS = (2.0, 3.0, 5.0, 7.0, 10.0)
PUBLISHED = {
    "VP constant": 17.46, "VP linear": 11.26, "VP polynomial 2": 9.77, "VP polynomial 3": 9.67,
    "VP polynomial 5": 9.64, "VP polynomial 7": 10.22, "VP polynomial 10": 10.27,
    "VP exponential": 9.98, "VE exponential": 22.11,
}  # fmt: skip
"""FID of the paper's Table 3; its other VE rows were sampled with another process's g."""


def processes() -> dict[str, Process]:
    """The sixteen of the paper, by name."""
    bridge = lambda **shape: VP.from_betas(beta_min=0.1, beta_max=20.0, **shape)
    burst = lambda **shape: VE.from_sigmas(sigma_min=LOW, sigma_max=HIGH, **shape)
    return {
        "VP constant": VP.constant(beta=5.0, horizon=1.0),
        "VP linear": bridge(),
        **{f"VP polynomial {r:g}": bridge(shape="polynomial", order=r) for r in ORDERS},
        "VP exponential": VP.from_betas(beta_min=0.1, beta_max=30.0, shape="exponential"),
        "VE exponential": burst(),
        "VE constant": burst(shape="constant"),
        "VE sqrt": burst(shape="sqrt"),
        **{f"VE polynomial {r:g}": burst(shape="polynomial", order=r) for r in ORDERS},
    }


def levelled(process: Process) -> Process:
    """The same shape at the linear VP's noise-to-signal ratio of the horizon; VE share theirs."""
    if not isinstance(process, VP):
        return process
    grown = LINEAR / float(process.integrated_beta(1.0))
    keywords = dict(process.recipe.keywords)
    for name in ("beta", "beta_min", "beta_max"):
        if name in keywords:
            keywords[name] *= grown
    return getattr(VP, process.recipe.factory)(**keywords, horizon=1.0)


@dataclass(frozen=True)
class PaperTime:
    r"""Time uniform on (1e-5, 1), and :math:`\|\hat z - z\|^2 = \|D - x_0\|^2 / r^2`."""

    def __call__(self, process: Process, data_std: float, uniform: Tensor) -> Levels:
        """Noise levels and what each counts."""
        r2 = process.noise_to_signal(EARLIEST + (process.horizon - EARLIEST) * uniform)
        return Levels(r2.sqrt(), 1 / r2)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {"weighting": "noise, uniform time"}
