"""Whole commands before the kernel engine was rebuilt and now: processor seconds, and why so many.

    python -m benchmarks.end_to_end [--before COMMIT]

A checkout of the commit before and this tree run the same commands in turn, under the profiler and
on one thread: ``wasserscore run digits``, which ``make demo`` runs, ``certify`` of its proximal
model, and ``flow`` of 4,000 particles to as many points of 25 Gaussians in the plane. ``share`` is
the part of the profile that was spent in kernel sums before; without any cost of theirs a command
would be 1 / (1 - share) times as fast. Run from the root of a git checkout.
"""

import argparse
import os
import pstats
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.machine import ROOT, save, table

BEFORE = "a301630"
"""The commit before attention and the search for few keys."""
SUMS = ("wasserscore/kernel/", "softmax_mean")
POINTS = 4000


def commands(folder: Path) -> dict[str, list[str]]:
    """Arguments by what they do; later ones use what earlier ones made."""
    rng = np.random.default_rng(0)
    middles = rng.integers(-2, 3, (POINTS, 2))
    np.save(folder / "target.npy", middles + 0.05 * rng.standard_normal((POINTS, 2)))
    np.save(folder / "source.npy", 2 * rng.standard_normal((POINTS, 2)))
    run = str(folder / "run")
    return {
        "run digits": ["run", "digits", "--out", run],
        "certify": ["certify", run, "--model", "proximal", "--steps", "40"],
        "flow": ["flow", str(folder / "source.npy"), str(folder / "target.npy"),
                 "--out", str(folder / "flow")],
    }  # fmt: skip


def measured(tree: Path, words: list[str], profile: Path) -> tuple[float, float]:
    """Processor seconds of a command, and the share of its profile that kernel sums have."""
    start = profile.with_suffix(".py")  # the commit before has no ``python -m wasserscore``
    start.write_text("from wasserscore.cli.main import main\n\nmain()\n")
    call = [sys.executable, "-m", "cProfile", "-o", str(profile), str(start)]
    process = subprocess.Popen(
        [*call, *words], cwd=tree, stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(tree / "src")},
    )  # fmt: skip
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{words[0]} failed in {tree}")
    stats = pstats.Stats(str(profile))
    sums = sum(
        entry[3]
        for (file, _, name), entry in stats.stats.items()  # type: ignore[attr-defined]
        if SUMS[0] in file and name == SUMS[1]
    )
    return used.ru_utime + used.ru_stime, sums / stats.total_tt  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", default=BEFORE, metavar="COMMIT")
    before = parser.parse_args().before
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as scratch:
        old = Path(scratch) / "before"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(old), before], check=True)
        try:
            asked = []
            for name in ("then", "now"):
                (Path(scratch) / name).mkdir()
                asked.append(commands(Path(scratch) / name))
            for what in asked[0]:
                profile = Path(scratch) / "profile"
                then, share = measured(old, asked[0][what], profile)
                now, left = measured(ROOT, asked[1][what], profile)
                rows.append({
                    "command": what, "before": before, "seconds before": round(then, 1),
                    "seconds": round(now, 1), "times as fast": round(then / now, 2),
                    "share before": round(share, 3), "share": round(left, 3),
                })  # fmt: skip
                print(rows[-1], flush=True)
        finally:
            subprocess.run([*git, "remove", "--force", str(old)], check=False)
    save("end_to_end", rows)
    print(table(rows))


if __name__ == "__main__":
    main()
