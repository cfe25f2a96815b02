"""A comparison as files: long CSV, a LaTeX table for the paper, figures, everything in JSON."""

import csv
import io
import re
from pathlib import Path

from wasserscore.core.files import write_atomically, write_json
from wasserscore.core.results import plain
from wasserscore.experiment.compare_records import Mean, plus_minus, short
from wasserscore.experiment.compare_result import Comparison
from wasserscore.experiment.write import FORMULA
from wasserscore.report import compare_figure, figure_bytes

SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}  # fmt: skip


def write_comparison(found: Comparison, folder: Path) -> None:
    """``compare.csv``, ``.tex``, ``.png``, ``.svg`` and, last, ``.json``, each whole."""
    write_atomically(folder / "compare.csv", to_csv(found).encode())
    write_atomically(folder / "compare.tex", to_latex(found).encode())
    figure = compare_figure(plain(found))
    for kind in ("png", "svg"):
        write_atomically(folder / f"compare.{kind}", figure_bytes(figure, kind))
    write_json(folder / "compare.json", found)


def to_csv(found: Comparison) -> str:
    """One row per cell; a text that a spreadsheet would run is quoted with an apostrophe."""
    text, rows = io.StringIO(), list(found.rows())
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({
            name: f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
            for name, value in row.items()
        })  # fmt: skip
    return text.getvalue()


def to_latex(found: Comparison) -> str:
    """A booktabs table: W2 by process, solver and steps, the best of every column bold."""
    best = {steps: found.best(steps=steps) for steps in found.steps}
    lines = []
    for process in found.processes:
        lines.append(r"\midrule")
        for place, solver in enumerate(found.solvers):
            means = [found.mean(process, solver, steps) for steps in found.steps]
            cells = [_cell(mean, bold=mean == best[mean.steps]) for mean in means]
            spent = "/".join(str(mean.evaluations) for mean in means)
            name = escape(process) if place == 0 else ""
            lines.append(" & ".join([name, escape(solver), spent, *cells]) + r" \\")
    heads = ["process", "solver", "evaluations", *(f"{steps} steps" for steps in found.steps)]
    return "\n".join([
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_caption(found)}}}",
        rf"\begin{{tabular}}{{ll{'r' * (len(heads) - 2)}}}",
        r"\toprule",
        " & ".join(heads) + r" \\",
        *lines,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
        "",
    ])  # fmt: skip


def escape(text: str) -> str:
    """Text as LaTeX prints it, on one line."""
    plain_text = " ".join(text.split())
    return re.sub(r"[\\~^&%$#_{}]", lambda match: SPECIAL[match.group()], plain_text)


def _cell(mean: Mean, *, bold: bool) -> str:
    text = short(mean).replace("±", r"\pm").replace("*", "^{*}")
    if mean.w2 is None:
        return "failed"
    return rf"$\mathbf{{{text}}}$" if bold else f"${text}$"


def _caption(found: Comparison) -> str:
    seeds = len({cell.seed for cell in found.cells})
    several = f"mean and standard error over {seeds} seeds" if seeds > 1 else "one seed"
    beside = [f"two real halves are ${_math(plus_minus(found.floor))}$ apart (noise floor)",
              f"resampled training rows ${_math(plus_minus(found.bootstrap))}$"]  # fmt: skip
    if found.exact_draws is not None:
        beside.append(f"exact draws of the model ${_math(plus_minus(found.exact_draws))}$")
    marks = " $^{*}$: the distance is not known to be optimal." if any(
        mean.w2 is not None and mean.status != "ok" for mean in found.means) else ""  # fmt: skip
    return (
        f"$W_2$ between {found.n} samples and {found.n} held-out rows of "
        f"{escape(found.data['name'])}, {several}; score: {escape(found.model)}, grid: "
        f"{escape(found.grid)}. Best of each column in bold; {', '.join(beside)}.{marks}"
    )


def _math(text: str) -> str:
    return text.replace("±", r"\pm")
