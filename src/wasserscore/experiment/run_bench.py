"""What every law of a run is held against, models and baselines alike."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from wasserscore.certificate import certify
from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate
from wasserscore.core.typing import Cloud
from wasserscore.data import Dataset
from wasserscore.distance import NoiseFloor
from wasserscore.experiment import baselines, models, sections
from wasserscore.experiment.column_scales import ColumnScales, codec_of
from wasserscore.experiment.config import RunConfig
from wasserscore.experiment.copies import audit_rows, copy_rate
from wasserscore.experiment.measure import Scales, mean_log_density
from wasserscore.experiment.model import Model
from wasserscore.experiment.steps import steps_section

Floors = dict[str, NoiseFloor]


@dataclass(frozen=True, eq=False)
class RunBench:
    """The scales of one run, the same for all laws; its answers are parts of ``results.json``.

    Args:
        config: What was asked for.
        train: The training rows.
        holdout: As many rows that no model has seen.
    """

    config: RunConfig
    train: Dataset
    holdout: Dataset

    @cached_property
    def scales(self) -> Scales:
        """The distances."""
        return Scales(self.train, self.holdout, self.config.resplits, self.config.seed)

    @cached_property
    def columns(self) -> ColumnScales | None:
        """Those of a table's columns; None for other data."""
        codec = codec_of(self.train)
        return ColumnScales.of(self.train, self.holdout.points, codec, seed=self.config.seed)

    def baseline(self, name: str, floors: Floors) -> dict[str, Any]:
        """The numbers of a baseline: those of a model that rows and likelihoods have."""
        n, seed = self.holdout.n, self.config.seed
        if name == "bootstrap":
            rows = baselines.bootstrap_rows(self.train, n, seed=seed)
            metrics = {key: found.bootstrap for key, found in floors.items()}
            metrics |= self.scales.fidelity(rows)
            likelihood = None
        else:
            model = baselines.fit_baseline(name, self.train, seed=seed)
            rows = baselines.draw(model, n, seed=seed, purpose=name)
            metrics = self.scales.weigh(rows, floors)
            likelihood = self._likelihood(model)
        return {"metrics": {**metrics, "log_likelihood": likelihood,
                            "copy_rate": copy_rate(self.train, rows)}}  # fmt: skip

    def model(self, model: Model, rows: Cloud, floors: Floors) -> dict[str, Any]:
        """Distances, likelihood, audit, columns and neighbours of a model and its samples."""
        report = audit_rows(self.train, rows, self.holdout.points, seed=self.config.seed)
        metrics = self.scales.weigh(rows, floors)
        metrics["log_likelihood"] = self._likelihood(model)
        metrics["copy_rate"] = report.exact_rate
        return {
            "metrics": metrics,
            "audit": report.to_dict(),
            "table": None if self.columns is None else self.columns.section(rows),
            "neighbours": sections.neighbours_section(rows, self.train, report.suspects),
        }

    def certificate(self, model: Model) -> dict[str, Any] | None:
        """The bound beside the smoothed training rows; None where none is asked for, or can be."""
        wanted = self.config.certificate
        if wanted is None or not model.has_score:
            return None
        scaled = models.model_units(self.train).apply(self.train.varying)
        bandwidth = wanted.bandwidth or models.nearest_scale(scaled)
        reference = models.fit_empirical(self.train, bandwidth=bandwidth).score
        found = certify(
            model.score, reference, solver=self.config.solver, steps=self.config.steps,
            n=wanted.n, level=wanted.level, seed=self.config.seed, constant=wanted.constant,
        )  # fmt: skip
        return sections.certificate_section(found)

    def steps(
        self, model: Model, title: str, floors: Floors, told: Callable[[int, int], object]
    ) -> dict[str, Any]:
        """W2 of a model against the number of steps, and the planner's choice."""
        some = Streams(self.config.seed).subset("steps", self.holdout.n, self.scales.n)
        return steps_section(
            model, title, models.fit_empirical(self.train).score, self.holdout.points[some],
            counts=self.config.curve, solver=self.config.solver,
            target_w2=self.config.target_w2 or floors["w2"].floor.value / 10,
            seed=self.config.seed, told=told,
        )  # fmt: skip

    def _likelihood(self, model: Model) -> Estimate | None:
        """None where there is no density: a Gaussian fitted to rows that lie in a plane, too."""
        if not model.has_density:
            return None
        points = models.smooth_rows(self.holdout, "holdout", self.config.seed)
        return mean_log_density(model.log_density(points))
