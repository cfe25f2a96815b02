"""Image files of the field as arrays: idx (MNIST, Fashion-MNIST) and packed planes (CIFAR-10)."""

import gzip
import zlib
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wasserscore.core.errors import InputError, explain, require

IDX = ("-ubyte", "-ubyte.gz", ".idx", ".idx.gz")
"""Endings of idx files."""
MAX_BYTES = 8 * 2**30
"""Files that unpack to more than this are refused unopened."""
UNSIGNED_BYTES = 8
"""The type code of the only kind of idx file that images and labels come in."""


def idx_array(path: Path, most: int = MAX_BYTES) -> NDArray[np.uint8]:
    """The unsigned bytes of an idx file, gzipped or not, in its own shape.

    The file begins with two zeros, a type code, the number of axes, and the length of each axis
    as a big-endian integer of four bytes.

    Args:
        path: The file.
        most: Largest number of bytes that are accepted.

    Raises:
        InputError: If it is no such file, too large, or not of the length that it states.
        OSError, zlib.error: If it cannot be read.
    """
    with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
        start = file.read(4)
        good = len(start) == 4 and start[:2] == b"\0\0" and start[2] == UNSIGNED_BYTES
        require(good and start[3] >= 1, f"{path.name} must be an idx file of unsigned bytes",
                got=f"a file that begins with {start!r}")  # fmt: skip
        lengths = file.read(4 * start[3])
        shape = [int.from_bytes(lengths[k : k + 4], "big") for k in range(0, len(lengths), 4)]
        require(
            len(lengths) == 4 * start[3] and prod(shape) <= most,
            f"{path.name} must hold at most {most} bytes",
            got=f"shape {tuple(shape)}",
        )
        data = np.frombuffer(file.read(prod(shape) + 1), np.uint8)
        require(
            len(data) == prod(shape),
            f"{path.name} must hold {prod(shape)} bytes, as it says",
            got="more" if len(data) > prod(shape) else len(data),
        )
    return data.reshape(shape)


def unpacked(planes: NDArray[Any]) -> NDArray[np.uint8]:
    """RGB images ``(n, height, width, 3)`` from planes ``(3, n, height, width)`` of differences.

    Packed images are small files: green is taken from red and blue, then every plane is
    differenced along its width and its height, all modulo 256.
    """
    sums = planes.transpose(1, 2, 3, 0).cumsum(1, dtype=np.uint8).cumsum(2, dtype=np.uint8)
    sums[..., 0] += sums[..., 1]
    sums[..., 2] += sums[..., 1]
    return np.ascontiguousarray(sums)


WHOLE = {"P": "RGB", "PA": "RGB", "RGBA": "RGB", "LA": "L", "1": "L"}
"""What images of a palette, opaque ones with an alpha channel, and black and white ones are."""
UNREADABLE = (OSError, EOFError, zlib.error)
"""What reading a damaged file raises."""


def decoded(source: Path | BytesIO, path: Path, do: str) -> NDArray[Any]:
    """The pixels of a PNG or JPEG image, ``(height, width)`` or ``(height, width, 3)``.

    They are bytes, 0 to 255, black and white ones too; of a grey image of 16 bits, uint16. An
    image that says how a camera was held (EXIF) is turned upright, as viewers show it.

    Args:
        source: Where it is read.
        path: What it is called.
        do: What to do about one that cannot be read.

    Raises:
        InputError: If it cannot be read, or is neither grey nor RGB, or transparent somewhere.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(source) as image:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)  # cameras turn a flag, not the pixels
            # a palette, too, may have a clear colour; the library does not look for one of 16 bits
            clear = image.has_transparency_data and (
                image.mode == "I;16" or any(image.convert("RGBA").getchannel("A").histogram()[:-1])
            )
            image.info.pop("transparency", None)
            picture = image if clear else image.convert(WHOLE.get(image.mode, image.mode))
            mode, pixels = picture.mode, np.asarray(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise unreadable(path, error, do) from None
    require(mode in ("L", "RGB", "I;16") and not clear, f"{path.name} must be grey or RGB",
            got=mode + " with transparency" * clear,
            do="flatten its alpha channel or convert it")  # fmt: skip
    return pixels


def unreadable(path: Path, error: BaseException, do: str) -> InputError:
    """The library's reason in one line, without its traceback."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if "allow_pickle" in reason or "Python objects" in reason:
        # NumPy's own words advise to unpickle, which is what must never happen.
        reason = "pickled Python objects, which are never loaded"
    return InputError(explain(f"{path.name} cannot be read", got=f"{reason[:200]!r}", do=do))
