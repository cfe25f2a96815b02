"""Commands that make a run, and draw from it, bound it or write it up."""

from pathlib import Path
from typing import Any

from rich.console import Console

from wasserscore.cli.doing.output import (
    Output,
    print_json,
    print_lines,
    require_new,
    run_table,
)
from wasserscore.cli.foreign import subject_of
from wasserscore.cli.progress import Bars
from wasserscore.core.distributed import on_first
from wasserscore.core.errors import require
from wasserscore.data import on_disk
from wasserscore.experiment import revisit
from wasserscore.experiment.balance import sample_balanced
from wasserscore.experiment.conditions import parse_where
from wasserscore.experiment.config import RunConfig, read_config
from wasserscore.experiment.model import Model
from wasserscore.experiment.on_disk import fit_on_disk
from wasserscore.experiment.pipelines import is_pipeline, pipeline_model, require_no_pipeline
from wasserscore.experiment.run import run as run_journey
from wasserscore.experiment.run import start
from wasserscore.experiment.where import has_exact_draws, sample_where
from wasserscore.experiment.write import write_rows


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
    console = Output()
    console.width = max(console.width, 88)
    console.print(run_table(results))
    print_lines(*(f"{model['title']}: {model['verdict']}" for model in results["models"]),
                *_without_sampler(config, results["models"]),
                f"Report: {out / 'report.html'}")  # fmt: skip


def _without_sampler(config: RunConfig, models: list[dict[str, Any]]) -> list[str]:
    """What a solver or steps that were asked for did not do."""
    asked = [name for name in ("solver", "steps") if name in config.model_fields_set]
    exact = [model["title"] for model in models if model["exact"]]
    if not asked or not exact:
        return []
    return [f"{', '.join(exact)}: rows are drawn exactly, without a sampler; "
            f"{' and '.join(asked)} serve certificates and curves only."]  # fmt: skip


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
    on_first(lambda: require_new(out, force))
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


def report(folder: Path) -> None:
    """The page of a finished run, again."""
    print_lines(f"Report: {revisit.rewrite_report(folder)}")
