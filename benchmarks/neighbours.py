"""Exact nearest neighbours beside FAISS's flat index and scikit-learn, and balls beside ``cdist``.

    python -m benchmarks.neighbours [--data DIR]

Two neighbours of 1,000 queries among 50,000 normal rows, float32; half of the queries are rows
moved by 1e-4, as copies are. With ``--data`` also of all test images of MNIST among its training
images, without scikit-learn, which holds all pairs. A turn is one call, its preparations included;
medians of three turns in one process. Errors are of distances, relative, and counts of neighbours
that are not the right ones, against differences in float64. FAISS is measured where it is
installed (``peers.txt``). ``halves`` false: without products of bfloat16 numbers, as on processors
that have none. Balls are those up to the fifth neighbour, as precision and recall have them, of
5,000 rows.
"""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from benchmarks.machine import save, table
from wasserscore.core import products
from wasserscore.data.pictures import idx_array
from wasserscore.kernel import in_balls, nearest

QUERIES, KEYS, BALLS, TURNS = 1000, 50_000, 5000, 3
Row = dict[str, object]
Found = tuple[Tensor, Tensor]


def clouds(q: int, n: int, d: int) -> tuple[Tensor, Tensor]:
    """Queries and rows."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(count, d, generator=generator) for count in (q, n))
    x[::2] = y[: len(x[::2])] + 1e-4 * x[::2]
    return x, y


def without_halves(call: Callable[[], Any]) -> Callable[[], Any]:
    """The same call where no processor has units for bfloat16."""

    def plain() -> Any:
        with mock.patch.object(products, "has_halves", return_value=False):
            return call()

    return plain


def medians(calls: dict[str, Callable[[], Any]]) -> tuple[dict[str, float], dict[str, Any]]:
    """Seconds of each call, all in turn, and what they gave."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    found = {}
    for _ in range(TURNS):
        for name, call in calls.items():
            start = time.perf_counter()
            found[name] = call()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in times.items()}, found


def by_faiss(x: Tensor, y: Tensor) -> Found:
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    index = faiss.IndexFlatL2(y.shape[1])
    index.add(y.numpy())
    squared, which = map(torch.from_numpy, index.search(x.numpy(), 2))
    return squared.sqrt(), which


def by_scikit_learn(x: Tensor, y: Tensor) -> Found:
    search = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(y.numpy())
    distances, which = map(torch.from_numpy, search.kneighbors(x.numpy()))
    return distances, which


def neighbours(what: str, x: Tensor, y: Tensor) -> list[Row]:
    """A row for each who looks."""
    calls = {"ours": lambda: nearest(x, y, 2)}
    if products.has_halves():
        calls["ours, halves false"] = without_halves(calls["ours"])
    if importlib.util.find_spec("faiss"):
        calls["FAISS, flat"] = lambda: by_faiss(x, y)
    if len(x) <= QUERIES:
        calls["scikit-learn, brute"] = lambda: by_scikit_learn(x, y)
    seconds, found = medians(calls)
    right, which = nearest(x.double(), y.double(), 2)
    return [
        {
            "rows": what,
            "who": name,
            "s": round(seconds[name], 2),
            "/ ours": round(seconds[name] / seconds["ours"], 2),
            "error": f"{float(((distances - right).abs() / right).max()):.0e}",
            "wrong": int((indices != which).sum()),
        }
        for name, (distances, indices) in found.items()
    ]


def images(data: Path, part: str) -> Tensor:
    """Images of MNIST as rows of numbers from 0 to 1."""
    array = idx_array(data / "mnist" / f"{part}-images-idx3-ubyte.gz")
    return torch.tensor(array).flatten(1).float() / 255


def balls(d: int) -> list[Row]:
    """The same for counts of points in balls."""
    x, y = clouds(BALLS, BALLS, d)
    radii = nearest(y, y, 5, exclude_self=True)[0][:, -1]
    calls = {"ours": lambda: in_balls(x, y, radii)[0]}
    if products.has_halves():
        calls["ours, halves false"] = without_halves(calls["ours"])
    calls["SciPy cdist"] = lambda: torch.from_numpy(
        (cdist(x.double().numpy(), y.double().numpy()) < radii.double().numpy()).sum(1)
    )
    seconds, found = medians(calls)
    return [
        {
            "d": d,
            "who": name,
            "s": round(seconds[name], 3),
            "/ ours": round(seconds[name] / seconds["ours"], 2),
            "wrong": int((counts != found["SciPy cdist"]).sum()),
        }
        for name, counts in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with mnist/")
    data = parser.parse_args().data
    near = [row for d in (16, 64, 256, 784, 3072)
            for row in neighbours(f"{d} columns", *clouds(QUERIES, KEYS, d))]  # fmt: skip
    if data:
        near += neighbours("MNIST", images(data, "t10k"), images(data, "train"))
    held = [row for d in (64, 784) for row in balls(d)]
    print(f"{torch.get_num_threads()} thread(s). Neighbours:\n\n{table(near)}\n")
    print(f"Balls:\n\n{table(held)}")
    there = ["faiss-cpu"] if importlib.util.find_spec("faiss") else []
    save("neighbours", [{"what": "neighbours", **row} for row in near]
         + [{"what": "balls", **row} for row in held], there)  # fmt: skip


if __name__ == "__main__":
    main()
