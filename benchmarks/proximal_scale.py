"""The proximal kernel on more and more images: seconds, memory, held-out likelihood.

    python -m benchmarks.proximal_scale --data DIR --set fashion --rows 2000 10000 60000
    python -m benchmarks.proximal_scale --data DIR --set mnist --rows 60000 --latent 64

DIR has ``fashion-mnist/`` and ``mnist/`` with the official files. Every fit runs in a process of
its own with 8 GB of address space (``--memory``), on grey levels with uniform noise of one level,
in [0, 1]; asked are the first 1,000 test images, with noise of their own, and 1,000 samples are
audited against the training images with the same test images held out. Results are added to
``results/proximal_scale.json``, and the largest fit of a set draws
``docs/figures/proximal_scale_SET.png``: samples, unselected.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

import wasserscore as ws
from benchmarks.machine import RESULTS, ROOT, peak_bytes, save, table
from wasserscore.data.pictures import idx_array
from wasserscore.process import VP
from wasserscore.proximal import fit_proximal
from wasserscore.proximal.bandwidth import KINDS
from wasserscore.proximal.choose import TUNING_ROWS, tried
from wasserscore.proximal.memory import predicted_bytes
from wasserscore.score.fit_report import FitReport

FOLDERS = {"fashion": "fashion-mnist", "mnist": "mnist"}
NAME, TEST, DRAWN, PIXELS = "proximal_scale", 1000, 1000, 784
SHOWN = (8, 16)


def images(data: Path, name: str, part: str, n: int) -> torch.Tensor:
    """Dequantised grey levels in [0, 1], single precision."""
    array = idx_array(data / FOLDERS[name] / f"{part}-images-idx3-ubyte.gz")
    grey = torch.from_numpy(array.reshape(-1, PIXELS)[:n].copy())
    generator = torch.Generator().manual_seed(len(part))
    return (grey + torch.rand(grey.shape, generator=generator)) / 256


def measure(options: argparse.Namespace) -> dict[str, object]:
    """One fit, in this process."""
    n, latent = options.rows[0], options.latent
    x = images(options.data, options.set, "train", n)
    start, before = time.perf_counter(), peak_bytes()
    candidates = tried(options.method, n, latent or PIXELS)
    needed = predicted_bytes(n, latent or PIXELS, candidates, TUNING_ROWS)
    if latent:
        needed = max(needed, predicted_bytes(n, PIXELS, ("principal axes",), TUNING_ROWS))
    score = fit_proximal(x, VP.linear(a=19.9, b=0.1, horizon=1.0), method=options.method,
                         **({"latent": latent} if latent else {}))  # fmt: skip
    fitted, used = time.perf_counter() - start, peak_bytes() - before
    print(score.fit_report, file=sys.stderr)
    start = time.perf_counter()
    drawn = score.sample_marginal(DRAWN, 0.0, generator=torch.Generator().manual_seed(0))
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    unseen = images(options.data, options.set, "t10k", TEST)
    value = score.log_prob(unseen.double())
    asked = time.perf_counter() - start
    nats = float(value.mean())
    if options.figure:
        figure(drawn, options.figure)
    report = ws.audit(train=x, generated=drawn.to(x.dtype), holdout=unseen)
    law = score if latent is None else score.latent
    return {
        "set": options.set,
        "rows": n,
        "axes": latent or "all",
        "method": score.fit_report.method,
        "centres": score.components,
        "directions": law.covariance.rank,
        "fit, s": round(fitted, 1),
        "1,000 samples, s": round(seconds, 2),
        "1,000 likelihoods, s": round(asked, 1),
        "predicted, GB": round(needed / 1e9, 2),
        "used by the fit, GB": round(used / 1e9, 2),
        "peak of the process, GB": round(peak_bytes() / 1e9, 2),
        "held-out nats": round(nats, 1),
        "stderr": round(float(value.std() / math.sqrt(len(value))), 1),
        "bits per pixel": round((math.log(256) - nats / PIXELS) / math.log(2), 3),
        "nats by the fit": round(score.fit_report.log_likelihood, 1),
        "nats of the best kernel density": round(best_kernel(score.fit_report), 1),
        "copies": report.copy_rate.value,
        "verdict": report.verdict,
    }


def best_kernel(report: FitReport) -> float:
    """The best cross-validated kernel density on the rows for tuning, nats."""
    return max((report.candidates[k] for k in KINDS if k in report.candidates), default=math.nan)


def figure(drawn: torch.Tensor, path: Path) -> None:
    """The first samples as a grid of grey images."""
    from PIL import Image

    down, across = SHOWN
    grid = drawn[: down * across].reshape(down, across, 28, 28).permute(0, 2, 1, 3)
    grey = (255 * (1 - grid.clamp(0, 1))).to(torch.uint8).reshape(down * 28, across * 28)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey.numpy()).resize((across * 56, down * 56), 0).save(path)


def child(options: argparse.Namespace, n: int, last: bool) -> dict[str, object]:
    """One fit in a process of its own, with its memory limited."""
    command = [sys.executable, "-m", f"benchmarks.{NAME}", "--alone", "--data", str(options.data),
               "--set", options.set, "--rows", str(n), "--method", options.method]  # fmt: skip
    command += ["--latent", str(options.latent)] if options.latent else []
    if last:
        name = options.set + (f"_{options.latent}" if options.latent else "")
        command += ["--figure", str(ROOT / "docs" / "figures" / f"{NAME}_{name}.png")]
    limit = int(options.memory * 1e9)
    bound = lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT,
                         preexec_fn=bound)  # fmt: skip
    row: dict[str, object] = json.loads(run.stdout)
    return row


def kept() -> list[dict[str, object]]:
    """Rows of earlier runs."""
    path = RESULTS / f"{NAME}.json"
    return json.loads(path.read_text())["rows"] if path.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", choices=FOLDERS, default="fashion")
    parser.add_argument("--rows", type=int, nargs="+", default=[2000, 10000, 60000])
    parser.add_argument("--latent", type=int)
    parser.add_argument("--method", default="auto")
    parser.add_argument("--memory", type=float, default=8.0, help="gigabytes")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--figure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(measure(options)))
        return
    for n in options.rows:
        row = child(options, n, n == max(options.rows))
        key = ("set", "rows", "axes", "method")
        rows = [r for r in kept() if any(r[k] != row[k] for k in key)] + [row]
        rows.sort(key=lambda r: [str(r["set"]), str(r["axes"]), int(str(r["rows"]))])
        save(NAME, rows, others=("pillow",))
        print(table([row]), flush=True)
    print(table(kept()))


if __name__ == "__main__":
    main()
