"""What commands print, and where they may write."""

import json as jsonlib
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wasserscore.core.errors import require
from wasserscore.core.files import require_folder
from wasserscore.core.results import plain
from wasserscore.experiment import Comparison
from wasserscore.experiment.compare_records import short
from wasserscore.experiment.write import require_format
from wasserscore.report.wording import estimate as written


class Output(Console):
    """Standard output; rich would end with 1, which is a rule that failed, where nobody reads."""

    def on_broken_pipe(self) -> None:
        """What the command line makes an exit code of."""
        raise BrokenPipeError


def print_lines(*lines: str) -> None:
    """Plain text, one line each."""
    console = Output(soft_wrap=True)
    for line in lines:
        console.print(line, markup=False, highlight=False)


def print_json(value: Any) -> None:
    """Strict JSON on stdout."""
    print_lines(jsonlib.dumps(plain(value), indent=1, ensure_ascii=False, allow_nan=False))


def require_new(out: Path, force: bool) -> None:
    """``--out`` names a file that may be written, of a kind that we write."""
    require_folder(out.parent)
    require(not out.is_dir(), f"{out} must be a file", got="a folder", do="choose another --out")
    require(force or not out.exists(), f"{out} must be a new file", got="one that is there",
            do="choose another --out, or --force")  # fmt: skip
    require_format(out)


def run_table(results: dict[str, Any]) -> Table:
    """The models of a run beside the floor."""
    table = Table(title=f"{results['data']['name']}: distance to {results['data']['n_holdout']} "
                  "held-out rows")  # fmt: skip
    table.add_column("law")
    for heading in ("W2", "log-likelihood", "coverage", "copies"):
        table.add_column(heading, justify="right")
    floor = results["floor"]["w2"]
    table.add_row("floor: two real halves", written(floor), "", "", "")
    for row in [*results["baselines"], *results["models"]]:
        m = row["metrics"]
        table.add_row(row["title"], written(m["w2"]), written(m["log_likelihood"]),
                      _percent(m["coverage"]), _percent(m["copy_rate"]))  # fmt: skip
    return table


def comparison_table(found: Comparison, name: str, title: str) -> Table:
    """One distance of every cell of a comparison; the best of a process in bold."""
    table = Table(title=f"{found.data['name']}, {found.model}: {title}")
    table.add_column("process", no_wrap=True)
    table.add_column("solver", no_wrap=True)
    for steps in found.steps:
        table.add_column(f"{steps} steps", justify="right", no_wrap=True)
    for process in found.processes:
        best = found.best(process)
        for place, solver in enumerate(found.solvers):
            means = [found.mean(process, solver, steps) for steps in found.steps]
            cells = [Text(short(m, name), style="bold" if m == best else "") for m in means]
            last = place == len(found.solvers) - 1
            table.add_row(Text("" if place else process), Text(solver), *cells, end_section=last)
    return table


def _percent(estimate: dict[str, Any] | None) -> str:
    return "-" if not estimate or estimate["value"] is None else f"{100 * estimate['value']:.1f} %"
