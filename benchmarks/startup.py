"""Seconds to import the package and to show the help (median of 5 fresh processes)."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.machine import save, table

SCRIPT = str(Path(sys.executable).parent / "wasserscore")
COMMANDS = {
    "python -c 'import wasserscore'": [sys.executable, "-c", "import wasserscore"],
    "wasserscore --help": [SCRIPT, "--help"],
    "wasserscore run --help": [SCRIPT, "run", "--help"],
    "python -c 'import torch' (for scale)": [sys.executable, "-c", "import torch"],
}
TARGET = {"python -c 'import wasserscore'": 2.5, "wasserscore --help": 1.5}


def seconds(command: list[str]) -> float:
    def once() -> float:
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - start

    once()
    return statistics.median(once() for _ in range(5))


def main() -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {
            "command": f"`{name}`",
            "seconds": round(seconds(command), 2),
            "target": TARGET.get(name, ""),
        }
        for name, command in COMMANDS.items()
    ]
    save("startup", rows)
    return rows


if __name__ == "__main__":
    print(table(main()))
