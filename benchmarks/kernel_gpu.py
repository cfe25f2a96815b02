"""Kernel sums on a GPU against its peers: milliseconds and errors, medians of 5, one process.

Peers: ``cdist`` and ``softmax``; fused attention with the norm folded in as one more column; KeOps
if asked for (``--keops``), where it compiles. Errors are relative to the size of the data, against
float64.
"""

import argparse
import statistics
from collections.abc import Callable

import torch

from benchmarks.machine import save, table
from wasserscore.certificate import certify
from wasserscore.kernel import Keys, softmax_mean
from wasserscore.process import VP
from wasserscore.score import EmpiricalScore, ProximalScore
from wasserscore.score.spiked import Spiked

CASES = [
    (2000, 10_000, 2), (2000, 10_000, 64), (2000, 100_000, 2), (2000, 100_000, 64),
    (2000, 100_000, 256), (2000, 100_000, 784), (2000, 100_000, 3072), (64, 1_000_000, 64),
    (2000, 1_000_000, 2), (2000, 1_000_000, 64), (2000, 1_000_000, 256),
]  # fmt: skip
QUICK = [(200, 3000, 2), (200, 3000, 64), (100, 2000, 784)]
WIDE, NARROW = 3.0, 0.05
"""Kernel widths, in root mean squares of a key's norm: float32 logits are enough, or not."""
Sums = Callable[[], torch.Tensor]


def milliseconds(call: Callable[[], object], repeats: int = 5, warm: int = 2) -> float:
    """Median by the device's own clock, after ``warm`` calls."""
    times = []
    for k in range(repeats + warm):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        if k >= warm:
            times.append(start.elapsed_time(end))
    return statistics.median(times)


def naive(x: torch.Tensor, y: torch.Tensor, sigma: float) -> torch.Tensor:
    return torch.softmax(torch.cdist(x, y).square_().div_(-2 * sigma**2), 1) @ y


def attention(x: torch.Tensor, y: torch.Tensor, sigma: float) -> torch.Tensor:
    """softmax(q . k) with q = (x / sigma^2, 1) and k = (y, -|y|^2 / 2 sigma^2), values y."""
    one = torch.ones_like(x[:, :1])
    q = torch.cat([x / sigma**2, one], 1)
    k = torch.cat([y, -y.square().sum(1, keepdim=True) / (2 * sigma**2)], 1)
    v = torch.cat([y, torch.zeros_like(y[:, :1])], 1)
    pad = -q.shape[1] % 8
    q, k, v = (torch.nn.functional.pad(a, (0, pad))[None, None] for a in (q, k, v))
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=1.0)
    return out[0, 0, :, : x.shape[1]]


def keops(x: torch.Tensor, y: torch.Tensor, sigma: float) -> torch.Tensor:
    from pykeops.torch import LazyTensor

    a, b = LazyTensor(x[:, None, :].contiguous()), LazyTensor(y[None, :, :].contiguous())
    return (-((a - b) ** 2).sum(-1) / (2 * sigma**2)).sumsoftmaxweight(b, dim=1)


def peak_rates() -> dict[str, float]:
    """What matrix products reach on this card, in 1e12 operations per second."""
    rates = {}
    for name, dtype, tf32 in [("float32", torch.float32, False), ("TF32", torch.float32, True),
                              ("float64", torch.float64, False)]:  # fmt: skip
        a, b = (torch.randn(8192, 8192, device="cuda", dtype=dtype) for _ in range(2))
        torch.backends.cuda.matmul.allow_tf32 = tf32
        rates[name] = round(2 * 8192**3 / milliseconds(lambda a=a, b=b: a @ b) / 1e9, 1)
    torch.backends.cuda.matmul.allow_tf32 = False
    return rates


def error(call: Sums, exact: torch.Tensor, scale: float) -> str:
    return f"{float((call()[: len(exact)] - exact).norm(dim=1).max()) / scale:.0e}"


