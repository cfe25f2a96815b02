"""Distances beside other libraries at size: processor seconds on one thread, in turn, by size.

    python -m benchmarks.distances
    python -m benchmarks.distances large

geomloss is measured where it is installed (``pip install geomloss``, in another environment).
``large`` has no peers: 10,000 points for exact W2 and 100,000 for the kernel distances, where the
tables of pairs that peers keep would take 80 GB; each in a process of its own, with the memory it
takes beyond the two clouds.
"""

import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Any

import numpy as np
import ot
import torch
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import rbf_kernel

from benchmarks.machine import peak_bytes, save, table
from wasserscore.distance import energy, ksd, mmd, sinkhorn_divergence, sliced_w2, w2

COLUMNS = 64
Row = dict[str, object]


def clouds(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(n, COLUMNS, generator=generator, dtype=torch.float64) for _ in range(2))
    return x, 1.1 * y + 0.1


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    value = call()
    return time.process_time() - start, value


def beside(
    name: str, n: int, ours: Callable[[], Any], peer: str, theirs: Callable[[], Any]
) -> Row:
    """Both in turn, the better of two where that is quick."""
    (mine, value), (other, reference) = seconds(ours), seconds(theirs)
    if mine + other < 3:
        mine, other = min(mine, seconds(ours)[0]), min(other, seconds(theirs)[0])
    return {
        "distance": name,
        "points": n,
        "ours s": round(mine, 2),
        "peer": peer,
        "peer s": round(other, 2),
        "peer / ours": round(other / mine, 1),
        "ours": f"{float(value):.6g}",
        "theirs": f"{float(reference):.6g}",
        "status": value.status,
    }


def sinkhorn(n: int, blur: float) -> list[Row]:
    """POT at 200 iterations for each of the three plans, warnings aside; geomloss as it stops."""
    x, y = clouds(n)
    a, epsilon = torch.full((n,), 1 / n, dtype=torch.float64), 2 * blur**2

    def cost(x: torch.Tensor, y: torch.Tensor) -> float:
        _, log = ot.bregman.sinkhorn_log(
            a,
            a,
            ot.dist(x, y),
            epsilon,
            log=True,
            numItermax=200,
            stopThr=1e-4 / n**0.5,
            warn=False,
        )
        return float(epsilon * a @ (log["log_u"] + log["log_v"] - 2 * a.log()))

    def pot() -> float:
        return cost(x, y) - (cost(x, x) + cost(y, y)) / 2

    def ours() -> Any:
        return sinkhorn_divergence(x, y, blur=blur)

    rows = [
        beside(
            f"sinkhorn_divergence, blur {blur}",
            n,
            ours,
            "POT sinkhorn_log, debiased, 200 iterations",
            pot,
        )
    ]
    if find_spec("geomloss") is not None:
        from geomloss import SamplesLoss

        for scaling in (0.5, 0.95):
            loss = SamplesLoss("sinkhorn", p=2, blur=blur, scaling=scaling, backend="tensorized")

            def geomloss(loss: Any = loss) -> float:
                return 2 * float(loss(x, y))

            peer = f"geomloss, scaling {scaling}"
            rows.append(beside(f"sinkhorn_divergence, blur {blur}", n, ours, peer, geomloss))
    return rows


def sliced(n: int) -> Row:
    x, y = clouds(n)

    def pot() -> float:
        return float(
            ot.sliced_wasserstein_distance(x.numpy(), y.numpy(), n_projections=500, seed=0)
        )

    return beside("sliced_w2", n, lambda: sliced_w2(x, y), "POT sliced_wasserstein_distance", pot)


def maximum_mean_discrepancy(n: int) -> Row:
    x, y = clouds(n)

    def dense() -> float:
        xx, yy, xy = (rbf_kernel(a, b, gamma=1 / 200) for a, b in ((x, x), (y, y), (x, y)))
        return float((xx.sum() + yy.sum() - 2 * n) / (n * (n - 1)) - 2 * xy.mean())

    return beside("mmd", n, lambda: mmd(x, y, bandwidth=10.0), "scikit-learn rbf_kernel", dense)


def energy_distance(n: int) -> Row:
    x, y = clouds(n)

    def dense() -> float:
        xy, xx, yy = (cdist(a, b).mean() for a, b in ((x, y), (x, x), (y, y)))
        return float(np.sqrt(2 * xy - xx - yy))

    return beside("energy", n, lambda: energy(x, y), "SciPy cdist", dense)


def stein(n: int) -> Row:
    x, _ = clouds(n)
    mine, value = seconds(lambda: ksd(x, lambda x: -x))
    nobody = {"peer": "", "peer s": "", "peer / ours": "", "theirs": ""}
    found = {"ours s": round(mine, 2), **nobody, "ours": f"{float(value):.3g}"}
    return {"distance": "ksd", "points": n, **found, "status": value.status}


def exact(n: int) -> Row:
    """The same solver: what centring and the check of the answer cost."""
    x, y = clouds(n)

    def pot() -> float:
        a = np.full(n, 1 / n)
        return float(ot.emd2(a, a, cdist(x, y, "sqeuclidean"), numItermax=10**8)) ** 0.5

    return beside("w2", n, lambda: w2(x, y), "POT emd2", pot)


LARGE: dict[str, tuple[int, Callable[..., Any]]] = {
    "w2": (10_000, w2),
    "mmd": (100_000, lambda x, y: mmd(x, y, bandwidth=10.0)),
    "energy": (100_000, energy),
    "ksd": (100_000, lambda x, y: ksd(x, lambda x: -x)),
}


def megabytes() -> float:
    """The largest resident memory of this process so far."""
    return peak_bytes() / 1e6


def large(name: str) -> Row:
    """One distance at its full size, alone in this process."""
    torch.set_num_threads(1)
    n, call = LARGE[name]
    x, y = clouds(n)
    call(x[:100], y[:100])  # imports
    before = megabytes()
    mine, value = seconds(lambda: call(x, y))
    return {"distance": name, "points": n, "seconds": round(mine, 1),
            "MB": round(megabytes() - before), "value": f"{value.value:.6g}",
            "standard error": "" if value.stderr is None else f"{value.stderr:.2g}",
            "status": value.status}  # fmt: skip


def at_size() -> list[Row]:
    """All of them, one process after another."""
    rows = []
    for name in LARGE:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            rows.append(pool.submit(large, name).result())
        print(rows[-1], flush=True)
        save("distances_large", rows)
    return rows


def main() -> list[Row]:
    torch.set_num_threads(1)
    rows = [row for blur in (2.0, 0.8) for row in sinkhorn(1000, blur)]
    rows += [sliced(20_000), maximum_mean_discrepancy(5000), energy_distance(5000)]
    rows += [stein(10_000), exact(2000)]
    save("distances", rows, ["geomloss"] if "geomloss" in sys.modules else [])
    return rows


if __name__ == "__main__":
    print(table(at_size() if "large" in sys.argv[1:] else main()))
