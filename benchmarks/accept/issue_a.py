"""Issue A: the house and its main job."""

import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import startup
from benchmarks.accept.check import Check, Outcome
from benchmarks.machine import ROOT
from wasserscore.certificate import certify
from wasserscore.experiment.model import Model
from wasserscore.sampling import sample

SCRIPT = str(Path(sys.executable).parent / "wasserscore")


def digits_run(
    folder: Path, seed: int = 0, *, settings: tuple[str, ...] = ()
) -> tuple[dict[str, Any], float, float]:
    """The demo's results, its seconds and its peak memory in GB."""
    start = time.perf_counter()
    command = [SCRIPT, "run", "digits", "--seed", str(seed), "--out", str(folder), "--force"]
    for setting in settings:
        command += ["--set", setting]
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return json.loads((folder / "results.json").read_text()), seconds, memory


def cost(scratch: Path) -> Outcome:
    _, seconds, memory = digits_run(scratch / "run")
    return Outcome(f"{seconds:.0f} s, {memory:.2f} GB", seconds < 180 and memory < 2)


def numbers(scratch: Path) -> Outcome:
    rows, passed = [], True
    for seed in range(4):
        short = ("curve=[]", "certificate=none")
        results, _, _ = digits_run(scratch / f"seed-{seed}", seed, settings=short)
        line, good = _judge(results)
        rows.append(f"seed {seed}: {line}")
        passed &= good
    return Outcome("; ".join(rows), passed)


def _judge(results: dict[str, Any]) -> tuple[str, bool]:
    laws = {row["name"]: row["metrics"] for row in results["baselines"] + results["models"]}
    value = {name: metrics["w2"]["value"] for name, metrics in laws.items()}
    value["floor"] = results["floor"]["w2"]["value"]
    copies = {
        name: laws[name]["copy_rate"]["value"] for name in ("empirical", "proximal", "network")
    }
    kernels = [laws[name]["log_likelihood"]["value"] for name in ("isotropic", "columns", "full")]
    margin = laws["proximal"]["log_likelihood"]["value"] - max(kernels)
    verdicts = {row["name"]: row["audit"]["verdict"] for row in results["models"]}
    passed = (
        abs(value["floor"] - 2.63) <= 0.06
        and abs(value["bootstrap"] - 2.76) <= 0.08
        and abs(value["gaussian"] - 3.85) <= 0.08
        and copies["empirical"] >= 0.99
        and copies["proximal"] == 0
        and copies["network"] < 0.01
        and margin >= 6
        and value["proximal"] <= 3.05
        and value["network"] <= 2.85
        and verdicts["empirical"] == "memorized"
        and verdicts["proximal"] == verdicts["network"] == "no sign of copying"
    )
    names = ("floor", "bootstrap", "gaussian", "empirical", "proximal", "network")
    text = ", ".join(f"{name} {value[name]:.2f}" for name in names)
    text += (
        f", empirical copies {100 * copies['empirical']:.0f} %, proximal {copies['proximal']:.0%}"
    )
    return f"{text}, network {copies['network']:.1%}, likelihood +{margin:.1f} nats", passed


def same_twice(scratch: Path) -> Outcome:
    pages = []
    for name in ("first", "second"):
        results, _, _ = digits_run(scratch / name)
        results.pop("timings")
        pages.append(json.dumps(results, sort_keys=True))
    same = pages[0] == pages[1]
    return Outcome("identical except timings" if same else "different", same)


def batches(scratch: Path) -> Outcome:
    command = [SCRIPT, "fit", "digits", "--out", str(scratch / "run"), "--force"]
    subprocess.run(command, check=True, capture_output=True)
    equal = {}
    for name in ("empirical", "proximal", "network"):
        score = Model.load(scratch / "run" / "models" / name).score
        whole = sample(score, 300, batch_size=256, seed=0)
        few = {7: 21, 1: 4}  # a batch is padded to a whole tile, so small ones are slow
        equal[name] = all(
            torch.equal(sample(score, n, batch_size=size, seed=0), whole[:n])
            for size, n in few.items()
        )
    text = ", ".join(
        f"{name} {'bit-equal' if same else 'DIFFERENT'}" for name, same in equal.items()
    )
    return Outcome(f"batch 1, 7, 256: {text}", all(equal.values()))


