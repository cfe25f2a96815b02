"""The image experiment of the forward-process paper: one network, sixteen processes.

    python -m benchmarks.images run --data DIR [--size small|cifar] [--device cuda]
                                    [--budget S] [--only own|common]
    python -m benchmarks.images tables [--size small|cifar]

``own``: the same U-Net trained anew under each of the paper's eight VP and eight VE shapes, as
there: time uniform on (1e-5, 1), the loss of the predicted noise, Euler-Maruyama in equal steps,
the last one without noise. The VE processes have the g that belongs to each (the authors' program
gives all of them the exponential one's). ``common``: one network, trained at EDM's noise levels
for twice as long, which is a score of every process; sampled under each shape with the horizon's
noise-to-signal ratio held fixed (VP: B = 10.05, the linear one's), so that only the grid differs.

``small`` is Fashion-MNIST at 14 x 14 for two cores, ``cifar`` is CIFAR-10 for a GPU (bfloat16,
compiled). With ``--budget`` the numbers of updates and of the sampler's steps are what fits,
measured before the first training and the same for all. Every case appends one JSON line; a call
runs what is missing. Distances are explained in ``image_space.py``. Run from the root of the
repository; read ``images.md``.
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks import resumable
from benchmarks.image_processes import HIGH, PUBLISHED, PaperTime, levelled, processes
from benchmarks.image_space import Images, Space, cifar, fashion
from benchmarks.machine import RESULTS, table
from wasserscore import sample, train_score
from wasserscore.dynamics import TimeGrid
from wasserscore.network import UNet
from wasserscore.process import EDM, Process
from wasserscore.score import NetworkScore

Row = dict[str, object]
GRIDS = (1000, 500, 250, 125)
"""Steps of the sampler that a budget may allow; the paper has the first."""


@dataclass(frozen=True)
class Size:
    """How large the experiment is."""

    load: Callable[[Path, int, int], Images]
    train: int
    holdout: int
    network: dict[str, Any]
    batch: int
    steps: int
    """Updates, without a budget."""
    samples: int
    grid: int
    """Steps of the sampler."""
    epochs: int
    """Of the classifier."""


SIZES = {
    "small": Size(fashion, 10_000, 2000, {"width": 16, "multipliers": (1, 2), "blocks": 1,
                  "attention": (7,)}, 64, 500, 256, 200, 4),
    "cifar": Size(cifar, 20_000, 10_000, {"width": 32, "multipliers": (1, 2, 2), "blocks": 2,
                  "attention": (16,)}, 256, 20_000, 1024, 500, 12),
    "tiny": Size(fashion, 256, 128, {"width": 4, "multipliers": (1, 2), "blocks": 1,
                 "attention": (7,)}, 16, 6, 32, 4, 1),
}  # fmt: skip


OWN = ("train", "holdout", "samples", "grid", "batch", "steps")
"""What the command line may replace."""


class Experiment:
    """Data and measurements, and what a case does: train, sample, measure."""

    def __init__(self, size: Size, data: Path, device: str, compiled: bool) -> None:
        self.size, self.device = size, device
        self.images = size.load(data, size.train, size.holdout)
        self.space = Space(self.images, device, size.epochs)
        self.fast = device == "cuda"
        self.compiled = compiled and self.fast
        self.updates, self.grid = size.steps, size.grid

    def train(self, process: Process, seed: int, steps: int, **more: Any) -> NetworkScore:
        """The U-Net after ``steps`` updates."""
        network = UNet(self.images.shape, **self.size.network, seed=seed).to(self.device)
        more.setdefault("precision", "bfloat16" if self.fast else "float32")
        return train_score(
            network, self.images.train, process, steps=steps, batch_size=self.size.batch,
            learning_rate=1e-3, warmup=min(200, steps // 5), compile=self.compiled, seed=seed,
            **more,
        )  # fmt: skip

    def plan(self, budget: float, seeds: int, only: str | None) -> Row:
        """Updates of a training and steps of the sampler: what fits, in about equal parts."""
        own, common = ((only or table) == table for table in ("own", "common"))
        trainings, samplings = (
            own * len(processes()) + 2 * common,
            (own + common) * len(processes()),
        )
        begin = time.monotonic()
        marks: list[float] = []
        score = self.train(EDM(sigma_max=HIGH), 0, 60,
                           callbacks=[lambda k, logs: marks.append(time.monotonic())])  # fmt: skip
        rate = 30 / (marks[-1] - marks[-31])
        row: Row = {"table": "plan", "updates_per_second": rate, "updates": self.size.steps,
                    "grid": self.size.grid, "samples": self.size.samples}  # fmt: skip
        if budget == float("inf"):
            return row
        self.floor(), self.sample(score, 0, 3)  # trains the classifier, compiles
        measured = self.timed(lambda: self.space.measure(self.sample(score, 0, 2)))
        one = (self.timed(lambda: self.sample(score, 0, 12)) - self.timed(
            lambda: self.sample(score, 0, 2))) / 10  # fmt: skip
        left = (budget - (time.monotonic() - begin)) / seeds - measured * samplings
        grid = next((k for k in GRIDS if samplings * k * one < left / 2), GRIDS[-1])
        spare = left - samplings * grid * one
        updates = int(0.95 * rate * spare / trainings) // 50 * 50
        return row | {"seconds_per_sampling_step": one, "grid": grid, "updates": max(updates, 50)}

    @staticmethod
    def timed(call: Callable[[], object]) -> float:
        """Seconds of a call."""
        begin = time.monotonic()
        call()
        return time.monotonic() - begin

    def sample(self, score: NetworkScore, seed: int, steps: int) -> Tensor:
        """Images of the paper's sampler, as grey levels in [-1, 1]."""
        process = score.process
        if self.compiled:
            score.network.compile(dynamic=False)

        def fast(x: Tensor, t: Any) -> Tensor:
            with torch.autocast("cuda", torch.bfloat16, enabled=self.fast):
                return score(x, t)

        grid = TimeGrid(torch.linspace(1.0, 1.0 / steps, steps, dtype=torch.float64))
        x = sample(
            fast, self.size.samples, solver="euler_maruyama", grid=grid, process=process,
            shape=self.images.shape, device=self.device, seed=seed,
        )  # fmt: skip
        t, parts = grid.stop, []
        f, g2 = float(process.f(t)), float(process.g2(t))
        with torch.no_grad():
            for part in x.split(512):  # the last step, without noise
                parts.append(part + t * (f * part + g2 * fast(part, t)))
        last = torch.cat(parts).float().cpu()
        return (((last.clamp(-1, 1) + 1) * 127.5).round() / 127.5) - 1

    def own(self, label: str, process: Process, seed: int, name: str) -> Row:
        """Trained under the process that it is sampled under."""
        losses: list[float] = []
        begin = time.monotonic()
        score = self.train(process, seed, self.updates, weighting=PaperTime(),
                           callbacks=[lambda k, logs: losses.append(logs["loss"])])  # fmt: skip
        row = {"table": "own", "process": label, "seed": seed, "updates": self.updates,
               "loss": float(np.mean(losses[-50:])),
               "training_seconds": round(time.monotonic() - begin, 1)}  # fmt: skip
        return row | self.sampled(score, seed, name)

    def common_score(self, seed: int) -> NetworkScore:
        """A score of every process."""
        return self.train(EDM(sigma_max=HIGH), seed, 2 * self.updates)

    def common(
        self, score: Callable[[], NetworkScore], label: str, process: Process, seed: int, name: str
    ) -> Row:
        """The common score under one process, at the common noise."""
        row = {"table": "common", "process": label, "seed": seed, "updates": 2 * self.updates}
        return row | self.sampled(score().under(levelled(process)), seed, name)

    def sampled(self, score: NetworkScore, seed: int, name: str) -> Row:
        """Samples measured, and ten of them kept as a picture."""
        begin = time.monotonic()
        x = self.sample(score, seed, self.grid)
        row = {"grid": self.grid, "sampling_seconds": round(time.monotonic() - begin, 1)}
        keep_pictures(name, x[:10])
        return row | self.space.measure(x)

    def floor(self) -> Row:
        """Training images, as many as there are samples, in the place of samples."""
        n = self.size.samples
        return {"table": "floor", "process": "training images", "samples": n,
                "held_out_accuracy": self.space.accuracy,
                **self.space.measure(self.images.train[:n])}  # fmt: skip


