"""Training steps, and forward passes of a tile of rows, with our linear layers and PyTorch's.

    python -m benchmarks.linear_layers [--threads 2] [--rounds 5]

Both are the same network, batch and optimizer, float32, in turn; only the class of the layers
differs. They are equal where :func:`wasserscore.core.products.unused` is false: elsewhere ours are
PyTorch's.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.machine import save, table
from wasserscore.core.products import unused
from wasserscore.core.tensors import tile_rows
from wasserscore.network import MLP, DiT, UNet
from wasserscore.network.linear import Linear

CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "MLP, 5 columns, width 256, batch 256": (lambda: MLP(5, 256, 4), (256, 5)),
    "MLP, 61 columns, width 256, batch 256": (lambda: MLP(61, 256, 4), (256, 61)),
    "MLP, 61 columns, width 512, batch 256": (lambda: MLP(61, 512, 4), (256, 61)),
    "MLP, 784 columns, width 1024, batch 256": (lambda: MLP(784, 1024, 4), (256, 784)),
    "DiT, 1 x 16 x 16, width 256, batch 64": (
        lambda: DiT((1, 16, 16), width=256, depth=4), (64, 1, 16, 16),
    ),
    "U-Net, 1 x 16 x 16, width 32, batch 64": (
        lambda: UNet((1, 16, 16), width=32), (64, 1, 16, 16),
    ),
}  # fmt: skip
"""The network, and its batch of points."""


def of_pytorch(network: nn.Module) -> nn.Module:
    """The same network with PyTorch's layers."""
    made = copy.deepcopy(network)
    for part in made.modules():
        if isinstance(part, Linear):
            part.__class__ = nn.Linear
    return made


def step(network: nn.Module, x: Tensor) -> Callable[[], None]:
    """One update of all weights."""
    optimizer, noise = torch.optim.AdamW(network.parameters(), fused=True), torch.zeros(len(x))

    def run() -> None:
        (network(x, noise) - x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return run


def forward(network: nn.Module, x: Tensor) -> Callable[[], None]:
    """What sampling asks for, of a tile of rows."""
    noise = torch.zeros(len(x))

    @torch.no_grad()
    def run() -> None:
        network(x, noise)

    return run


def milliseconds(runs: list[Callable[[], None]], rounds: int) -> list[float]:
    """Of each, in turn; medians of rounds of half a second after a warm-up."""
    found: list[list[float]] = [[] for _ in runs]
    for run in runs:
        run()
    for _ in range(rounds):
        for run, mine in zip(runs, found, strict=True):
            begin, count = time.perf_counter(), 0
            while (seconds := time.perf_counter() - begin) < 0.5:
                run()
                count += 1
            mine.append(1000 * seconds / count)
    return [statistics.median(mine) for mine in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    rows: list[dict[str, object]] = []
    for name, (build, shape) in CASES.items():
        x, network = torch.randn(shape, generator=torch.Generator().manual_seed(0)), build()
        row: dict[str, object] = {"network": name}
        tile = x[: tile_rows(shape[1:])]
        for kind, how, batch in (("step", step, x), ("forward", forward, tile)):
            ours, theirs = milliseconds(
                [how(network, batch), how(of_pytorch(network), batch)], asked.rounds
            )
            row[f"{kind}, ours, ms"], row[f"{kind}, PyTorch's"] = f"{ours:.3g}", f"{theirs:.3g}"
            row[f"{kind}, times as fast"] = f"{theirs / ours:.2f}"
        rows.append(row)
    print(f"{asked.threads} threads; MKL leaves half of the processor unused: {unused()}\n")
    print(table(rows))
    save(f"linear_layers_{asked.threads}", rows)


if __name__ == "__main__":
    main()
