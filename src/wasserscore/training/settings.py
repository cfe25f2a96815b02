"""The names and numbers of a training, checked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer
from wasserscore.core.numbers import is_number
from wasserscore.core.random import as_seed
from wasserscore.core.tensors import as_floats
from wasserscore.training.augmentation import Augmentation
from wasserscore.training.denoising import PRECISIONS
from wasserscore.training.levels import Weighting
from wasserscore.training.power import exponent
from wasserscore.training.regularise import Regulariser
from wasserscore.training.schedule import Schedule

OBJECTIVES = ("denoising", "implicit", "implicit_hutchinson", "sliced")
WHOLE = {"steps": 1, "batch_size": 1, "warmup": 0, "measure_every": 1, "keep": 1}
"""The least of every setting that is a whole number."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What :func:`~wasserscore.training.train_score` is told besides objects; explained there.

    Raises:
        InputError: Names the first that cannot be used.
    """

    objective: str
    weighting: Weighting
    steps: int
    batch_size: int
    learning_rate: float
    warmup: int
    decay: str
    ema: float | Sequence[float]
    ema_widths: float | Sequence[float]
    weight_decay: float
    gradient_clip: float
    regularise: Regulariser | None
    label_dropout: float
    augmentation: Augmentation | None
    precision: str
    compile: bool
    accumulate: int
    shard: bool
    measure_every: int
    keep: int
    seed: int

    def __post_init__(self) -> None:
        require(self.objective in OBJECTIVES, f"objective must be one of {OBJECTIVES}",
                got=repr(self.objective))  # fmt: skip
        whole = {name: as_integer(getattr(self, name), name, least=least)
                 for name, least in WHOLE.items()}  # fmt: skip
        whole["seed"] = as_seed(self.seed)
        whole["accumulate"] = as_integer(self.accumulate, "accumulate", most=whole["batch_size"])
        for name, number in whole.items():
            object.__setattr__(self, name, number)
        require(self.precision in PRECISIONS, f"precision must be one of {PRECISIONS}",
                got=repr(self.precision))  # fmt: skip
        for name in ("learning_rate", "weight_decay", "gradient_clip", "label_dropout"):
            number = getattr(self, name)
            require(is_number(number), f"{name} must be a number", got=repr(number))
        require(0 < self.learning_rate < math.inf, "learning_rate must be positive and finite",
                got=self.learning_rate)  # fmt: skip
        require(0 <= self.weight_decay < math.inf, "weight_decay must be finite and not negative",
                got=self.weight_decay)  # fmt: skip
        require(self.gradient_clip > 0, "gradient_clip must be positive", got=self.gradient_clip)
        require(0 <= self.label_dropout < 1, "label_dropout must lie in [0, 1)",
                got=self.label_dropout)  # fmt: skip
        emas = self.emas
        require(len(emas) == len(set(emas)) > 0 and all(0 <= own < 1 for own in emas),
                "ema must lie in [0, 1), several must differ", got=self.ema)  # fmt: skip
        for width in self.widths:
            exponent(width)
        require(len(set(self.widths)) == len(self.widths), "ema_widths must differ",
                got=self.ema_widths)  # fmt: skip
        self._require_denoising()

    def _require_denoising(self) -> None:
        """Where the objective or the network's weights cannot be any others."""
        plain = self.objective == "denoising"
        require(plain or not self.compile,
                "compile serves the denoising objective, others need second derivatives",
                got=repr(self.objective))  # fmt: skip
        others = {"compile": self.compile, "regularise": self.regularise is not None,
                  "objective": not plain}  # fmt: skip
        taken = [name for name, given in others.items() if given]
        require(not (self.shard and taken), "weights in parts are trained by denoising alone",
                got=f"shard with {', '.join(taken)}", do="leave one of them out")  # fmt: skip

    @property
    def emas(self) -> tuple[float, ...]:
        """Of all averages of the weights."""
        return tuple(as_floats(self.ema, "ema").flatten().tolist())

    @property
    def widths(self) -> tuple[float, ...]:
        """Of the averages that checkpoints keep besides."""
        return tuple(as_floats(self.ema_widths, "ema_widths").flatten().tolist())

    @property
    def augmented(self) -> int:
        """How many numbers say what was done to an image."""
        return 0 if self.augmentation is None else self.augmentation.length

    @property
    def schedule(self) -> Schedule:
        """Learning rate and averaging by step number."""
        return Schedule(self.steps, self.learning_rate, self.emas, self.warmup, self.decay,
                        self.widths)  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """What a continued run must share, as JSON types."""
        since = {"warmup": 0, "decay": "cosine", "precision": "float32", "compile": False}
        named = {name: getattr(self, name) for name in since}
        return {
            "objective": self.objective,
            **self.weighting.to_dict(),
            "steps": self.steps,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "ema": list(self.emas) if len(self.emas) > 1 else self.emas[0],
            "weight_decay": self.weight_decay,
            "gradient_clip": self.gradient_clip,
            **({} if self.regularise is None else self.regularise.to_dict()),
            **({} if self.augmentation is None else self.augmentation.to_dict()),
            # older checkpoints do not name these
            **({"ema_widths": list(self.widths)} if self.widths else {}),
            **{name: value for name, value in named.items() if value != since[name]},
            "seed": self.seed,
        }
