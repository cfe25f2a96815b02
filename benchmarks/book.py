"""The benchmark book: every light benchmark in turn, and the list of the long ones.

    python -m benchmarks.book [--quick]

Each saves its rows in ``results/``; what they print is put together in ``results/book.md``, which
``README.md`` comments on. ``--quick`` only asks whether benchmarks still run: the smallest
problems of a few, their results thrown away.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import RESULTS, ROOT

PAGE = ROOT / "benchmarks" / "README.md"
HEAD = "| what | command | time |"
LIGHT = ["forward_processes", "orders", "published_ve", "choose_figure", "distances", "startup"]
QUICK = ["published_ve", "kernel_engine --quick --only 1"]


def campaigns() -> list[str]:
    """Lines of the table of ``README.md`` that the book does not run."""
    rows = PAGE.read_text().split(HEAD)[1].split("\n\n")[0].splitlines()[2:]
    return [row for row in rows if not any(f"benchmarks.{name}`" in row for name in LIGHT)]


def chapter(command: str, results: Path) -> str:
    """A benchmark in its own process, and what it printed under a heading."""
    call = [sys.executable, "-m", *f"benchmarks.{command}".split()]
    where = os.environ | {"BENCHMARK_RESULTS": str(results)}
    printed = subprocess.run(
        call, cwd=ROOT, env=where, check=True, stdout=subprocess.PIPE, text=True
    )
    text = f"## {command}\n\n{printed.stdout}"
    print(text, flush=True)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    if parser.parse_args().quick:
        with tempfile.TemporaryDirectory() as folder:
            for command in QUICK:
                chapter(command, Path(folder))
        return
    chapters = [chapter(name, RESULTS) for name in LIGHT]
    others = "\n".join(["## Not run here", "", HEAD, "| --- | --- | --- |", *campaigns()])
    print(others)
    book = "\n".join(["# The benchmarks, as they were printed\n", *chapters, others, ""])
    (RESULTS / "book.md").write_text(book)


if __name__ == "__main__":
    main()
