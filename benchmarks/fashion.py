"""Fashion-MNIST at 28 x 28 on two cores: train, sample, measure, look.

    python -m benchmarks.fashion --data DIR [--out runs/fashion]

One class-conditional U-Net under EDM's process, trained by ``train_score`` with checkpoints: stop
it whenever you like, the same command goes on. It runs on one thread; an hour of its processor
time is half an hour of two cores. 64 samples of each class by Heun steps (no guidance) are
compared with as many held-out images: Frechet distance in the space of ``image_space.py``, W2 with
its floor, copies. Pixels lie in [-1, 1], in 256 grey levels. The results are ``fashion.json`` and
``fashion.png``: samples on the left, training images on the right, a class per row.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from benchmarks.image_space import Images, Space, fashion
from benchmarks.machine import RESULTS, save, table
from wasserscore import audit, distance, sample, train_score
from wasserscore.data import Scaling
from wasserscore.network import UNet, filled
from wasserscore.process import EDM
from wasserscore.score import NetworkScore
from wasserscore.score.vault import read_pair
from wasserscore.training import JsonLines
from wasserscore.training.averaged import under
from wasserscore.training.checkpoint import FILE

CLASSES, SHOWN = 10, 10
SEEN, EPOCHS = 20_000, 2
"""Training images of the classifier whose features Frechet distances are taken in."""
NETWORK = {"width": 16, "multipliers": (1, 2, 4), "blocks": 1, "attention": (7,)}
TRAINING = {"batch_size": 64, "learning_rate": 2e-3, "warmup": 100, "ema": 0.995}


class Processor:
    """Adds the processor seconds since the step before to the logs."""

    def __init__(self) -> None:
        self.last = time.process_time()

    def __call__(self, step: int, logs: dict[str, float]) -> None:
        """To be the first of the callbacks."""
        now = time.process_time()
        logs["processor_seconds"], self.last = now - self.last, now


def untrained(images: Images, seed: int) -> NetworkScore:
    """The network before training, and the units it is trained in."""
    x = images.train
    scaling = Scaling(x.mean().expand(x[0].numel()), x.std(unbiased=False))
    network = UNet(images.shape, **NETWORK, classes=CLASSES, seed=seed)
    return NetworkScore(
        network, EDM(sigma_max=80.0), "velocity", "edm", 1.0, images.shape, scaling
    )


def train(images: Images, steps: int, out: Path, seed: int) -> NetworkScore:
    """The network, from the last checkpoint in ``out``."""
    start = untrained(images, seed)
    apply = start.scaling.apply
    return train_score(
        start.network, apply(images.train), start.process, **TRAINING, steps=steps,
        scaling=start.scaling, data_std=start.data_std, labels=images.labels,
        holdout=apply(images.holdout[:512]), measure_every=500,
        callbacks=[Processor(), JsonLines(out / "training.jsonl")],
        out=out, checkpoint_every=100, seed=seed,
    )  # fmt: skip


def so_far(images: Images, out: Path) -> NetworkScore:
    """The averaged weights of the last checkpoint."""
    last = max((out / "checkpoints").glob("step-*"))
    tensors, _ = read_pair(last / FILE)
    start = untrained(images, 0)
    network = filled(start.network, under("average/", tensors)).eval().requires_grad_(False)
    return replace(start, network=network)


def draw(score: NetworkScore, each: int, steps: int, seed: int) -> Tensor:
    """Samples in grey levels, class after class."""
    parts = [sample(score.conditioned(k), each, solver="heun", steps=steps, seed=seed + k)
             for k in range(CLASSES)]  # fmt: skip
    return ((torch.cat(parts).clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def measure(images: Images, samples: Tensor, seed: int) -> list[dict[str, object]]:
    """Samples, and in their place training images: the floor."""
    n, few = len(samples), replace(images, train=images.train[:SEEN], labels=images.labels[:SEEN])
    space = Space(few, "cpu", EPOCHS)
    w2 = distance.with_floor(distance.w2, generated=samples, train=images.train,
                             holdout=images.holdout, resplits=5, seed=seed)  # fmt: skip
    found = audit(train=images.train, generated=samples, holdout=images.holdout[:2000], seed=seed)
    print(found, w2, sep="\n")
    floor = {"what": "training images", "n": n, **space.measure(images.train[:n]),
             "w2": w2.floor.value, "w2_stderr": w2.floor.stderr}  # fmt: skip
    here = {"what": "samples", "n": n, **space.measure(samples),
            "w2": w2.value.value, "w2_stderr": w2.value.stderr}  # fmt: skip
    return [
        here | {"copies": found.copy_rate.value, "exact_copies": found.exact_rate.value},
        floor | {"copies": found.copy_rate_holdout.value,
                 "exact_copies": found.exact_rate_holdout.value},
    ]  # fmt: skip


def picture(images: Images, samples: Tensor) -> Image.Image:
    """A class per row: samples, a gap, training images."""
    each, gap = len(samples) // CLASSES, torch.ones(1, *images.shape)
    rows = [
        torch.cat([samples[k * each :][:SHOWN], gap, images.train[images.labels == k][:SHOWN]])
        for k in range(CLASSES)
    ]
    grey = torch.stack(rows)[:, :, 0].permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
    return Image.fromarray(((grey + 1) * 127.5).byte().numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the four idx files")
    parser.add_argument("--out", type=Path, default=Path("runs/fashion"))
    parser.add_argument("--steps", type=int, default=1600, help="updates")
    parser.add_argument("--as-it-is", action="store_true", help="do not train on, only measure")
    parser.add_argument("--each", type=int, default=64, help="samples of a class")
    parser.add_argument("--solver-steps", type=int, default=18)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    images = fashion(asked.data, 60_000, 10_000, pooled=1)
    if asked.as_it_is:
        score = so_far(images, asked.out)
    else:
        score = train(images, asked.steps, asked.out, asked.seed)
    logs = [json.loads(line) for line in (asked.out / "training.jsonl").open()]
    began = time.process_time()
    samples = draw(score, asked.each, asked.solver_steps, asked.seed)
    rows = measure(images, samples, asked.seed)
    rows[0] |= {
        "updates": logs[-1]["step"],
        "updates_planned": asked.steps,
        "weights": sum(weight.numel() for weight in score.network.parameters()),
        "training_processor_minutes": sum(log["processor_seconds"] for log in logs) / 60,
        "sampling_and_measuring_minutes": (time.process_time() - began) / 60,
        "loss": sum(log["loss"] for log in logs[-100:]) / 100,
    }
    picture(images, samples).save(RESULTS / "fashion.png")
    print(table([{key: row[key] for key in rows[1]} | {"copies": row["copies"]} for row in rows]))
    print(save("fashion", rows))


if __name__ == "__main__":
    main()
