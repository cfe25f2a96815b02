"""The smallest W2 of every family at equal steps, shape and horizon tuned."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from benchmarks.gaussian_truth import Row, at, start_plus_steps, w2, word
from wasserscore.process import OU, VE, VP, Process

STEPS = (50, 200, 1000)


@dataclass(frozen=True)
class Family:
    """A maker of one shape, whether it has one, and the expected W2 at each of STEPS."""

    make: Callable[[float], Process]
    shaped: bool
    expected: tuple[float, float, float]


RANKING = {
    "ou matched": Family(lambda _: OU(alpha=0.5, sigma=0.5), False, (8.47e-3, 2.62e-3, 6.41e-4)),
    "vp_exp": Family(lambda s: VP.exponential(a=s, b=1.0), True, (1.12e-2, 3.04e-3, 6.48e-4)),
    "vp_poly rho=5": Family(
        lambda s: VP.polynomial(a=1.0, b=s, rho=5.0), True, (1.27e-2, 3.45e-3, 7.39e-4)
    ),
    "vp_linear": Family(lambda s: VP.linear(a=1.0, b=s), True, (1.32e-2, 3.97e-3, 9.25e-4)),
    "ve_exp": Family(lambda s: VE.exponential(a=s, b=1.0), True, (1.71e-2, 5.36e-3, 1.29e-3)),
    "ve_poly c=4.5": Family(
        lambda s: VE.polynomial(a=1.0, b=s, c=4.5), True, (2.24e-2, 6.83e-3, 1.67e-3)
    ),
    "ve_poly c=2": Family(
        lambda s: VE.polynomial(a=1.0, b=s, c=2.0), True, (1.86e-2, 6.28e-3, 1.73e-3)
    ),
    "ve_poly c=1": Family(
        lambda s: VE.polynomial(a=1.0, b=s, c=1.0), True, (1.99e-2, 7.26e-3, 2.21e-3)
    ),
    "vp_const": Family(lambda _: VP.constant(beta=1.0), False, (2.22e-2, 8.21e-3, 2.31e-3)),
    "ve_sqrt": Family(lambda _: VE.sqrt(a=1.0), False, (2.25e-2, 9.03e-3, 3.12e-3)),
    "ve_const": Family(lambda _: VE.constant(a=1.0), False, (3.62e-2, 1.91e-2, 8.59e-3)),
}
"""Best first at K = 1000."""


def tune(family: Family, loss: Callable[[Process, int], float], steps: int) -> NDArray[np.float64]:
    """Smallest ``loss`` over log10 shape and log10 S_T: (loss, shape, S_T)."""

    def value(point: tuple[float, float]) -> float:
        return loss(at(family.make(10 ** point[0]), 10 ** point[1]), steps)

    def at_point(point: NDArray[np.float64]) -> float:
        return value((float(point[0]), float(point[1])))

    shapes = [-2 + 0.25 * i for i in range(14)] if family.shaped else [0.0]
    near = min(((s, 0.5 + 0.5 * i) for s in shapes for i in range(11)), key=value)
    if family.shaped:
        found = minimize(at_point, near, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 0})
        return np.array([found.fun, *10**found.x])
    line = minimize_scalar(
        lambda x: value((0.0, x)), bounds=(near[1] - 0.5, near[1] + 0.5), method="bounded"
    )
    return np.array([line.fun, math.nan, 10**line.x])


def ranking() -> list[Row]:
    """W2 at each of STEPS; rank, shape and horizon at the largest."""
    best = {n: [tune(f, w2, steps) for steps in STEPS] for n, f in RANKING.items()}
    order = sorted(best, key=lambda name: float(best[name][-1][0]))
    rows: list[Row] = []
    for place, (name, family) in enumerate(RANKING.items(), 1):
        found = [float(b[0]) for b in best[name]]
        _, shape, ratio = best[name][-1]
        apart = tune(family, start_plus_steps, STEPS[-1])[0]
        gaps = [value / wanted for value, wanted in zip(found, family.expected, strict=True)]
        close = "smaller" if min(gaps) < 0.97 else "yes"
        in_place = order.index(name) + 1 == place and max(gaps) <= 1.03
        rows.append(
            {
                "process": name,
                "rank": f"{order.index(name) + 1} ({place})",
                **{
                    f"K={k}": f"{value:.3g} ({wanted:.3g})"
                    for k, value, wanted in zip(STEPS, found, family.expected, strict=True)
                },
                "start + steps, K=1000": f"{apart:.3g}",
                "shape": f"{shape:.3g}" if family.shaped else "none",
                "S_T": f"{ratio:.3g}",
                "agrees": close if in_place else word(False),
            }
        )
    return rows
