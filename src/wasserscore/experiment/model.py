"""A fitted model of a run: a score in model units, and the layout that makes its output data."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from wasserscore.core.errors import InputError, explain
from wasserscore.core.files import write_json
from wasserscore.core.random import Streams
from wasserscore.core.typing import Cloud, PerPoint, Points
from wasserscore.data import Dataset, Layout
from wasserscore.experiment.shares import FEWEST, draws, is_table, shared_layout
from wasserscore.sampling import sample
from wasserscore.score import ProximalLaw, Pushforward, load, save

LAYOUT = "layout.json"


@dataclass(frozen=True, eq=False)
class Model:
    """A fitted score and what it takes to speak the language of the data.

    Args:
        score: Any score whose ``scaling`` maps the varying columns to its own units, or a
            generator that has samples only.
        layout: The columns, range and constants of the data it was fitted on.
    """

    score: Any
    layout: Layout

    def sample(self, n: int, *, seed: int, **options: Any) -> Cloud:
        """``n`` rows ``(n, d)``, data units, float64, cut to the data's range, constants back.

        Numbers of a table come as often as in its training rows, where :meth:`shared` has looked,
        and rows of a mixed one are rows that exist: coordinates go to the nearest cell. Options
        are those of :meth:`drawn`.
        """
        return self.layout.snap(self.layout.within(self.drawn(n, seed=seed, **options)))

    def drawn(
        self,
        n: int,
        *,
        seed: int,
        solver: str = "heun",
        steps: int = 18,
        callback: Callable[[int, int], object] | None = None,
    ) -> Cloud:
        """What :meth:`sample` makes rows of: points ``(n, d)``, not cut, constants back."""
        if self.has_score:
            rows = sample(self.score, n, solver=solver, steps=steps, seed=seed, callback=callback)
        else:
            rows = self.score.sample(n, seed=seed)
        points: Cloud = self.layout.restore(self.flat(rows).double())
        return points

    def shared(self, train: Dataset, *, seed: int) -> "Model":
        """The model with rows of a table whose values come as often as in ``train``.

        Draws of the model decide: exact ones, as many as :func:`draws` says, where there is a
        closed form, else as many as there are training rows, and at least :data:`FEWEST`.
        """
        if not is_table(train):
            return self
        streams = Streams(seed)
        if isinstance(self.score, ProximalLaw):
            n = draws(train.d)
            exact = self.score.sample_marginal(n, generator=streams.generator("shares"))
            assert self.score.scaling is not None
            points = self.layout.restore(self.score.scaling.undo(exact.double()))
        else:
            few = min(draws(train.d), max(FEWEST, train.n))
            points = self.drawn(few, seed=streams.key("shares") % 2**31)
        return replace(self, layout=shared_layout(points, train))

    def flat(self, points: Points) -> Cloud:
        """Points of the score ``(n, *shape)`` as rows ``(n, v)``, in the order of the columns."""
        return points.flatten(1)

    @property
    def has_score(self) -> bool:
        """Whether there is a score: samplers, certificates and planners need one."""
        return not isinstance(self.score, Pushforward)

    @property
    def has_density(self) -> bool:
        """Whether :meth:`log_density` can be asked."""
        return hasattr(self.score, "log_prob") and self.score.least_variance > 0

    def log_density(self, x: Cloud) -> PerPoint:
        """Log density of rows ``(m, d)`` in nats, over the varying columns, in data units."""
        scaling = self.score.scaling
        inside: Tensor = self.score.log_prob(scaling.apply(self.layout.vary(x.double())))
        density: Tensor = inside.double() - scaling.log_det
        return density

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors``, ``model.json`` and ``layout.json`` into ``folder``."""
        write_json(folder / LAYOUT, self.layout.to_dict())
        save(self.score, folder)

    @classmethod
    def load(cls, folder: Path) -> "Model":
        """The model that :meth:`save` wrote.

        Raises:
            InputError: If a file is missing, damaged or foreign.
        """
        score = load(folder)
        try:
            layout = Layout.from_dict(json.loads((folder / LAYOUT).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(explain(f"{folder / LAYOUT} cannot be read", got=repr(error)[:200],
                                     do="fit the model again")) from None  # fmt: skip
        return cls(score, layout)
