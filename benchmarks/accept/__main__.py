"""``python -m benchmarks.accept [LETTER ...] [--only TEXT] [--again]``: print the tables.

Resumable: numbers that are already in ``benchmarks/results`` are not measured again.
"""

import argparse
from importlib import import_module
from pathlib import Path

from benchmarks.accept.check import run
from benchmarks.machine import table

LETTERS = sorted(path.stem[-1] for path in Path(__file__).parent.glob("issue_?.py"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accept", description=__doc__)
    parser.add_argument("letters", nargs="*", default=LETTERS, help=f"of {', '.join(LETTERS)}")
    parser.add_argument("--only", default="", help="only checks whose name contains this")
    parser.add_argument("--again", action="store_true", help="measure again what is known")
    arguments = parser.parse_args()
    for letter in arguments.letters:
        checks = import_module(f"benchmarks.accept.issue_{letter}").CHECKS
        rows = run(letter, checks, again=arguments.again, only=arguments.only)
        print(f"\n## Issue {letter.upper()}\n")
        if rows:
            print(table([{**row, "passed": "yes" if row["passed"] else "NO"} for row in rows]))


if __name__ == "__main__":
    main()
