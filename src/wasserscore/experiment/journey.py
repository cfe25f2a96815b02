"""The whole journey: data, models, samples, distances, certificate, audit, steps, one page."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from wasserscore.audit import AuditReport
from wasserscore.certificate import certify
from wasserscore.core.distributed import on_first, rank
from wasserscore.core.errors import require
from wasserscore.core.files import write_json
from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate, plain
from wasserscore.core.typing import Cloud
from wasserscore.data import Dataset, load, on_disk
from wasserscore.distance import NoiseFloor
from wasserscore.experiment import baselines, models, sections, verdict
from wasserscore.experiment.column_scales import ColumnScales, codec_of
from wasserscore.experiment.columns import require_groups
from wasserscore.experiment.config import RunConfig
from wasserscore.experiment.copies import audit_rows, copy_rate
from wasserscore.experiment.folder import (
    LAYOUT,
    MODELS,
    SAMPLES,
    SCHEMA_VERSION,
    SPLIT,
    RunFolder,
    save_array,
)
from wasserscore.experiment.holdout import ROWS_A_SIDE, Division, divide
from wasserscore.experiment.measure import Scales, mean_log_density
from wasserscore.experiment.model import Model
from wasserscore.experiment.one_step import fit_one_step
from wasserscore.experiment.shares import is_table
from wasserscore.experiment.steps import steps_section
from wasserscore.experiment.where import has_exact_draws, sample_where
from wasserscore.report import write_report
from wasserscore.sampling import solver as solver_named

ONE_STEP = "one-step"
"""Folder of that model's checkpoints; the network's are in the run's own."""
Progress = Callable[[str, int, int], object]
"""``progress(stage, done, total)``: how far a stage has come."""


def silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


def start(
    config: RunConfig, out: str | Path, *, force: bool = False, progress: Progress = silent
) -> "Journey":
    """Load the data, check everything that can be checked, and only then touch the folder.

    Args:
        config: What to do.
        out: The run folder: new, empty, or an interrupted run with the same configuration.
        force: Start afresh in a folder that holds a run.
        progress: Told how far each stage has come.

    Raises:
        InputError: On data, a configuration or a folder that cannot be used; nothing is written.
    """
    solver_named(config.solver)  # an unknown name must not be found out after the fits
    require(on_disk(config.source) is None, "the whole journey holds its rows in memory",
            got=f"rows on disk, {config.source!r}",
            do="take its steps: wasserscore fit --models network, then sample, certify, plan and "
            "audit")  # fmt: skip
    data = load(config.source, schema=config.table_schema)
    require(data.n >= 2 * ROWS_A_SIDE, f"a run needs at least {2 * ROWS_A_SIDE} rows",
            got=data.n, do="half of them are held out; give more data")  # fmt: skip
    division = divide(data, config.source, config)
    if config.proximal.per is not None and "proximal" in config.models:
        require_groups(data, config.proximal.per, division.train)
    description = plain({
        "schema_version": SCHEMA_VERSION,
        "config": config.model_dump(mode="json"),
        "data_sha256": data.sha256,
    })  # fmt: skip
    folder = RunFolder.create(out, description, force=force)
    return Journey(config, data, division, folder, progress)


def run(
    config: RunConfig, out: str | Path, *, force: bool = False, progress: Progress = silent
) -> dict[str, Any]:
    """Everything, from the data to ``report.html``; continues where an interruption left it.

    Args:
        config: What to do.
        out: The run folder.
        force: Start afresh in a folder that holds a run.
        progress: Told how far each stage has come.

    Returns:
        What ``results.json`` holds.

    Raises:
        InputError: On bad input; nothing is written then.
    """
    return start(config, out, force=force, progress=progress).travel()