def keep_pictures(name: str, x: Tensor) -> None:
    """Rows of samples, one PNG that grows: rows in the order in which cases were run."""
    path = RESULTS / f"{name}.png"
    grey = ((x + 1) * 127.5).byte().permute(2, 0, 3, 1).flatten(1, 2).numpy()
    row = grey[..., 0] if grey.shape[2] == 1 else grey
    rows = [np.asarray(Image.open(path)), row] if path.exists() else [row]
    Image.fromarray(np.concatenate(rows)).save(path)


def cases(
    run: Experiment, name: str, seeds: int, budget: float, only: str | None
) -> Iterator[tuple[str, Any]]:
    """The plan and the floor; each process with its own training; all with a common one."""
    yield "plan", lambda: run.plan(budget, seeds, only)
    plan: dict[str, Any] = next(row for row in resumable.read(name) if row["key"] == "plan")
    run.updates, run.grid = plan["updates"], plan["grid"]
    yield "floor", run.floor
    for seed in range(seeds):
        for label, process in processes().items() if only != "common" else ():
            case = partial(run.own, label, process, seed, name)
            yield f"own | {label} | {seed}", case
        common = cache(partial(run.common_score, seed))
        for label, process in processes().items() if only != "own" else ():
            yield (
                f"common | {label} | {seed}",
                partial(run.common, common, label, process, seed, name),
            )


