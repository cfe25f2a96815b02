"""The score of a trained network, under any process."""

from dataclasses import dataclass, replace
from math import isfinite, prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer, as_shape
from wasserscore.core.numbers import is_number
from wasserscore.core.tensors import as_tensor, beside, expand_like, require_shape
from wasserscore.core.typing import Points, Times
from wasserscore.data import Scaling
from wasserscore.network import describe, rebuild
from wasserscore.network.told import Condition, Labels
from wasserscore.process import from_dict as process_from_dict
from wasserscore.process.base import Process, require_process
from wasserscore.score.denoiser import answered, natural_clock, tweedie
from wasserscore.score.preconditioning import (
    PRECONDITIONINGS,
    PREDICTIONS,
    Preconditioner,
    coefficients,
)


@dataclass(frozen=True, eq=False, repr=False)
class NetworkScore:
    """A network as a score, callable like every other one.

    Args:
        network: A module ``F(x (b, *shape), c_noise (b,)) -> like x``; it runs in the dtype of
            its own parameters, in evaluation mode, and results keep the dtype of ``x``.
        process: The forward process.
        prediction: ``"velocity"``, ``"noise"``, ``"data"`` or ``"score"``, see
            :mod:`wasserscore.score.preconditioning`.
        preconditioning: ``"edm"``, or ``"none"`` for a network trained elsewhere on ``(x, t)``.
        data_std: Root mean square of the data's entries, model units; used by ``"edm"``.
        shape: Of one point; by default ``(network.dim,)``.
        scaling: How model units came from data units; None where they are data units.
        label: The class whose score this is, for a network that knows ``classes``; None where it
            is not told.
        condition: The vector whose score this is, for a network that knows ``condition``; None
            where it is not told, which is the zero vector.
        ema: How much of its averaged weights survived a step, where training chose among several.
        augmented: How many numbers at the end of the network's vector say what training did to
            an image. Zeros say nothing was done, and come by themselves after shorter vectors.
    """

    network: nn.Module
    process: Process
    prediction: str = "velocity"
    preconditioning: str = "edm"
    data_std: float = 1.0
    shape: tuple[int, ...] = ()
    scaling: Scaling | None = None
    label: int | None = None
    condition: tuple[float, ...] | None = None
    ema: float | None = None
    augmented: int = 0

    def __post_init__(self) -> None:
        require(
            self.prediction in PREDICTIONS,
            f"prediction must be one of {PREDICTIONS}",
            got=repr(self.prediction),
        )
        require(
            self.preconditioning in PRECONDITIONINGS,
            f"preconditioning must be one of {PRECONDITIONINGS}",
            got=repr(self.preconditioning),
        )
        own = getattr(self.network, "asked_with", self.preconditioning)
        require(self.preconditioning == own, f"the network is one of preconditioning {own!r}",
                got=repr(self.preconditioning), do="a model of diffusers on a chain learns there: "
                "train_score asks by noise level, not by timestep")  # fmt: skip
        good = is_number(self.data_std) and 0.0 < self.data_std < float("inf")
        require(good, "data_std must be positive and finite", got=self.data_std)
        shape = self.shape
        if not shape:
            require(hasattr(self.network, "dim"),
                    "shape must be given for a network without a dim", got=())  # fmt: skip
            shape = (self.network.dim,)  # type: ignore[assignment]
        object.__setattr__(self, "shape", as_shape(shape))
        require_process(self.process)
        require(self.scaling is None or isinstance(self.scaling, Scaling),
                "scaling must be a ws.data.Scaling", got=repr(self.scaling))  # fmt: skip
        require(self.scaling is None or self.scaling.shift.numel() == self.dim,
                f"scaling must have a shift for each of {self.dim} coordinates",
                got=None if self.scaling is None else self.scaling.shift.numel())  # fmt: skip
        if self.label is not None:
            object.__setattr__(self, "label", as_integer(self.label, "label", least=0))

    def __repr__(self) -> str:
        weights = sum(p.numel() for p in self.network.parameters())
        network = f"{type(self.network).__name__} of {weights:,} weights"
        told = "" if self.label is None else f", label {self.label}"
        told += "" if self.condition is None else f", condition {self.condition}"
        points = f"{self.prediction}, points {self.shape}{told}"
        return f"NetworkScore({network}, {points}, {self.process.call(4)})"

    @property
    def dim(self) -> int:
        """Number of coordinates of a point."""
        return prod(self.shape)

    def __call__(self, x: Points, t: Times) -> Points:
        """The score at ``x`` and time ``t > 0``, shaped like ``x``: a tensor, or an array."""
        x = as_tensor(x)
        alpha, r = natural_clock(self.process, t, len(x))
        return tweedie(x, self._denoise(x, t, alpha, r), alpha, r)

    def denoise(
        self, x: Points, t: Times, labels: Labels | None = None,
        condition: Condition | None = None,
    ) -> Points:  # fmt: skip
        """The network's posterior mean of the data given ``x`` at time ``t > 0``.

        Args:
            x: Noisy points.
            t: Their time, or one for each.
            labels: A class for each, in the place of this score's own.
            condition: A vector for each, likewise.
        """
        x = as_tensor(x)
        return self._denoise(x, t, *natural_clock(self.process, t, len(x)), labels, condition)

    def conditioned(self, y: Any) -> "NetworkScore":
        """The score of one class (a number), or of one condition (a vector).

        Where images were augmented in training a vector leaves out what was done to them.

        Raises:
            InputError: If the network does not know the class, or vectors of this length.
        """
        if np.ndim(y):
            length = getattr(self.network, "condition", 0)
            own = length - self.augmented
            require(len(y) > 0 and len(y) in (own, length),
                    f"the network knows vectors of length {own}", got=y,
                    do="build it with condition= and train it with conditions=")  # fmt: skip
            given = tuple(map(float, y))
            require(all(map(isfinite, given)), "a condition must be finite", got=given)
            return replace(self, condition=given)
        classes = getattr(self.network, "classes", 0)
        require(classes > 0, "the network knows no classes", got=y,
                do="build it with classes= and train it with labels=")  # fmt: skip
        return replace(self, label=as_integer(y, "the class", least=0, most=classes - 1))

    def under(self, process: Process) -> "NetworkScore":
        """The same network under another process.

        Raises:
            InputError: With preconditioning ``"none"``: such a network knows one process only.
        """
        require(
            self.preconditioning == "edm",
            "only a network with EDM preconditioning can change its process",
            got=repr(self.preconditioning),
            do="train one with preconditioning='edm'",
        )
        return replace(self, process=process)

    def preconditioner(self, t: Tensor, alpha: Tensor, r: Tensor) -> Preconditioner:
        """The coefficients at time ``t``, float64."""
        return coefficients(self.prediction, self.preconditioning, self.data_std, t, alpha, r)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What ``save`` writes: the weights, and everything else as JSON types."""
        return dict(self.network.state_dict()), {
            "network": describe(self.network),
            "process": self.process.to_dict(),
            "prediction": self.prediction,
            "preconditioning": self.preconditioning,
            "data_std": self.data_std,
            "shape": list(self.shape),
            "scaling": None if self.scaling is None else self.scaling.to_dict(),
            **({} if self.label is None else {"label": self.label}),
            **({} if self.condition is None else {"condition": list(self.condition)}),
            **({} if self.ema is None else {"ema": self.ema}),
            **({"augmented": self.augmented} if self.augmented else {}),
        }

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor], config: dict[str, Any]) -> "NetworkScore":
        """The score whose :meth:`state` this is, ready for inference."""
        rest = dict(config)
        network = rebuild(rest.pop("network"), tensors).eval().requires_grad_(False)
        rest["process"] = process_from_dict(rest["process"])
        rest["shape"] = shape = as_shape(rest["shape"])
        require(getattr(network, "dim", prod(shape)) == prod(shape),
                "shape must fit the network", got=shape)  # fmt: skip
        if "condition" in rest:
            rest["condition"] = tuple(rest["condition"])
        if rest["scaling"] is not None:
            rest["scaling"] = Scaling.from_dict(rest["scaling"])
        return cls(network, **rest)

    def _denoise(
        self, x: Tensor, t: Times, alpha: Tensor, r: Tensor,
        labels: Tensor | None = None, condition: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        require_shape(x, self.shape)
        time = torch.as_tensor(t, dtype=torch.float64).expand(len(x))
        c = self.preconditioner(time, alpha, r)
        dtype = next((p.dtype for p in self.network.parameters()), x.dtype)
        seen = (expand_like(c.scale_in, x) * x).to(dtype).reshape(len(x), *self.shape)
        if labels is None and self.label is not None:
            labels = torch.full((len(x),), self.label, device=x.device)
        if condition is None and self.condition is not None:
            own = torch.tensor(self.condition, dtype=dtype, device=x.device)
            condition = own.expand(len(x), -1)
        if condition is not None:
            condition = self._with_augmentation(condition)
        told: tuple[Tensor | None, ...] = () if labels is None else (labels,)
        told = told if condition is None else (labels, condition)
        output = answered(self.network(seen, beside(c.noise, seen), *told), seen, "a network")
        output = output.to(x.dtype).reshape(x.shape)
        denoised: Tensor = expand_like(c.skip / alpha, x) * x + expand_like(c.out, x) * output
        return denoised

    def _with_augmentation(self, condition: Tensor) -> Tensor:
        """Vectors that leave it out, with its zeros at their end; whole ones as they are."""
        missing = getattr(self.network, "condition", 0) - condition.shape[1]
        left_out = 0 < missing == self.augmented
        return nn.functional.pad(condition, (0, missing)) if left_out else condition