def soundness(scratch: Path) -> Outcome:
    from tests.problems import affine, gaussian, line

    ratios = []
    for problem in [*gaussian.problems(), *line.problems(), *affine.problems()]:
        found = certify(
            problem.score, problem.reference, level=0.999, parts=4, **problem.settings()
        )
        ratios.append(float(found.upper) / problem.w2())
    low, near = sum(r < 1 - 1e-6 for r in ratios), sum(r <= 2 for r in ratios)
    median = sorted(ratios)[len(ratios) // 2]
    text = f"{len(ratios)} problems: {low} below the truth, {near} within 2x, median {median:.2f}"
    return Outcome(text, low == 0 and 2 * near >= len(ratios))


BAD = {
    "nan.csv": ("a,b\n1,2\n3,\n" + "4,5\n" * 30, r"row .*column"),
    "one.csv": ("a,b\n1,2\n", "row"),
    "constant.csv": ("a,b\n" + "1,2\n" * 40, "constant"),
    "table.xyz": ("1", "extension|type|file"),
    "text.csv": ("a,b\n" + "1,x\n" * 40, "b"),
}


def bad_input(scratch: Path) -> Outcome:
    import numpy as np

    paths = {}
    for name, (text, pattern) in BAD.items():
        (scratch / name).write_text(text)
        paths[str(scratch / name)] = pattern
    np.save(scratch / "flat.npy", np.arange(50.0))
    np.savez(scratch / "pickle.npz", x=np.array([{}], dtype=object))
    paths |= {str(scratch / "flat.npy"): "", str(scratch / "pickle.npz"): "", "no/such.csv": ""}
    wrong = []
    for path, pattern in paths.items():
        out = scratch / "out"
        found = subprocess.run(
            [SCRIPT, "run", path, "--out", str(out)], capture_output=True, text=True, check=False
        )
        lines = found.stderr.strip().splitlines()
        good = found.returncode == 2 and len(lines) == 1 and not out.exists()
        if not (good and re.search(pattern, lines[0])):
            wrong.append(f"{path}: {found.returncode} {lines}")
    return Outcome(
        "; ".join(wrong) or f"{len(paths)} inputs: one line, exit 2, nothing written", not wrong
    )


def interruption(scratch: Path) -> Outcome:
    """SIGINT while the network trains, then the same command; against an untouched run."""
    import signal

    settings = ["--models", "network", "--set", "network.steps=300", "--set", "curve=[]"]

    def command(name: str) -> list[str]:
        return [SCRIPT, "run", "digits", "--out", str(scratch / name), "--force", *settings]

    subprocess.run(command("whole"), check=True, capture_output=True)
    process = subprocess.Popen(command("cut"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not (scratch / "cut" / "split.json").exists():
        time.sleep(0.1)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    process.communicate()
    subprocess.run([w for w in command("cut") if w != "--force"], check=True, capture_output=True)
    pages = [
        json.loads((scratch / name / "results.json").read_text()) for name in ("whole", "cut")
    ]
    for page in pages:
        page.pop("timings")
    same = pages[0] == pages[1]
    text = f"exit {process.returncode}, continued run {'identical' if same else 'DIFFERENT'}"
    return Outcome(text, process.returncode == 130 and same)


def start(scratch: Path) -> Outcome:
    rows = startup.main()
    text = ", ".join(f"{row['command']} {row['seconds']} s" for row in rows[:2])
    return Outcome(text, all(row["seconds"] < row["target"] for row in rows[:2]))


def tests(scratch: Path) -> Outcome:
    begin = time.perf_counter()
    found = subprocess.run(
        ["make", "test"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    seconds = time.perf_counter() - begin
    covered = re.search(r"TOTAL.*?(\d+)%", found.stdout)
    share = int(covered[1]) if covered else 0
    passed = found.returncode == 0 and seconds < 360 and share >= 90
    last = re.findall(r"\d+ passed.*", found.stdout)
    return Outcome(
        f"{last[-1] if last else 'failed'}; {seconds:.0f} s; coverage {share} %", passed
    )


CHECKS = [
    Check("demo cost", "under 180 s and 2 GB", cost),
    Check("digits numbers", "see the issue; 4 splits", numbers),
    Check("same seed twice", "identical except timings", same_twice),
    Check("batch sizes", "bit-equal for 1, 7, 256", batches),
    Check("certificate soundness", "0 below the truth, half within 2x", soundness),
    Check("bad input", "one line, exit 2, nothing written", bad_input),
    Check("interruption", "exit 130, the same command continues", interruption),
    Check("start-up", "import < 2.5 s, --help < 1.5 s", start),
    Check("make test", "under 360 s, coverage >= 90 %", tests),
]
