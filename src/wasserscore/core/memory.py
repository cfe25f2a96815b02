"""How much memory there is, so that a run that does not fit is refused before it starts."""

import os
from pathlib import Path

from wasserscore.core.errors import InputError, explain

CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)
"""Limit and use of the control group, in its two versions."""


def available_bytes() -> int | None:
    """Bytes this process may still take: the least of what the limits on it leave.

    Looks at the machine's free memory, the control group of a container, and the address space
    limit of the process; None where the system says nothing.
    """
    left = [_machine(), _address_space(), *(_group(*files) for files in CGROUPS)]
    known = [value for value in left if value is not None]
    return max(min(known), 0) if known else None


def require_memory(needed: int, what: str, *, do: str) -> None:
    """Refuse a run that needs more memory than there is.

    Args:
        needed: Predicted peak in bytes, beyond what is already in use.
        what: What needs it, in words.
        do: What would need less.

    Raises:
        InputError: Says how much is needed, how much there is, and what to do.
    """
    left = available_bytes()
    if left is not None and needed > left:
        raise InputError(
            explain(f"{what} needs about {gigabytes(needed)} of memory",
                    got=f"{gigabytes(left)} available", do=do)
        )  # fmt: skip


def ran_out(error: BaseException) -> bool:
    """Whether this is how Python, NumPy or torch, on any device, says that no memory is left.

    The name tells torch's from a GPU apart without loading torch; its CPU allocator, and a rank
    that tells of another one's, have words only.
    """
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    words = ("can't allocate memory", "out of memory", "MemoryError")
    return named or (isinstance(error, RuntimeError) and any(w in str(error) for w in words))


def gigabytes(size: int) -> str:
    """A number of bytes as people say it.

    >>> gigabytes(3_460_000_000)
    '3.5 GB'
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _machine() -> int | None:
    """Memory that is free or can be freed without swapping."""
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _address_space() -> int | None:
    """What ``ulimit -v`` leaves."""
    try:
        import resource
    except ImportError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    pages = _lines("/proc/self/statm")
    if limit == resource.RLIM_INFINITY or not pages:
        return None
    return int(limit) - int(pages[0].split()[0]) * resource.getpagesize()


def _group(limit: str, used: str) -> int | None:
    """What a control group leaves; None without one, or without a limit."""
    most, now = _lines(limit), _lines(used)
    if not most or not now or not most[0].isdigit():
        return None
    return int(most[0]) - int(now[0])


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
