"""The whole journey: data, models, samples, distances, certificate, audit, steps, one page."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from wasserscore.core.distributed import on_first, rank
from wasserscore.core.files import write_json
from wasserscore.core.results import Estimate, plain
from wasserscore.core.typing import Cloud
from wasserscore.data import Dataset
from wasserscore.distance import NoiseFloor
from wasserscore.experiment import baselines, models, sections, verdict
from wasserscore.experiment.config import RunConfig
from wasserscore.experiment.fits import ONE_STEP, fit_named
from wasserscore.experiment.folder import (
    LAYOUT,
    MODELS,
    SAMPLES,
    SCHEMA_VERSION,
    SPLIT,
    RunFolder,
    save_array,
)
from wasserscore.experiment.holdout import Division
from wasserscore.experiment.model import Model
from wasserscore.experiment.progress import Progress, silent
from wasserscore.experiment.run_bench import RunBench
from wasserscore.experiment.shares import is_table
from wasserscore.experiment.where import has_exact_draws, sample_where
from wasserscore.report import write_report


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
        measured = [self.baseline(name) for name in baselines.names_for(self.train)]
        entries = [self.measure(name) for name in self.config.models]
        floor = plain(self.floors["w2"].floor)
        results = {
            "schema_version": SCHEMA_VERSION,
            "verdict": verdict.overall(entries, floor, measured),
            "data": plain(sections.data_section(self.train, self.holdout, self.data))
            | {"split": self.division.how, "n_measured": self.bench.scales.n},
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
    def bench(self) -> RunBench:
        """What all laws are held against."""
        return RunBench(self.config, self.train, self.holdout)

    # Stages -------------------------------------------------------------------------------------

    def fit(self) -> None:
        """Fit every model that is not yet in the folder."""
        for name in self.config.models:
            self._stage(
                f"fit {name}",
                lambda name=name: self._fit(name),  # type: ignore[misc]
                together=name == "network",
                makes=f"{MODELS}/{name}",
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
            on_first(lambda: save_array(self.folder.path / made, rows))
            return {"exact": exact}

        made = f"{SAMPLES}/{name}.npy"
        how: dict[str, bool] | None = self._stage(
            f"sample {name}", draw, together=True, makes=made
        )
        return how or {"exact": False}  # a folder from before this was said

    @cached_property
    def floors(self) -> dict[str, NoiseFloor]:
        """Noise floor and bootstrap of train, per distance."""
        found = self._stage("floor", lambda: self.bench.scales.floors(self._told("floor")))
        return {
            name: NoiseFloor(Estimate(**f["floor"]), Estimate(**f["bootstrap"]), f["n"])
            for name, f in found.items()
        }

    def baseline(self, name: str) -> dict[str, Any]:
        """One baseline, measured like a model."""
        found = self._stage(f"baseline {name}", lambda: self.bench.baseline(name, self.floors))
        return {"name": name, "title": baselines.TITLES[name], "kind": "baseline", **found}

    def measure(self, name: str) -> dict[str, Any]:
        """One model: distances, likelihood, audit, certificate, its sentence."""
        entry = {
            "name": name,
            "title": models.TITLES[name],
            "kind": "model",
            "description": models.DESCRIPTIONS[name],
            **self.drawn(name),
            **self._stage(
                f"measure {name}",
                lambda: self.bench.model(self.model(name), self.folder.samples(name), self.floors),
            ),
            "certificate": self._stage(
                f"certify {name}", lambda: self.bench.certificate(self.model(name)), together=True
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

    def _stage(self, name: str, compute: Callable[[], Any], **settings: Any) -> Any:
        self.progress(name, 0, 1)
        value = self.folder.stage(name.replace(" ", "-"), compute, **settings)
        self.progress(name, 1, 1)
        return value

    def _told(self, name: str) -> Callable[[int, int], object]:
        return lambda done, total: self.progress(name, done, total)

    def _fit(self, name: str) -> dict[str, Any]:
        model, report = fit_named(name, self.train, self.config, self.folder.path,
                                  self._told(f"fit {name}"))  # fmt: skip
        on_first(lambda: model.save(self.folder.path / MODELS / name))
        return {"report": plain(report)}

    def _steps(self) -> dict[str, Any]:
        scored = [name for name in self.config.models if name != ONE_STEP]
        if not scored:
            return {}
        name = scored[-1]
        return self.bench.steps(
            self.model(name), models.TITLES[name], self.floors, self._told("steps")
        )
