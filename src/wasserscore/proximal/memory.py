"""What a fit will take, said before it starts.

The parts are the arrays that live at the same time, counted from the code they belong to; small
ones are covered by a margin. A fit that does not fit is refused with what would.
"""

from wasserscore.core.memory import require_memory
from wasserscore.proximal import many_rows, tuning
from wasserscore.proximal.local_pca import TILE_BYTES

NUMBER, SINGLE = 8, 4
"""Bytes of a number in double and in single precision."""
MARGIN = 2**28
"""Tiles, threads and libraries: 256 MiB."""
CACHED = 7
"""Neighbourhoods that cross-validation keeps: two k for two folds, one for the other three."""


def predicted_bytes(n: int, d: int, methods: tuple[str, ...], subset: int) -> int:
    """The largest sum of arrays during a fit, the points that came not counted.

    Args:
        n: Rows.
        d: Columns.
        methods: What is tried.
        subset: How many rows settings are chosen on.
    """
    rows = NUMBER * n * d
    stages = [2 * rows]  # sorting: the copy in double precision, its order, the different ones
    few = min(n, subset)
    if "local_pca" in methods:
        rank = tuning.affordable_rank(few, d)
        fold = few * 4 // 5
        spread = NUMBER * fold * d * rank
        seen = NUMBER * fold * (few // 5) * rank
        stages.append(CACHED * (spread + seen) + spread + 3 * TILE_BYTES)
        stages.append(_refining(n, d) if n > few else 2 * NUMBER * n * d * rank)
    if "analysers" in methods:
        stages.append(5 * rows + 3 * NUMBER * n * max(tuning.CELLS))
    if "principal axes" in methods:
        stages.append(2 * rows + 4 * NUMBER * min(n, d) ** 2)
    if "full" in methods:
        stages.append(6 * NUMBER * (few * few + d * d))
    return rows + max(stages) + MARGIN


def _refining(n: int, d: int) -> int:
    """Rows in another order and in single precision, then neighbours, or two sets of factors."""
    rows, most = NUMBER * n * d, 0
    for k in (k for k in many_rows.WIDE if k < n):
        centres, rank = many_rows.centre_count(n, d, k), many_rows.top_rank(d, k)
        seen = 2 * SINGLE * many_rows.HELD_OUT * centres * rank
        near = 2 * NUMBER * centres * min(many_rows.AHEAD * k, n)
        most = max(most, 7 * SINGLE * centres * d * rank + seen + near)
    return rows + rows // 2 + max(2 * rows, most)


def require_room(n: int, d: int, methods: tuple[str, ...], subset: int) -> None:
    """Refuse a fit that needs more memory than there is.

    Raises:
        InputError: Says how much it needs, how much there is, and what needs less.
    """
    require_memory(
        predicted_bytes(n, d, methods, subset),
        f"a fit of {', '.join(methods)} to {n} rows of {d} columns",
        do="fit principal axes (latent=64), one method instead of 'auto', or fewer rows",
    )
