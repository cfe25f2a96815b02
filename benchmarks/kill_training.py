"""A training that is killed (SIGKILL) at random moments, beside one that is not: the same bits?

Every life trains from the last checkpoint and is killed a random time after its first step; after
each kill every checkpoint on disk is read. With ``--ranks 2`` a random one of two processes is
killed, and torchrun ends the other.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.machine import ROOT, save, table
from wasserscore.core.distributed import rank
from wasserscore.core.errors import InputError
from wasserscore.network import MLP
from wasserscore.process import EDM
from wasserscore.score import load
from wasserscore.score import save as save_score
from wasserscore.score.vault import read_pair
from wasserscore.training import train_score

EVERY = 20


def train(out: Path, steps: int) -> None:
    """One life; its process number once, then every step, on stdout."""

    def say(text: str) -> None:
        os.write(1, f"{text}\n".encode())  # whole lines, whichever process writes

    say(f"pid {os.getpid()}")
    points = torch.randn(500, 16, generator=torch.Generator().manual_seed(1))
    score = train_score(
        MLP(16, 64, 2, seed=1), points, EDM(sigma_max=20.0), steps=steps, batch_size=64,
        checkpoint_every=EVERY, out=out, callbacks=[lambda k, _: say(str(k))],
    )  # fmt: skip
    if rank() == 0:
        save_score(score, out)


def start(out: Path, steps: int, ranks: int) -> "subprocess.Popen[str]":
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(ranks)]
    life = ["-m", "benchmarks.kill_training", "--life", str(out), "--steps", str(steps)]
    return subprocess.Popen(
        [sys.executable, *(launcher if ranks > 1 else []), *life], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def first_step(process: "subprocess.Popen[str]") -> tuple[list[int], int]:
    """The processes of a life, and the step it begins with (0 where nothing is left to do)."""
    assert process.stdout is not None
    pids = list[int]()
    for line in process.stdout:
        if not line.startswith("pid"):
            return pids, int(line)
        pids.append(int(line.split()[1]))
    return pids, 0


def unreadable(folder: Path) -> int:
    """Checkpoints on disk that cannot be read."""
    bad = 0
    for path in folder.glob("step-*"):
        try:
            read_pair(path / "state.safetensors")
        except InputError:
            bad += 1
    return bad


def campaign(folder: Path, steps: int, kills: int, ranks: int) -> dict[str, object]:
    whole, killed = folder / "whole", folder / "killed"
    life = start(whole, steps, ranks)
    first_step(life)
    began = time.monotonic()
    assert life.wait(timeout=600) == 0
    seconds = time.monotonic() - began

    moments, done, repeated, cut, bad, last = random.Random(0), 0, 0, 0, 0, 0
    while done < kills:
        life = start(killed, steps, ranks)
        pids, first = first_step(life)
        if first == 0:
            life.wait()
            break
        repeated += max(0, last + 1 - first)
        time.sleep(moments.uniform(0, 2 * seconds / (kills + 1)))
        try:
            os.kill(moments.choice(pids), signal.SIGKILL)
        except ProcessLookupError:
            break
        done += 1
        assert life.stdout is not None
        told = [line for line in life.stdout.read().split() if line.isdigit()]
        life.wait(timeout=60)
        last = int(told[-1]) if told else first
        cut += (killed / "checkpoints" / ".unfinished").exists()
        bad += unreadable(killed / "checkpoints")
    life = start(killed, steps, ranks)
    first_step(life)
    finished = life.wait(timeout=600) == 0
    one, two = (load(path).network.state_dict() for path in (whole, killed))
    return {
        "processes": ranks,
        "steps": steps,
        "uninterrupted": f"{seconds:.0f} s",
        "kills": done,
        "in the middle of a checkpoint": cut,
        "steps done twice": repeated,
        "unreadable checkpoints": bad,
        "finished": finished,
        "weights": "bit-equal" if all(map(torch.equal, one.values(), two.values())) else "other",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--life", type=Path, help="only train, in this folder")
    asked = parser.parse_args()
    if asked.life:
        train(asked.life, asked.steps)
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = [campaign(Path(folder), asked.steps, asked.kills, asked.ranks)]
    save("kill_training" if asked.ranks == 1 else f"kill_training_{asked.ranks}", rows)
    print(table(rows))


if __name__ == "__main__":
    main()
