"""Seconds and certificate at d = 784 and 3072: an empirical reference of 2,000 images.

    python -m benchmarks.certificate_large --data DIR --only fashion

DIR has ``fashion-mnist/train-images-idx3-ubyte.gz`` and ``cifar10/cifar10_train20k.npz``. The
model is the exact score of the first half of the images, n = 256 coupled pairs, 50 steps.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import RESULTS, save, table
from wasserscore.certificate import certify
from wasserscore.data.pictures import idx_array, unpacked
from wasserscore.process import VP
from wasserscore.score import EmpiricalScore

PROCESS = VP.linear(a=19.9, b=0.1, horizon=1.0)
IMAGES, PAIRS, STEPS, BANDWIDTH = 2000, 256, 50, 0.15


def fashion(data: Path) -> torch.Tensor:
    images = idx_array(data / "fashion-mnist" / "train-images-idx3-ubyte.gz")
    return _scaled(images.reshape(-1, 784)[:IMAGES])


def cifar(data: Path) -> torch.Tensor:
    packed = np.load(data / "cifar10" / "cifar10_train20k.npz")["d"][:, :IMAGES]
    return _scaled(unpacked(packed).reshape(IMAGES, -1))


def _scaled(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1)


def kept() -> list[dict[str, object]]:
    """The rows that were saved: sets and samplers can be measured one by one."""
    path = RESULTS / "certificate_large.json"
    return json.loads(path.read_text())["rows"] if path.exists() else []


SETS = {"fashion": fashion, "cifar": cifar}


def main() -> list[dict[str, object]]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=list(SETS), nargs="+", default=list(SETS))
    parser.add_argument("--solvers", nargs="+", default=["heun", "ancestral"])
    parser.add_argument("--parts", type=int, default=4)
    asked, rows = parser.parse_args(), kept()
    for name in asked.only:
        points = SETS[name](asked.data)
        reference = EmpiricalScore(points, PROCESS, bandwidth=BANDWIDTH)
        model = EmpiricalScore(points[: IMAGES // 2], PROCESS, bandwidth=BANDWIDTH)
        for solver in asked.solvers:
            began, worked = time.perf_counter(), time.process_time()
            found = certify(model, reference, solver=solver, steps=STEPS, n=PAIRS,
                            parts=asked.parts)  # fmt: skip
            rows = [r for r in rows if (r["set"], r["sampler"]) != (name, solver)]
            rows.append({
                "set": name, "d": reference.dim, "sampler": solver, "parts": asked.parts,
                "upper": round(found.upper.value, 2), "by": found.best().name,
                "spread": round(found.spread, 2),
                "seconds": round(time.perf_counter() - began, 1),
                "processor seconds": round(time.process_time() - worked, 1),
                "threads": torch.get_num_threads(),
            })  # fmt: skip
            print(table(rows[-1:]), flush=True)
            save("certificate_large", rows)
    return rows


if __name__ == "__main__":
    print(table(main()))
