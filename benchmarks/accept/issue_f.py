"""Issue F: network scores at scale. Rows that are there are read; scripts start where none are.

Tests: two processes that train, sample and certify as one (``tests/*/test_ranks.py``), adapters of
diffusers, azula and EDM (``tests/score``), the digits network (issue A's table). Images need
``--data DIR``, and whether samples are worth looking at is for the eye (``results/fashion.png``).
Two scripts are never started here: ``out_of_core`` needs 20 GB of disk, and the GPU needs one:
``pytest -m gpu`` and the commands of ``training.md`` and ``images.md``.
"""

import statistics
from pathlib import Path

from scipy.stats import spearmanr

from benchmarks import resumable
from benchmarks.accept.check import (
    NEEDS_DATA,
    Check,
    Outcome,
    counted,
    saved,
    script,
    unmeasured,
)
from benchmarks.image_processes import PUBLISHED, processes

MINUTES = 60
"""Processor minutes of a training: thirty of two cores."""
PEERS = ("edm", "diffusers", "azula")
SEEDS = 3


def killed(scratch: Path) -> Outcome:
    """SIGKILL at random moments, the same command again, beside an untouched training."""
    row = saved("kill_training", "kill_training")[0]
    text = (f"{row['kills']} kills ({row['in the middle of a checkpoint']} inside a checkpoint's "
            f"writing), {row['unreadable checkpoints']} unreadable checkpoints, weights "
            f"{row['weights']}")  # fmt: skip
    return Outcome(text, row["kills"] >= 20 and row["finished"]
                   and row["unreadable checkpoints"] == 0
                   and row["weights"] == "bit-equal")  # fmt: skip


def fashion(data: Path | None) -> Outcome:
    """28 x 28, class-conditional; distances are printed beside their floors, copies bounded."""
    rows = saved("fashion", "fashion", "--data", data and data / "fashion-mnist")
    if not rows:
        return NEEDS_DATA
    mine, floor = rows
    minutes = mine["training_processor_minutes"]
    text = (f"{mine['updates']} of {mine['updates_planned']} updates, {minutes:.0f} minutes, "
            f"Frechet {mine['frechet']:.2f} (floor {floor['frechet']:.2f}), W2 "
            f"{mine['w2']:.2f} +- {mine['w2_stderr']:.2f} (floor {floor['w2']:.2f}), copies "
            f"{mine['copies']:.2%} (held out {floor['copies']:.2%})")  # fmt: skip
    return Outcome(text, minutes <= MINUTES and mine["copies"] < 0.005)


def throughput(device: str, *command: object) -> Outcome:
    """Images per second of ``train_score`` over the fastest other loop of the same network."""
    rows = {row["loop"]: row for row in saved(f"training_{device}", *command)}
    if not rows:
        return unmeasured(f"python -m benchmarks.training --device {device}")
    rate = {name: float(row["images/s"]) for name, row in rows.items()}
    absent = [name for name in PEERS if name not in rate]
    ratio = rate["train_score"] / max(rate[name] for name in PEERS if name in rate)
    text = ", ".join(f"{name} {rate.get(name, 'not run')}" for name in ("train_score", *PEERS))
    text += f" images/s: {ratio:.2f}; {rows['train_score']['of a matrix product']} of the rate of "
    return Outcome(f"{text}a matrix product", ratio >= 1 and not absent, complete=not absent)


def on_disk(scratch: Path) -> Outcome:
    """Training from Arrow files; RssAnon leaves out pages of the file, which are the system's."""
    rows = [row for row in saved("out_of_core") if row["GB on disk"] >= 20]
    if not rows:
        return unmeasured("python -m benchmarks.out_of_core --gigabytes 20")
    peak = rows[0]["peak RssAnon, GB"]
    text = f"{rows[0]['GB on disk']} GB on disk, at most {peak} GB held (RssAnon)"
    return Outcome(text, peak < 2)


def small_images(data: Path | None) -> Outcome:
    """Fashion-MNIST at 14 x 14 on two cores."""
    images = data and data / "fashion-mnist"
    return image_experiment("small", "--data", images, "--budget", 2400)


def cifar(scratch: Path) -> Outcome:
    """CIFAR-10 on a GPU."""
    return image_experiment("cifar", None)


def image_experiment(size: str, *options: object) -> Outcome:
    """Sixteen processes with networks of their own and with a common one, three seeds."""
    name = f"images_{size}"
    if not resumable.read(name):
        script("images", "run", "--size", size, *options)
    rows = [row for row in resumable.read(name) if row["table"] in ("own", "common")]
    if not rows:
        return unmeasured(f"python -m benchmarks.images run --size {size} --data DIR")
    texts = []
    for which in ("own", "common"):
        mine = [row for row in rows if row["table"] == which]
        frechet = {
            label: statistics.mean(found) for label in processes()
            if (found := [row["frechet"] for row in mine if row["process"] == label])
        }  # fmt: skip
        both = [label for label in PUBLISHED if label in frechet]
        text = f"{which}: {len(mine)} rows"
        if len(both) > 2:
            order = spearmanr([frechet[k] for k in both], [PUBLISHED[k] for k in both]).statistic
            text += (f", Frechet from {min(frechet, key=frechet.get)} {min(frechet.values()):.2f} "
                     f"to {max(frechet, key=frechet.get)} {max(frechet.values()):.2f}, rank "
                     f"correlation with the paper's FID {order:.2f} over {len(both)}")  # fmt: skip
        texts.append(text)
    return counted("; ".join(texts), True, rows, 2 * SEEDS * len(processes()))


CHECKS = [
    Check("kill -9", "20 kills, bit-equal weights, no unreadable checkpoint", killed),
    Check("Fashion-MNIST 28 x 28", f"within {MINUTES} minutes of one core; Frechet and W2 with "
          "floor, copies < .5 %", fashion, data=True),
    Check("throughput, CPU", ">= 1.0 of the fastest other loop",
          lambda scratch: throughput("cpu", "training")),
    Check("throughput, GPU", ">= 1.0 of the fastest other loop",
          lambda scratch: throughput("cuda")),
    Check("larger than memory", "20 GB on disk, less than 2 GB held", on_disk),
    Check("image experiment, two cores", "sixteen processes, own and common networks, 3 seeds",
          small_images, data=True),
    Check("image experiment, GPU", "the same on CIFAR-10", cifar),
]  # fmt: skip
