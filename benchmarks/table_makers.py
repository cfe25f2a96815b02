"""One maker of synthetic tables, in a process and an environment of its own.

    python -m benchmarks.table_makers MAKER FOLDER SEED LIMIT

Reads ``FOLDER/train.csv`` and writes as many rows to ``FOLDER/synthetic.csv`` and seconds and
memory to ``FOLDER/made.json``. Makers have the settings their authors give by default, one thread
and the column types of the file (numbers or text: nothing is guessed from names). A fit of more
than LIMIT processor seconds is killed by the system. ``benchmarks.tables`` calls it.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.machine import peak_bytes

Fit = Callable[[], tuple[Callable[[], Any], str]]
"""Fits, and returns what draws the synthetic table, and a word on the fit."""


def text_columns(frame: Any) -> list[str]:
    return [name for name in frame if frame[name].dtype.kind not in "iuf"]


def ours(kind: str, path: Path, seed: int) -> Fit:
    """An estimator of this project, as in its guide to tables."""
    import wasserscore as ws
    from wasserscore.data.tables import read_frame

    frame, model = read_frame(path), getattr(ws, kind)(random_state=seed)

    def fit() -> tuple[Callable[[], Any], str]:
        report = getattr(model.fit(frame).score_model_, "fit_report", None)
        return lambda: model.sample(len(frame)), "" if report is None else report.why

    return fit


def per_group(path: Path, seed: int) -> Fit:
    """A proximal model per level of the first column of text that has the fewest."""
    import wasserscore as ws
    from wasserscore.data.tables import read_frame

    frame = read_frame(path)
    words = text_columns(frame)
    if not words:
        raise SystemExit("no column of text")
    column = min(words, key=lambda name: frame[name].nunique(dropna=False))

    def fit() -> tuple[Callable[[], Any], str]:
        model = ws.ProximalGenerator(per=column, random_state=seed).fit(frame)
        return lambda: model.sample(len(frame)), f"per {column}"

    return fit


def sdv(kind: str, path: Path, seed: int) -> Fit:
    """A synthesizer of SDV."""
    import numpy as np
    import pandas as pd
    import torch
    from sdv import single_table
    from sdv.metadata import Metadata

    frame = pd.read_csv(path)
    metadata, words = Metadata(), text_columns(frame)
    metadata.add_table("table")
    for name in frame:
        sort = "categorical" if name in words else "numerical"
        metadata.add_column(table_name="table", column_name=name, sdtype=sort)

    def fit() -> tuple[Callable[[], Any], str]:
        np.random.seed(seed)  # noqa: NPY002  (the only seed that its fits take)
        torch.manual_seed(seed)
        model = getattr(single_table, kind)(metadata)
        model.fit({"table": frame})
        return lambda: model.sample(len(frame))["table"], ""

    return fit


def forest(copies: int, path: Path, seed: int) -> Fit:
    """ForestDiffusion, flow matching by boosted trees, on ``copies`` noised copies of the rows."""
    import numpy as np
    import pandas as pd
    from ForestDiffusion import ForestDiffusionModel

    frame = pd.read_csv(path)
    words = text_columns(frame)
    cells, levels = frame.copy(), {}
    for name in words:  # a missing cell is a level more, as it is for us
        cells[name], levels[name] = pd.factorize(frame[name], use_na_sentinel=False)
    whole = [j for j, name in enumerate(frame) if frame[name].dtype.kind in "iu"]
    two = [j for j, name in enumerate(frame) if name in words and len(levels[name]) == 2]
    more = [j for j, name in enumerate(frame) if name in words and len(levels[name]) > 2]

    def fit() -> tuple[Callable[[], Any], str]:
        model = ForestDiffusionModel(
            cells.to_numpy(float), duplicate_K=copies, bin_indexes=two, cat_indexes=more,
            int_indexes=whole, n_jobs=1, seed=seed,
        )  # fmt: skip
        return lambda: back(model.generate(batch_size=len(frame))), ""

    def back(points: Any) -> Any:
        found = pd.DataFrame(points, columns=frame.columns)
        for name in words:
            codes = found[name].round().clip(0, len(levels[name]) - 1).astype(int)
            found[name] = np.asarray(levels[name], dtype=object)[codes]
        return found

    return fit


MAKERS: dict[str, Callable[[Path, int], Fit]] = {
    "proximal": partial(ours, "ProximalGenerator"),
    "proximal, per group": per_group,
    "kernel": partial(ours, "KernelGenerator"),
    "GaussianCopula": partial(sdv, "GaussianCopulaSynthesizer"),
    "CTGAN": partial(sdv, "CTGANSynthesizer"),
    "TVAE": partial(sdv, "TVAESynthesizer"),
    "ForestDiffusion": partial(forest, 100),
    "ForestDiffusion, K = 5": partial(forest, 5),
}


def main() -> None:
    maker, folder, seed, limit = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    fit = MAKERS[maker](folder / "train.csv", seed)
    begin = time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (int(begin) + limit, -1))
    draw, note = fit()
    fitted = time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (int(fitted) + limit, -1))
    table = draw()
    drawn = time.process_time()
    table.to_csv(folder / "synthetic.csv", index=False)
    (folder / "made.json").write_text(json.dumps({
        "fit seconds": fitted - begin,
        "sample seconds": drawn - fitted,
        "peak GB": peak_bytes() / 1e9,
        "note": note,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
