"""``python -m benchmarks.accept [LETTER ...] [--only TEXT] [--again] [--data DIR]``: the tables.

Resumable: numbers that are already in ``benchmarks/results`` are not measured again. Checks that
could not be made in full are tried at every call: DIR holds the data sets that are no part of the
project, ``mnist/``, ``fashion-mnist/``, ``cifar10/`` and ``tabular/``.
"""

import argparse
from importlib import import_module
from pathlib import Path

from benchmarks.accept.check import run
from benchmarks.machine import table

LETTERS = sorted(path.stem[-1] for path in Path(__file__).parent.glob("issue_?.py"))
SHOWN = ("check", "target", "measured", "passed", "seconds", "commit")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accept", description=__doc__)
    parser.add_argument("letters", nargs="*", default=LETTERS, help=f"of {', '.join(LETTERS)}")
    parser.add_argument("--only", default="", help="only checks whose name contains this")
    parser.add_argument("--again", action="store_true", help="measure again what is known")
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    asked = parser.parse_args()
    for letter in asked.letters:
        checks = import_module(f"benchmarks.accept.issue_{letter}").CHECKS
        rows = run(letter, checks, again=asked.again, only=asked.only, data=asked.data)
        print(f"\n## Issue {letter.upper()}\n")
        if rows:
            shown = [row | {"passed": "yes" if row["passed"] else "NO"} for row in rows]
            print(table([{key: row[key] for key in SHOWN} for row in shown]))


if __name__ == "__main__":
    main()
