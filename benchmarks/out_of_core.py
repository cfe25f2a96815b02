"""Memory and speed of training from a file that need not fit into memory.

    python -m benchmarks.out_of_core [--gigabytes 20] [--steps 200] [--folder DIRECTORY]

Writes Arrow files of random points (784 float32 numbers each) of that size, measures the scaling
in one pass, trains, and deletes the files. Beside it the same training from rows in memory, as
many as a tenth of a gigabyte holds. Peak memory is the largest RssAnon: what the process holds
itself, without the pages of the file, which the system takes back when it needs them.
"""

import argparse
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from benchmarks.machine import save, table
from wasserscore import EDM, train_score
from wasserscore.data import Mapped, Scaling
from wasserscore.network import MLP

DIM, ROWS, SHARD = 784, 2**15, 10
"""Numbers of a point, points of a batch on disk (0.1 GB), batches of a file."""


class Peak:
    """The largest RssAnon inside the block, in GB, looked at fifty times a second."""

    def __enter__(self) -> "Peak":
        self.gigabytes, self._done = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            lines = Path("/proc/self/status").read_text().splitlines()
            held = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
            self.gigabytes = max(self.gigabytes, held * 1024 / 1e9)


def write(folder: Path, gigabytes: float) -> int:
    """Random points in files of a gigabyte each; how many points."""
    generator, kind = np.random.default_rng(0), pa.list_(pa.float32(), DIM)
    schema = pa.schema([("point", kind)])
    batches = max(1, round(gigabytes * 1e9 / (4 * DIM * ROWS)))
    for first in range(0, batches, SHARD):
        with pa.ipc.new_stream(folder / f"{first:06}.arrow", schema) as stream:
            for _ in range(first, min(first + SHARD, batches)):
                numbers = 5 + 2 * generator.standard_normal(ROWS * DIM, dtype=np.float32)
                points = pa.FixedSizeListArray.from_arrays(pa.array(numbers), type=kind)
                stream.write_batch(pa.record_batch([points], schema=schema))
    return batches * ROWS


def train(data: object, scaling: Scaling, steps: int) -> float:
    """Steps per second."""
    at: list[float] = []
    mark = lambda step, logs: at.append(time.perf_counter())
    train_score(MLP(DIM, 256, 2), data, EDM(sigma_max=80.0), scaling=scaling, data_std=1.0,
                steps=steps + 5, callbacks=[mark])  # fmt: skip
    return steps / (at[-1] - at[4])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="where there is room for the files")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        began = time.perf_counter()
        rows = write(Path(name), options.gigabytes)
        print(f"wrote {rows} rows in {time.perf_counter() - began:.0f} s", flush=True)
        with Peak() as start:
            time.sleep(0.1)
        with Peak() as peak:
            data = Mapped.open(name)
            began = time.perf_counter()
            scaling = data.fit_scaling("vectors")
            passed = time.perf_counter() - began
            print(f"one pass in {passed:.0f} s, peak so far {peak.gigabytes:.2f} GB", flush=True)
            speed = train(data.scaled(scaling), scaling, options.steps)
        inside = scaling.apply(data[slice(0, ROWS)].double()).float()
        known = train(inside, scaling, options.steps)
    size = rows * DIM * 4 / 1e9
    found: dict[str, object] = {
        "GB on disk": round(size, 1),
        "rows": rows,
        "RssAnon before, GB": round(start.gigabytes, 2),
        "peak RssAnon, GB": round(peak.gigabytes, 2),
        "scaling, s": round(passed, 1),
        "scaling, GB/s": round(size / passed, 2),
        "steps/s": round(speed, 1),
        "steps/s in memory": round(known, 1),
    }
    print(table([found]))
    print(save("out_of_core", [found], ("datasets", "pyarrow")))


if __name__ == "__main__":
    main()
