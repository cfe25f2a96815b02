"""Random streams keyed by (seed, purpose, block of samples).

Row ``i`` of a stream belongs to block ``i // BLOCK``; a block is always drawn whole, in float64,
on the CPU. So the noise of sample ``i`` is the same whatever the batch size, the chunking, the
number of ranks or the device, and no global seed is read or set.
"""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.core.errors import require

BLOCK = 256


def normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal noise shaped like ``x``, drawn on the generator's device."""
    z = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=generator.device)
    return z.to(x.device)


@dataclass(frozen=True)
class Streams:
    """All the randomness of a run.

    Args:
        seed: Any integer in [0, 2**63).
    """

    seed: int

    def __post_init__(self) -> None:
        require(
            isinstance(self.seed, int) and 0 <= self.seed < 2**63,
            "seed must be an integer in [0, 2**63)",
            got=self.seed,
        )

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

    def normal(
        self, purpose: str, start: int, stop: int, shape: tuple[int, ...], like: Tensor
    ) -> Tensor:
        """Rows ``start:stop`` of an endless standard normal matrix of points of ``shape``.

        Args:
            purpose: What the noise is for, for example ``"start"`` or ``"step/3"``.
            start: First row (sample number).
            stop: One past the last row.
            shape: The shape of one sample.
            like: Gives dtype and device.
        """
        return self._rows(torch.randn, purpose, start, stop, shape).to(like.device, like.dtype)

    def uniform(self, purpose: str, start: int, stop: int, like: Tensor) -> Tensor:
        """Rows ``start:stop`` of an endless column of uniforms in [0, 1), float64 by design."""
        return self._rows(torch.rand, purpose, start, stop, ()).to(like.device)

    def _rows(self, draw, purpose: str, start: int, stop: int, shape: tuple[int, ...]) -> Tensor:  # type: ignore[no-untyped-def]  # noqa: ANN001
        first, last = start // BLOCK, -(-stop // BLOCK)
        blocks = [
            draw((BLOCK, *shape), generator=self.generator(purpose, block), dtype=torch.float64)
            for block in range(first, max(last, first + 1))
        ]
        offset = first * BLOCK
        rows: Tensor = torch.cat(blocks)[start - offset : stop - offset]
        return rows
