"""Coarse-to-fine search along ladders of settings, one setting at a time."""

from collections.abc import Callable, Mapping, Sequence

Settings = dict[str, int | float]
Ladders = Mapping[str, Sequence[int | float]]


def climb(
    value: Callable[[Settings], float], start: Settings, ladders: Ladders, *, sweeps: int = 3
) -> tuple[Settings, dict[tuple[int | float, ...], float]]:
    """Climb to a setting that no single step of a ladder improves.

    Each sweep goes through the settings in the order of ``ladders`` (put the cheap ones first);
    the first one moves by strides of an eighth of a ladder, halved down to single rungs, as long
    as the value rises; the others by single rungs.

    Args:
        value: What to maximise; never asked twice for the same settings.
        start: First settings, each on its ladder.
        ladders: Allowed values of each setting, in order.
        sweeps: How often to go through all settings at most.

    Returns:
        The best settings, and the value of every one tried (keyed in the order of ``ladders``).
    """
    tried: dict[tuple[int | float, ...], float] = {}
    names = list(ladders)
    place = {name: list(ladders[name]).index(start[name]) for name in names}

    def at(rungs: Mapping[str, int]) -> float:
        settings = {name: ladders[name][rungs[name]] for name in names}
        key = tuple(settings.values())
        if key not in tried:
            tried[key] = value(settings)
        return tried[key]

    for sweep in range(sweeps):
        before = dict(place)
        for name in names:
            length = len(ladders[name])
            longest = max(length // 8, 1).bit_length() - 1 if sweep == 0 else 0
            for power in range(longest, -1, -1):
                place = _along(at, place, name, 2**power, length)
        if place == before:
            break
    return {name: ladders[name][place[name]] for name in names}, tried


def _along(
    at: Callable[[Mapping[str, int]], float],
    place: dict[str, int],
    name: str,
    stride: int,
    length: int,
) -> dict[str, int]:
    """Move along one ladder by ``stride`` rungs, up or else down, while the value rises."""
    for step in (stride, -stride):
        moved = False
        while 0 <= place[name] + step < length:
            candidate = {**place, name: place[name] + step}
            if at(candidate) <= at(place):
                break
            place, moved = candidate, True
        if moved:
            break
    return place