COLUMNS = ("frechet", "frechet_pixels", "sliced_w2", "spectrum")


def report(name: str) -> None:
    """Means over seeds, one table for ``own`` and one for ``common``, the floor below."""
    rows: list[dict[str, Any]] = resumable.read(name)  # type: ignore[assignment]
    shown = lambda of, key: f"{np.mean([row[key] for row in of]):.4g}"
    floor = [row for row in rows if row["key"] == "floor"]
    for which in ("own", "common"):
        out: list[Row] = []
        for label in processes():
            of = [r for r in rows if r.get("table") == which and r["process"] == label]
            if of:
                published = {"paper's FID": PUBLISHED.get(label, "")} if which == "own" else {}
                out.append({"process": label, "seeds": len(of),
                            **{key: shown(of, key) for key in COLUMNS}, **published})  # fmt: skip
        if out and floor:
            extra = {"paper's FID": ""} if which == "own" else {}
            out.append({"process": "floor: training images", "seeds": "",
                        **{key: shown(floor, key) for key in COLUMNS}, **extra})  # fmt: skip
        if out:
            print(f"### {which}\n\n{table(out)}\n")
    for row in rows:
        if row["key"] == "plan":
            print(json.dumps(row))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "tables"])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--data", type=Path, help="folder of the files")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds, in all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=["own", "common"], help="one of the two tables")
    parser.add_argument("--no-compile", action="store_true")
    for name in OWN:
        parser.add_argument(f"--{name}", type=int, help="in the place of the size's own")
    asked = parser.parse_args()
    name = f"images_{asked.size}"
    if asked.what == "run":
        given = {key: getattr(asked, key) for key in OWN if getattr(asked, key)}
        size = dataclasses.replace(SIZES[asked.size], **given)
        begin = time.monotonic()
        RESULTS.mkdir(parents=True, exist_ok=True)
        run = Experiment(size, asked.data, asked.device, not asked.no_compile)
        left = asked.budget - (time.monotonic() - begin)
        if not resumable.run(name, cases(run, name, asked.seeds, left, asked.only), left):
            print("stopped by the budget; call again to go on\n")
    report(name)


if __name__ == "__main__":
    main()
