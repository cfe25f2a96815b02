"""Commands that ask how to sample: plan, compare."""

from pathlib import Path
from typing import Any

from rich.console import Console

from wasserscore.cli.doing.output import (
    Output,
    comparison_table,
    print_json,
    print_lines,
)
from wasserscore.cli.foreign import source_of
from wasserscore.cli.progress import Bars
from wasserscore.core.files import require_folder
from wasserscore.experiment import CompareConfig, planning
from wasserscore.experiment.compare import run_comparison
from wasserscore.experiment.config import read_config


def plan(
    source: str | None,
    target_w2: float,
    *,
    model: str | None,
    data: str | None,
    out: Path | None,
    json: bool,
    **options: Any,
) -> None:
    """A plan in words or as JSON; as JSON and pictures in a folder."""
    source = source_of(source, data, model, "SOURCE")
    folder = out or planning.folder_of(source, model)
    require_folder(folder)
    with Bars(Console(stderr=True)) as bars:
        found = planning.plan_steps(source, target_w2, model=model, callback=bars, **options)
    print_json(found.to_dict()) if json else print_lines(repr(found))
    paths = planning.write_plan(found, folder)
    if not json:
        print_lines("", f"Wrote {', '.join(map(str, paths))}")


def compare(
    source: str,
    out: Path,
    *,
    holdout: str | None,
    config: Path | None,
    overrides: list[str] | None,
    force: bool,
    **options: Any,
) -> None:
    """A comparison, then its table and the best cells."""
    wanted = read_config(config, tuple(overrides or ()), CompareConfig, **options)
    with Bars(Console(stderr=True)) as bars:
        found = run_comparison(source, wanted, out=out, holdout=holdout, force=force,
                               progress=bars)  # fmt: skip
    console = Output()
    console.width = max(console.width, 34 + 17 * len(found.steps))
    console.print(comparison_table(found, "w2", f"W2 to {found.n} held-out rows"))
    console.print(comparison_table(found, "energy", "energy distance to the same rows"))
    print_lines(*found.beside(), *found.verdicts(), *found.notes,
                f"Tables: {out / 'compare.csv'}, compare.tex, compare.json",
                f"Figure: {out / 'compare.png'}, compare.svg")  # fmt: skip
