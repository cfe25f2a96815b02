"""What each command does, once the arguments are parsed and torch may be imported."""

import json as jsonlib
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wasserscore.cli.foreign import sides_of, source_of, subject_of
from wasserscore.cli.progress import Bars
from wasserscore.core.distributed import on_first
from wasserscore.core.errors import require
from wasserscore.core.results import plain
from wasserscore.data import on_disk
from wasserscore.experiment import (
    CompareConfig,
    Comparison,
    audit_files,
    flow_files,
    planning,
    revisit,
)
from wasserscore.experiment.balance import sample_balanced
from wasserscore.experiment.compare import run_comparison
from wasserscore.experiment.compare_records import short
from wasserscore.experiment.conditions import parse_where
from wasserscore.experiment.config import RunConfig, read_config
from wasserscore.experiment.model import Model
from wasserscore.experiment.on_disk import fit_on_disk
from wasserscore.experiment.pipelines import is_pipeline, pipeline_model, require_no_pipeline
from wasserscore.experiment.run import run as run_journey
from wasserscore.experiment.run import start
from wasserscore.experiment.where import has_exact_draws, sample_where
from wasserscore.experiment.write import require_format, write_rows
from wasserscore.flow import Annealing, ScoreDifferenceFlow


def settings(
    source: str,
    seed: int | None,
    models: str | None,
    config: Path | None,
    overrides: list[str] | None,
    **options: Any,
) -> RunConfig:
    """The configuration of a run from a file, ``--set`` and options, in rising order."""
    names = None if models is None else tuple(m.strip() for m in models.split(",") if m.strip())
    return read_config(config, tuple(overrides or ()), RunConfig, source=source, seed=seed,
                       models=names, **options)  # fmt: skip


def run(config: RunConfig, out: Path, *, force: bool) -> None:
    """The whole journey, then its verdict."""
    with Bars(Console(stderr=True)) as bars:
        results = run_journey(config, out, force=force, progress=bars)
    print_lines(*results["data"]["notes"], *results["verdict"])
    console = Console()
    console.width = max(console.width, 88)
    console.print(_table(results))
    print_lines(*(f"{model['title']}: {model['verdict']}" for model in results["models"]),
                f"Report: {out / 'report.html'}")  # fmt: skip


def fit(config: RunConfig, out: Path, *, force: bool) -> None:
    """Only the fits of a journey; of rows on disk, a network's."""
    if on_disk(config.source) is not None:
        with Bars(Console(stderr=True)) as bars:
            rows = fit_on_disk(config, out, force=force, progress=bars)
        print_lines(f"Fitted network in {out}, to {rows} rows on disk",
                    f"Draw from it with `wasserscore sample {out}`.")  # fmt: skip
        return
    with Bars(Console(stderr=True)) as bars:
        made = start(config, out, force=force, progress=bars)
        if made.data.codec is not None:
            print_lines(made.data.codec.table(), "")
        made.parts  # noqa: B018  (the split is recorded here)
        if config.group or config.order:
            print_lines(made.division.how)
        made.fit()
    print_lines(f"Fitted {', '.join(config.models)} in {out}",
                "The same settings with `wasserscore run` measure them.")  # fmt: skip


def sample(
    folder: Path,
    out: Path,
    n: int,
    *,
    model: str | None,
    where: str | None,
    balance: str | None,
    seed: int,
    steps: int | None,
    solver: str | None,
    data: str | None,
    label: int | None,
    force: bool,
) -> None:
    """Rows from a fitted model into a new file; exactly, where it can and no solver is named."""
    on_first(lambda: _require_new(out, force))
    fitted: Model
    if is_pipeline(folder):
        name, fitted = "the pipeline", pipeline_model(folder, data, label=label, seed=seed)[0]
    else:
        require_no_pipeline(data, label)
        name, fitted = revisit.fitted(folder, model)
    exact = solver is None and steps is None and has_exact_draws(fitted)
    how: dict[str, Any] = {"solver": solver or "heun", "steps": steps or 18}
    if where is not None or balance is not None or exact:
        conditions = () if where is None else parse_where(where, fitted.layout)
        if balance is None:
            rows = sample_where(fitted, n, conditions, seed=seed, **how)
        else:
            rows = sample_balanced(fitted, n, balance, conditions, seed=seed, **how)
    else:
        with Bars(Console(stderr=True)) as bars:
            rows = fitted.sample(
                n, seed=seed, **how,
                callback=lambda done, total: bars(f"sample {name}", done, total),
            )  # fmt: skip
    on_first(lambda: write_rows(out, rows, fitted.layout))
    shares = f", equally many of each level of {balance!r}," if balance is not None else ""
    print_lines(f"{n} rows of {name}{f' with {where}' if where else ''}{shares} in {out}")


def certify(folder: Path | None, *, model: str | None, json: bool, **options: Any) -> None:
    """A certificate, in words or as JSON; one that is not valid is refused."""
    folder, model = subject_of(folder, model)
    found = revisit.certify_model(folder, model, **options)
    require(not found.violated, "a certificate needs everything that it rests on",
            got=", ".join(map(repr, found.violated)),
            do="check the score near t = 0, or stop early with --stop")  # fmt: skip
    print_json(found.to_dict()) if json else print_lines(repr(found))


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
    found = planning.plan_steps(source, target_w2, model=model, **options)
    print_json(found.to_dict()) if json else print_lines(repr(found))
    paths = planning.write_plan(found, out or Path("runs") / f"plan-{Path(source).stem}")
    if not json:
        print_lines("", f"Wrote {', '.join(map(str, paths))}")