def compare(cases: list[tuple[int, int, int]], with_keops: bool) -> list[dict[str, object]]:
    generator, rows = torch.Generator("cuda").manual_seed(0), []
    peers: dict[str, Callable[..., torch.Tensor]] = {"cdist": naive, "attention": attention}
    if with_keops:
        peers["KeOps"] = keops
    for b, n, d in cases:
        x, y = (torch.randn(m, d, generator=generator, device="cuda") for m in (b, n))
        keys, scale = Keys(y), float(y.norm(dim=1).max())
        for width in (WIDE, NARROW):
            sigma = width * d**0.5
            exact = softmax_mean(x[:100].double(), keys, sigma).mean
            ours = milliseconds(lambda k=keys, s=sigma, x=x: softmax_mean(x, k, s))
            mine = error(lambda k=keys, s=sigma, x=x: softmax_mean(x, k, s).mean, exact, scale)
            row: dict[str, object] = {
                "B x N x d": f"{b} x {n:.0e} x {d}".replace("e+0", "e"), "sigma": round(sigma, 2),
                "ours ms": round(ours, 3), "TFLOP/s": round(4 * b * n * d / ours / 1e9, 1),
                "error": mine,
            }  # fmt: skip
            for name, peer in peers.items():
                too_large = name == "cdist" and 12 * b * n > 3e10
                too_slow = name == "KeOps" and b * n * d > 3e11
                row[name], row[f"{name} error"] = "-", "-"
                if too_large or too_slow:
                    continue
                try:
                    call = lambda p=peer, x=x, y=y, s=sigma: p(x, y, s)
                    time = milliseconds(call)
                except Exception as failure:  # a peer that does not run is shown, not hidden
                    print(name, b, n, d, repr(failure)[:200])
                    continue
                row[name] = f"{time:.3g} ({time / ours:.1f}x)"
                row[f"{name} error"] = error(call, exact, scale)
            rows.append(row)
            print(row, flush=True)
    return rows


def whole(quick: bool) -> list[dict[str, object]]:
    """A score of 60,000 images of 784 pixels, and a certificate in 3072 dimensions."""
    generator, rows = torch.Generator("cuda").manual_seed(1), []
    process, n = VP.linear(a=19.9, b=0.1, horizon=1.0), 3000 if quick else 60_000
    y = torch.randn(n, 784, generator=generator, device="cuda")
    factors = 0.3 * torch.randn(n, 784, 4, generator=generator, device="cuda")
    spiked = Spiked(factors, torch.full((784,), 0.1, device="cuda"))
    for law in (EmpiricalScore(y, process, bandwidth=0.1), ProximalScore(y, spiked, process)):
        time = milliseconds(lambda law=law: law(y[:256], 0.3))
        rows.append({"what": f"{type(law).__name__}, 256 queries, {n} x 784, t = 0.3",
                     "seconds": round(time / 1e3, 4)})  # fmt: skip
        print(rows[-1], flush=True)
    few = torch.randn(1000 if quick else 100_000, 3072)
    for host in (few.repeat(10, 1), few.repeat(10, 1).pin_memory()):
        queries = few[:256].cuda()
        torch.cuda.reset_peak_memory_stats()
        time = milliseconds(lambda x=queries, y=host: softmax_mean(x, y, 166.0), repeats=1, warm=1)
        pinned, peak = host.is_pinned(), torch.cuda.max_memory_allocated() / 2**30
        rows.append({
            "what": f"256 queries, {len(host)} x 3072 keys in the CPU's memory"
            f"{', pinned' * pinned}: {host.nbytes / time / 1e6:.1f} GB/s, {peak:.1f} GiB at most",
            "seconds": round(time / 1e3, 3),
        })  # fmt: skip
        print(rows[-1], flush=True)
    keys = torch.randn(2000, 3072, generator=generator, device="cuda")
    law, model = (EmpiricalScore(keys + shift, process, bandwidth=1.0) for shift in (0.0, 0.01))
    steps, found = 5 if quick else 50, []

    def run() -> None:
        found.append(certify(model, law, solver="ancestral", steps=steps, n=256, parts=4))

    time = milliseconds(run, repeats=1, warm=0)
    rows.append({
        "what": f"certify, 2000 keys x 3072, n = 256, {steps} steps of ancestral: "
        f"W2 <= {found[0].upper.value:.4g}",
        "seconds": round(time / 1e3, 2),
    })  # fmt: skip
    print(rows[-1], flush=True)
    return rows


def main(quick: bool, with_keops: bool) -> None:
    rates = peak_rates()
    print(torch.cuda.get_device_name(), rates, flush=True)
    rows = compare(QUICK if quick else CASES, with_keops)
    print(table(rows), flush=True)
    more = whole(quick)
    print(table(more))
    card: dict[str, object] = {"card": torch.cuda.get_device_name(), "matrix TFLOP/s": rates}
    save("kernel_gpu", [card, *rows, *more])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--keops", action="store_true", help="as well (2.3 crashes on CUDA 13)")
    main(parser.parse_args().quick, parser.parse_args().keops)