@dataclass(frozen=True, eq=False)
class Journey:
    """One run on its way; every method is a stage or a few, and may be asked again.

    Args:
        config: What to do.
        data: The whole data set.
        division: Which rows train and which are held out.
        folder: Where results are kept.
        progress: Told how far each stage has come.
    """

    config: RunConfig
    data: Dataset
    division: Division
    folder: RunFolder
    progress: Progress = silent

    def travel(self) -> dict[str, Any]:
        """All stages, then the page; returns the results."""
        self.fit()
        rows = {name: self.generate(name) for name in self.config.models}
        self.floors  # noqa: B018  (a stage of its own in the timings)
        measured = [self.baseline(name) for name in baselines.TITLES]
        entries = [self.measure(name) for name in self.config.models]
        floor = plain(self.floors["w2"].floor)
        results = {
            "schema_version": SCHEMA_VERSION,
            "verdict": verdict.overall(entries, floor, measured),
            "data": plain(sections.data_section(self.train, self.holdout, self.data))
            | {"split": self.division.how, "n_measured": self.scales.n},
            "floor": {name: plain(found.floor) for name, found in self.floors.items()},
            "baselines": measured,
            "models": entries,
            "steps": self.steps(),
            "provenance": sections.provenance_section(self.config, self.data),
            "timings": dict(self.folder.seconds),
        }
        titles = {models.TITLES[name]: points for name, points in rows.items()}
        self.progress("report", 0, 1)
        pictured = {"training rows": self.train.points, **titles}
        on_first(lambda: write_report(results, pictured, self.folder.path))
        self.folder.finish(results)
        self.progress("report", 1, 1)
        return results

    @cached_property
    def parts(self) -> tuple[Dataset, Dataset]:
        """Training and held-out rows, equally many."""
        train, holdout, how = self.division
        if rank() == 0 and not (self.folder.path / SPLIT).is_file():
            write_json(self.folder.path / LAYOUT, self.data.layout.to_dict())
            write_json(self.folder.path / SPLIT, {"train": train, "holdout": holdout, "how": how})
        name = self.data.name
        return (self.data.take(train, f"{name}, training rows"),
                self.data.take(holdout, f"{name}, held-out rows"))  # fmt: skip

    @property
    def train(self) -> Dataset:
        """The training rows."""
        return self.parts[0]

    @property
    def holdout(self) -> Dataset:
        """Rows that no model sees."""
        return self.parts[1]

    @cached_property
    def columns(self) -> ColumnScales | None:
        """Those of a table's columns; None for other data."""
        codec = codec_of(self.train)
        return ColumnScales.of(self.train, self.holdout.points, codec, seed=self.config.seed)

    @cached_property
    def scales(self) -> Scales:
        """The distances, the same for every law."""
        return Scales(self.train, self.holdout, self.config.resplits, self.config.seed)

    # Stages -------------------------------------------------------------------------------------

    def fit(self) -> None:
        """Fit every model that is not yet in the folder."""
        for name in self.config.models:
            self._stage(
                f"fit {name}",
                lambda name=name: self._fit(name),  # type: ignore[misc]
                together=name == "network",
            )

    def model(self, name: str) -> Model:
        """A fitted model, from the folder."""
        return Model.load(self.folder.path / MODELS / name)

    def generate(self, name: str) -> Cloud:
        """As many samples of a model as there are held-out rows."""
        self.drawn(name)
        return self.folder.samples(name)

    def drawn(self, name: str) -> dict[str, bool]:
        """Draws the samples, and says how: those of tables need no sampler, where it is so."""

        def draw() -> dict[str, bool]:
            model, n, seed = self.model(name), self.holdout.n, self.config.seed
            exact = is_table(self.train) and has_exact_draws(model)
            if exact:
                rows = sample_where(model, n, (), seed=seed)
            else:
                rows = model.sample(
                    n, seed=seed, solver=self.config.solver, steps=self.config.steps,
                    callback=self._told(f"sample {name}"),
                )  # fmt: skip
            on_first(lambda: save_array(self.folder.path / SAMPLES / f"{name}.npy", rows))
            return {"exact": exact}

        how: dict[str, bool] | None = self._stage(f"sample {name}", draw, together=True)
        return how or {"exact": False}  # a folder from before this was said

    @cached_property
    def floors(self) -> dict[str, NoiseFloor]:
        """Noise floor and bootstrap of train, per distance."""
        found = self._stage("floor", lambda: self.scales.floors(self._told("floor")))
        return {
            name: NoiseFloor(Estimate(**f["floor"]), Estimate(**f["bootstrap"]), f["n"])
            for name, f in found.items()
        }

    def baseline(self, name: str) -> dict[str, Any]:
        """One baseline, measured like a model."""
        found = self._stage(f"baseline {name}", lambda: self._baseline(name))
        return {"name": name, "title": baselines.TITLES[name], "kind": "baseline", **found}

    def measure(self, name: str) -> dict[str, Any]:
        """One model: distances, likelihood, audit, certificate, its sentence."""
        entry = {
            "name": name,
            "title": models.TITLES[name],
            "kind": "model",
            "description": models.DESCRIPTIONS[name],
            **self.drawn(name),
            **self._stage(f"measure {name}", lambda: self._measure(name)),
            "certificate": self._stage(
                f"certify {name}", lambda: self._certify(name), together=True
            ),
        }
        bootstrap = self.floors["w2"].bootstrap.value
        floor = plain(self.floors["w2"].floor)
        return entry | {"verdict": verdict.model_sentence(entry, floor, bootstrap)}

    def steps(self) -> dict[str, Any] | None:
        """W2 against the number of steps, and the planner's choice; None without a curve."""
        found: dict[str, Any] = self._stage("steps", self._steps) if self.config.curve else {}
        return found or None

    # Inside -------------------------------------------------------------------------------------

    def _stage(self, name: str, compute: Callable[[], Any], *, together: bool = False) -> Any:
        self.progress(name, 0, 1)
        value = self.folder.stage(name.replace(" ", "-"), compute, together=together)
        self.progress(name, 1, 1)
        return value

    def _told(self, name: str) -> Callable[[int, int], object]:
        return lambda done, total: self.progress(name, done, total)

    def _fit(self, name: str) -> dict[str, Any]:
        seed, net = self.config.seed, self.config.network
        report = None
        if name == "empirical":
            model = models.fit_empirical(self.train)
        elif name == "proximal":
            model = models.fit_kernel_mixture(
                self.train,
                seed=seed,
                callback=self._told(f"fit {name}"),
                **self.config.proximal.model_dump(),
            )
            report = model.score.fit_report
        elif name == "one-step":
            model = fit_one_step(
                self.train, seed=seed, out=self.folder.path / ONE_STEP,
                callback=self._told(f"fit {name}"), **self.config.one_step.model_dump(),
            )  # fmt: skip
        else:
            model = models.fit_network(
                self.train, seed=seed, out=self.folder.path, callback=self._told("fit network"),
                **net.model_dump(),
            )  # fmt: skip
        on_first(lambda: model.save(self.folder.path / MODELS / name))
        return {"report": plain(report)}

    def _baseline(self, name: str) -> dict[str, Any]:
        n, seed = self.holdout.n, self.config.seed
        if name == "bootstrap":
            rows = baselines.bootstrap_rows(self.train, n, seed=seed)
            metrics = {key: found.bootstrap for key, found in self.floors.items()}
            metrics |= self.scales.fidelity(rows)
            likelihood = None
        else:
            model = baselines.fit_baseline(name, self.train, seed=seed)
            rows = baselines.draw(model, n, seed=seed, purpose=name)
            metrics = self.scales.weigh(rows, self.floors)
            likelihood = self._likelihood(model)
        return {"metrics": {**metrics, "log_likelihood": likelihood,
                            "copy_rate": copy_rate(self.train, rows)}}  # fmt: skip

    def _measure(self, name: str) -> dict[str, Any]:
        rows, model = self.folder.samples(name), self.model(name)
        report = self._audit(rows)
        metrics = self.scales.weigh(rows, self.floors)
        metrics["log_likelihood"] = self._likelihood(model) if model.has_density else None
        metrics["copy_rate"] = report.exact_rate
        return {
            "metrics": metrics,
            "audit": report.to_dict(),
            "table": None if self.columns is None else self.columns.section(rows),
            "neighbours": sections.neighbours_section(rows, self.train, report.suspects),
        }

    def _likelihood(self, model: Model) -> Estimate:
        points = models.smooth_rows(self.holdout, "holdout", self.config.seed)
        return mean_log_density(model.log_density(points))

    def _audit(self, rows: Cloud) -> AuditReport:
        return audit_rows(self.train, rows, self.holdout.points, seed=self.config.seed)

    def _certify(self, name: str) -> dict[str, Any] | None:
        wanted = self.config.certificate
        if wanted is None or not self.model(name).has_score:
            return None
        scaled = models.model_units(self.train).apply(self.train.varying)
        bandwidth = wanted.bandwidth or models.nearest_scale(scaled)
        reference = models.fit_empirical(self.train, bandwidth=bandwidth).score
        found = certify(
            self.model(name).score, reference, solver=self.config.solver, steps=self.config.steps,
            n=wanted.n, level=wanted.level, seed=self.config.seed, constant=wanted.constant,
        )  # fmt: skip
        return sections.certificate_section(found)

    def _steps(self) -> dict[str, Any]:
        scored = [name for name in self.config.models if name != "one-step"]
        if not scored:
            return {}
        name = scored[-1]
        return steps_section(
            self.model(name), models.TITLES[name], models.fit_empirical(self.train).score,
            self.holdout.points[Streams(self.config.seed).subset(
                "steps", self.holdout.n, self.scales.n)],
            counts=self.config.curve, solver=self.config.solver,
            target_w2=self.config.target_w2 or self.floors["w2"].floor.value / 10,
            seed=self.config.seed, told=self._told("steps"),
        )  # fmt: skip