def audit(
    real: str | None,
    fake: str | None,
    *,
    holdout: str | None,
    out: Path | None,
    schema: str | None,
    target: str | None,
    rules: list[str],
    seed: int,
    json: bool,
    **pipeline: Any,
) -> bool:
    """An audit of files, or of rows drawn from a pipeline; whether every rule held."""
    checks = audit_files.read_rules(rules)
    with sides_of(real, fake, out=out, seed=seed, **pipeline) as (known, generated, name):
        sides = audit_files.read_sides(known, generated, holdout, name=name, schema=schema,
                                       seed=seed)  # fmt: skip
    if target is not None:
        sides.require_target(target)
    report = sides.audit(seed=seed)
    asked = out is not None or target is not None
    columns = sides.columns(target=target, seed=seed) if asked else None
    if out is not None:
        audit_files.write_page(sides, report, out, columns)
    numbers = audit_files.numbers(report)
    failed = [rule for rule in checks if rule.broken_by(numbers)]
    if json:
        broken = [rule.text for rule in failed]
        print_json(report.to_dict() | {"notes": sides.notes, "table": columns,
                                       "failed_rules": broken})  # fmt: skip
    else:
        print_lines(*sides.notes)
        print_lines(repr(report))
        if columns is not None:
            print_lines(columns["usefulness"]["sentence"])
        print_lines(*(f"failed: {r.text} ({r.quantity} = {numbers[r.quantity]})" for r in failed))
        if out is not None:
            print_lines(f"Page: {out / 'audit.html'}")
    return not failed


def flow(
    source: str,
    target: str,
    out: Path,
    *,
    annealing: dict[str, Any],
    schema: str | None,
    n: int | None,
    seed: int,
    force: bool,
    **options: Any,
) -> None:
    """Rows carried from one file to another, a record beside them, and what to know about it."""
    if flow_files.is_folder(out):
        taken = (out / "flow.json").exists()
        require(force or not taken, f"{out} must be a new folder", got="one that holds a flow",
                do="choose another --out, or --force")  # fmt: skip
    else:
        _require_new(out, force)
    made = ScoreDifferenceFlow(Annealing(**annealing), **options)
    with Bars(Console(stderr=True)) as bars:
        flown = flow_files.flow_files(
            source, target, made, schema=schema, n=n, seed=seed,
            observe=lambda info, _: bars("flow", info.k + 1, info.steps),
        )  # fmt: skip
    rows, *beside = flow_files.write_flow(out, flown)
    print_lines(repr(flown.record), f"{len(flown.rows)} rows in {rows}, the rest in "
                + ", ".join(map(str, beside)))  # fmt: skip


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
    console = Console()
    console.width = max(console.width, 34 + 17 * len(found.steps))
    console.print(_comparison_table(found, "w2", f"W2 to {found.n} held-out rows"))
    console.print(_comparison_table(found, "energy", "energy distance to the same rows"))
    print_lines(*found.beside(), *found.verdicts(), *found.notes,
                f"Tables: {out / 'compare.csv'}, compare.tex, compare.json",
                f"Figure: {out / 'compare.png'}, compare.svg")  # fmt: skip


def report(folder: Path) -> None:
    """The page of a finished run, again."""
    print_lines(f"Report: {revisit.rewrite_report(folder)}")


def print_lines(*lines: str) -> None:
    """Plain text, one line each."""
    console = Console(soft_wrap=True)
    for line in lines:
        console.print(line, markup=False, highlight=False)


def print_json(value: Any) -> None:
    """Strict JSON on stdout."""
    print_lines(jsonlib.dumps(plain(value), indent=1, ensure_ascii=False, allow_nan=False))


def _require_new(out: Path, force: bool) -> None:
    """``--out`` names a file that may be written, of a kind that we write."""
    require(force or not out.exists(), f"{out} must be a new file", got="one that is there",
            do="choose another --out, or --force")  # fmt: skip
    require_format(out)


def _table(results: dict[str, Any]) -> Table:
    table = Table(title=f"{results['data']['name']}: distance to {results['data']['n_holdout']} "
                  "held-out rows")  # fmt: skip
    table.add_column("law")
    for heading in ("W2", "log-likelihood", "coverage", "copies"):
        table.add_column(heading, justify="right")
    floor = results["floor"]["w2"]
    table.add_row("floor: two real halves", _pm(floor), "", "", "")
    for row in [*results["baselines"], *results["models"]]:
        m = row["metrics"]
        table.add_row(row["title"], _pm(m["w2"]), _pm(m["log_likelihood"]),
                      _percent(m["coverage"]), _percent(m["copy_rate"]))  # fmt: skip
    return table


def _comparison_table(found: Comparison, name: str, title: str) -> Table:
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


def _pm(estimate: dict[str, Any] | None) -> str:
    if not estimate or estimate["value"] is None:
        return "-"
    error = estimate["stderr"]
    return f"{estimate['value']:.2f}" + (f" ± {error:.2f}" if error else "")


def _percent(estimate: dict[str, Any] | None) -> str:
    return "-" if not estimate or estimate["value"] is None else f"{100 * estimate['value']:.1f} %"
