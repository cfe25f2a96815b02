"""Random streams keyed by (seed, purpose, block of samples).

Row ``i`` of a stream belongs to block ``i // BLOCK``; a block is always drawn from its first row,
on the CPU. So the noise of sample ``i`` is the same whatever the batch size, the chunking, the
number of ranks or the device. No global seed is read, and none is left set: :func:`keyed` puts
back what it found.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.core.integers import as_integer

BLOCK = 256


def normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal noise shaped like ``x``, drawn on the generator's device."""
    z = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=generator.device)
    return z.to(x.device)


@contextmanager
def keyed(key: int, device: torch.device) -> Iterator[None]:
    """Inside the block PyTorch's global states are of the key; after it they are as they were.

    For layers that draw from these and take no generator, as dropout does.

    Args:
        key: A 63-bit seed.
        device: Where the layers are; their state there counts beside that of the CPU.
    """
    generators = [torch.default_generator]
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        generators.append(torch.cuda.default_generators[index])
    before = [generator.get_state() for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(key)
        yield
    finally:
        for generator, state in zip(generators, before, strict=True):
            generator.set_state(state)


def as_seed(seed: object) -> int:
    """A seed as a Python int.

    Raises:
        InputError: If it is no integer in [0, 2**63).
    """
    return as_integer(seed, "seed", least=0, most=2**63 - 1)


@dataclass(frozen=True)
class Streams:
    """All the randomness of a run.

    Args:
        seed: Any integer in [0, 2**63).
    """

    seed: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", as_seed(self.seed))

    def key(self, purpose: str, block: int = 0) -> int:
        """The 63-bit seed of one block of one purpose (SHA-256 of the three names)."""
        digest = hashlib.sha256(f"{self.seed}/{purpose}/{block}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1

    def generator(self, purpose: str, block: int = 0) -> torch.Generator:
        """A CPU generator of its own for one purpose (and block)."""
        generator = torch.Generator()
        generator.manual_seed(self.key(purpose, block))
        return generator

    def child(self, purpose: str) -> "Streams":
        """Streams for a part of the run, independent of the parent's own."""
        return Streams(self.key(f"child/{purpose}"))

    def subset(self, purpose: str, n: int, few: int) -> Tensor:
        """A few of n row numbers, without replacement, in order: the first may not be typical."""
        return torch.randperm(n, generator=self.generator(purpose))[:few].sort().values

    def normal(
        self,
        purpose: str,
        start: int,
        stop: int,
        shape: tuple[int, ...],
        like: Tensor,
        *,
        drawn: torch.dtype = torch.float64,
    ) -> Tensor:
        """Rows ``start:stop`` of an endless standard normal matrix of points of ``shape``.

        Args:
            purpose: What the noise is for, for example ``"start"`` or ``"step/3"``.
            start: First row (sample number).
            stop: One past the last row.
            shape: The shape of one sample.
            like: Gives dtype and device.
            drawn: The dtype it is drawn in; float32 is five times as fast and other numbers.
        """
        rows = self._rows(torch.randn, purpose, start, stop, shape, drawn)
        return rows.to(like.device, like.dtype)

    def uniform(self, purpose: str, start: int, stop: int, like: Tensor) -> Tensor:
        """Rows ``start:stop`` of an endless column of uniforms in [0, 1), float64 by design."""
        return self._rows(torch.rand, purpose, start, stop, (), torch.float64).to(like.device)

    def _rows(
        self,
        draw: Callable[..., Tensor],
        purpose: str,
        start: int,
        stop: int,
        shape: tuple[int, ...],
        dtype: torch.dtype,
    ) -> Tensor:
        """Every block the rows lie in, drawn up to the last of them.

        A generator fills a tensor from the front, sixteen numbers at a time: so the first rows of
        a block are the same however many follow, when their number is a multiple of sixteen.
        """
        first, last = start // BLOCK, max(-(-stop // BLOCK), start // BLOCK + 1)
        blocks = []
        for block in range(first, last):
            needed = max(1, min(BLOCK, stop - block * BLOCK))
            size = (-(-needed // 16) * 16, *shape)
            blocks.append(draw(size, generator=self.generator(purpose, block), dtype=dtype))
        rows = blocks[0] if len(blocks) == 1 else torch.cat(blocks)
        return rows[start - first * BLOCK : stop - first * BLOCK]
