"""What every saved measurement says about where it was taken."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(os.environ.get("BENCHMARK_RESULTS", Path(__file__).parent / "results"))
ROOT = Path(__file__).parent.parent


def cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def gpu() -> str:
    """The name of a GPU, if this process uses one."""
    torch = sys.modules.get("torch")
    used = torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized()
    return f", {torch.cuda.get_device_name()}" if used else ""


def commit() -> str:
    run = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout.strip() or "not a git checkout"


def peak_bytes(process: int | str = "self") -> int:
    """The largest resident set of a process so far (``ru_maxrss`` begins with its parent's)."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def provenance(*others: str) -> dict[str, object]:
    packages = ("torch", "numpy", "scipy", "POT", "scikit-learn", *others)
    return {
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{cpu()}, {os.cpu_count()} cores{gpu()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }


def save(name: str, rows: list[dict[str, object]], others: Iterable[str] = ()) -> Path:
    """Write ``benchmarks/results/NAME.json``; ``others`` are further packages to name."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({**provenance(*others), "rows": rows}, indent=1) + "\n")
    return path


def table(rows: list[dict[str, object]]) -> str:
    """Rows as a Markdown table."""
    keys = list(rows[0])
    lines = [keys, ["---"] * len(keys), *([str(row[key]) for key in keys] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
