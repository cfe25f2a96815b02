"""Images per second of a training step, beside other people's loops on the same network.

    python -m benchmarks.training [--device cuda] [--seconds 5] [--rounds 3] [--no-compile]

One process, the same U-Net, batch and precision (on a GPU bfloat16 by autocast and
``torch.compile``, else float32), loops in turn, medians over rounds. Achieved FLOP/s are those of
the network's matrix products and convolutions, forward and backward, counted by torch's own
counter (what else a loop does is not counted); the card's rate is what a large matrix product
reaches in the same precision, and beside it the maker's number where the card is known. Run from
the root of the repository; read ``training.md``.
"""

import argparse
import contextlib
import copy
import statistics
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import save, table
from benchmarks.training_loops import LOOPS, Step, batches
from wasserscore import train_score
from wasserscore.network import UNet
from wasserscore.process import EDM

Row = dict[str, object]
NETWORKS = {
    "cuda": ((3, 32, 32), {"width": 128, "multipliers": (1, 2, 2), "blocks": 2,
                           "attention": (16,)}, 256),
    "cpu": ((1, 14, 14), {"width": 16, "multipliers": (1, 2), "blocks": 1, "attention": (7,)}, 32),
}  # fmt: skip
"""Shape, U-Net and batch."""
WARM = 5
"""Steps of every loop that are not timed."""
MAKERS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Dense bfloat16 FLOP/s of the data sheets (SXM)."""


class Bench:
    """One network, one batch size, one precision, for every loop."""

    def __init__(self, device: str, compiled: bool, batch: int | None) -> None:
        self.device, self.compiled = device, compiled
        self.shape, self.sizes, own = NETWORKS[device]
        self.batch = batch or own
        generator = torch.Generator().manual_seed(0)
        self.data = torch.randn(20 * self.batch, *self.shape, generator=generator)
        self.halves = device == "cuda"

    def network(self) -> UNet:
        """A fresh one."""
        network = UNet(self.shape, **self.sizes).to(self.device)
        return network.to(memory_format=torch.channels_last) if self.halves else network

    def rates(self, rounds: int, seconds: float) -> dict[str, list[float]]:
        """Images per second of every loop and round.

        ``train_score`` runs once, whole (draws, loss, clipping, average, logs), and its callback
        lets the others have their turns: so everything is compiled once, not in every round.
        """
        found: dict[str, list[float]] = {name: [] for name in ("train_score", *LOOPS)}
        others = {name: self.peer(name) for name in LOOPS}
        begin = count = 0.0

        class Enough(Exception):
            pass

        def turn(k: int, logs: dict[str, float]) -> None:
            nonlocal begin, count
            count += 1
            if k > WARM and time.perf_counter() - begin < seconds:
                return
            self.wait()
            if k > WARM:
                found["train_score"].append(self.batch * count / (time.perf_counter() - begin))
                for name, loop in others.items():
                    found[name].append(self.rate(loop, seconds))
            if len(found["train_score"]) == rounds:
                raise Enough
            begin, count = time.perf_counter(), 0

        with contextlib.suppress(Enough):
            train_score(
                self.network(), self.data, EDM(), steps=10**6, batch_size=self.batch,
                precision="bfloat16" if self.halves else "float32", compile=self.compiled,
                callbacks=[turn],
            )  # fmt: skip
        return found

    def peer(self, name: str) -> Step:
        """One step of another loop, warm."""
        network = self.network()
        average = copy.deepcopy(network).requires_grad_(False)
        if self.compiled:
            network.compile(dynamic=False)
        cast = lambda: torch.autocast(self.device, torch.bfloat16, enabled=self.halves)
        step = LOOPS[name](network, average, batches(self.data, self.batch, self.device), cast)
        with torch.random.fork_rng():
            for _ in range(WARM):
                step()
        return step

    def rate(self, step: Step, seconds: float) -> float:
        """Images per second of a loop that repeats a step."""
        with torch.random.fork_rng():
            self.wait()
            begin, count = time.perf_counter(), 0
            while time.perf_counter() - begin < seconds:
                for _ in range(5):
                    step()
                self.wait()
                count += 5
        return self.batch * count / (time.perf_counter() - begin)

    def wait(self) -> None:
        """Until the device has done all."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def flops(self) -> float:
        """Of one image, forward and backward."""
        network, n = UNet(self.shape, **self.sizes), 2
        x = self.data[:n]
        with FlopCounterMode(display=False) as counter:
            network(x, torch.zeros(n)).square().sum().backward()
        return counter.get_total_flops() / n

    def product(self) -> float:
        """FLOP/s of a large matrix product in the precision of the networks."""
        n, dtype = (8192, torch.bfloat16) if self.halves else (1024, torch.float32)
        a = torch.ones(n, n, device=self.device, dtype=dtype)

        def run() -> float:
            self.wait()
            begin = time.perf_counter()
            for _ in range(10):
                torch.mm(a, a)
            self.wait()
            return 10 * 2 * n**3 / (time.perf_counter() - begin)

        return max(run() for _ in range(5))


def maker() -> float | None:
    name = torch.cuda.get_device_name()
    return next((rate for key, rate in MAKERS.items() if key in name), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--seconds", type=float, default=5.0, help="of one loop in one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--no-compile", action="store_true")
    asked = parser.parse_args()
    if asked.device == "cpu":
        torch.set_num_threads(1)
    bench = Bench(asked.device, asked.device == "cuda" and not asked.no_compile, asked.batch)
    rates = bench.rates(asked.rounds, asked.seconds)
    middle = {name: statistics.median(found) for name, found in rates.items()}
    best = max(value for name, value in middle.items() if name not in ("train_score", "bare"))
    flops, product = bench.flops(), bench.product()
    known = maker() if asked.device == "cuda" else None
    count = sum(p.numel() for p in bench.network().parameters())
    rows: list[Row] = []
    for name, value in middle.items():
        low, high = min(rates[name]), max(rates[name])
        rows.append({
            "loop": name, "images/s": f"{value:.4g}", "rounds from to": f"{low:.4g} to {high:.4g}",
            "against the faster peer": f"{value / best:.2f}",
            "TFLOP/s": f"{value * flops / 1e12:.3g}",
            "of a matrix product": f"{value * flops / product:.0%}",
            "of the data sheet": f"{value * flops / known:.0%}" if known else "",
        })  # fmt: skip
    print(
        f"{count / 1e6:.2f} M weights, {bench.shape}, batch {bench.batch}, "
        f"{flops / 1e9:.3g} GFLOP an image, matrix product {product / 1e12:.3g} TFLOP/s\n"
    )
    print(table(rows))
    save(f"training_{asked.device}", rows)


if __name__ == "__main__":
    main()
