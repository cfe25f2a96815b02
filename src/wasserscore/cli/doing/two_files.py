"""Commands on two files: audit, flow."""

from pathlib import Path
from typing import Any

from rich.console import Console

from wasserscore.cli.doing.output import print_json, print_lines, require_new
from wasserscore.cli.foreign import sides_of
from wasserscore.cli.progress import Bars
from wasserscore.core.errors import require
from wasserscore.core.files import require_folder
from wasserscore.experiment import audit_files, flow_files
from wasserscore.experiment.audit_sides import read_real
from wasserscore.flow import Annealing, ScoreDifferenceFlow


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
    if out is not None:
        require_folder(out)
    with sides_of(real, fake, out=out, seed=seed, **pipeline) as (known, drawn):
        rows = read_real(known, holdout, schema=schema, seed=seed)
        if target is not None:
            rows.require_target(target)
        generated, name = drawn()
        sides = rows.beside(generated, name=name)
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
        print_lines(*(f"failed: {rule.told(numbers)}" for rule in failed))
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
        require_folder(out)
        taken = (out / flow_files.RECORD).exists()
        require(force or not taken, f"{out} must be a new folder", got="one that holds a flow",
                do="choose another --out, or --force")  # fmt: skip
    else:
        require_new(out, force)
    made = ScoreDifferenceFlow(Annealing(**annealing), **options)
    with Bars(Console(stderr=True)) as bars:
        flown = flow_files.flow_files(
            source, target, made, schema=schema, n=n, seed=seed,
            observe=lambda info, _: bars("flow", info.k + 1, info.steps),
        )  # fmt: skip
    rows, *beside = flow_files.write_flow(out, flown)
    print_lines(repr(flown.record), f"{len(flown.rows)} rows in {rows}, the rest in "
                + ", ".join(map(str, beside)))  # fmt: skip
