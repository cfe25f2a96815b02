"""A comparison as files: long CSV, a LaTeX table for the paper, figures, everything in JSON."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from wasserscore.core.files import write_atomically, write_json, write_text
from wasserscore.core.results import plain
from wasserscore.data.tables.frames import inert
from wasserscore.experiment.compare_records import (
    INEXACT,
    NARROW,
    Mean,
    plus_minus,
    short,
)
from wasserscore.experiment.compare_result import Comparison
from wasserscore.report import compare_figure, figure_bytes

SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}  # fmt: skip


def write_comparison(found: Comparison, folder: Path) -> None:
    """``compare.csv``, ``.tex``, ``.png``, ``.svg`` and, last, ``.json``, each whole."""
    write_text(folder / "compare.csv", to_csv(found))
    write_text(folder / "compare.tex", to_latex(found))
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
            name: inert(value) if isinstance(value, str) else value
            for name, value in row.items()
        })  # fmt: skip
    return text.getvalue()


def to_latex(found: Comparison) -> str:
    """A booktabs table: W2 and energy distance, the best cell of every column bold in both."""
    heads = ["process", "solver", "evaluations", *(f"{steps} steps" for steps in found.steps)]
    lines = []
    for name, title in (("w2", "$W_2$"), ("energy", "energy distance")):
        lines += [r"\midrule", rf"\multicolumn{{{len(heads)}}}{{l}}{{\emph{{{title}}}}} \\"]
        lines += _block(found, name)
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


def _block(found: Comparison, name: str) -> Iterator[str]:
    best = {steps: found.best(steps=steps) for steps in found.steps}
    for process in found.processes:
        yield r"\midrule"
        for place, solver in enumerate(found.solvers):
            means = [found.mean(process, solver, steps) for steps in found.steps]
            cells = [_cell(mean, name, bold=mean == best[mean.steps]) for mean in means]
            spent = "/".join(str(mean.evaluations) for mean in means)
            label = escape(process) if place == 0 else ""
            yield " & ".join([label, escape(solver), spent, *cells]) + r" \\"


def escape(text: str) -> str:
    """Text as LaTeX prints it, on one line."""
    plain_text = " ".join(text.split())
    return re.sub(r"[\\~^&%$#_{}]", lambda match: SPECIAL[match.group()], plain_text)


def _cell(mean: Mean, name: str, *, bold: bool) -> str:
    text = short(mean, name)
    if text == "failed":
        return text
    number = text.rstrip(NARROW + INEXACT)
    marks = text[len(number) :].replace(NARROW, r"\dagger").replace(INEXACT, "*")
    raised = f"^{{{marks}}}" if marks else ""
    return rf"$\mathbf{{{_math(number)}}}{raised}$" if bold else f"${_math(number)}{raised}$"


def _caption(found: Comparison) -> str:
    seeds = len({cell.seed for cell in found.cells})
    several = f"mean and standard error over {seeds} seeds" if seeds > 1 else "one seed"
    beside = "; ".join(
        f"{words}: $W_2$ ${_math(plus_minus(w2))}$, energy distance ${_math(plus_minus(energy))}$"
        for (words, w2), (_, energy) in zip(found.w2.lines(), found.energy.lines(), strict=True)
    )
    marks = ""
    if any(mean.narrow for mean in found.means):
        marks += (
            r" $\dagger$: samples narrower than the data, which lowers $W_2$ of finite clouds."
        )
    if any(mean.w2 is not None and mean.status != "ok" for mean in found.means):
        marks += " $*$: the distance is not known to be optimal."
    return (
        f"Distance between {found.n} samples and {found.n} held-out rows of "
        f"{escape(found.data['name'])}, {several}; score: {escape(found.model)}, grid: "
        f"{escape(found.grid)}. Bold: smallest energy distance of each column. "
        f"{beside[0].upper()}{beside[1:]}.{marks}"
    )


def _math(text: str) -> str:
    return text.replace("±", r"\pm")
