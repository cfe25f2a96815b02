"""Where a flow is, what a step tells, and what a run leaves behind."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.results import Record, plain
from wasserscore.score.vault import read_pair, write_pair
from wasserscore.training.averaged import under

KIND = "flow-state"
LEARNT = "drift/"


class Info(NamedTuple):
    """What an observer sees after a step; NaN where a drift does not know it.

    Args:
        k: The step just done, counted from 0.
        steps: How many there will be.
        sigma: Its bandwidth, data units.
        moved: Root mean square displacement, data units.
        fisher: Mean square score difference before the step.
        ess_target: Median effective number of target points behind a particle's pull.
        ess_source: Likewise of particles.
        self_weight: Median share of a particle in its own softmax.
        capped: Share of particles whose source pull was cut.
        extra: What the observer measured.
    """

    k: int
    steps: int
    sigma: float
    moved: float
    fisher: float
    ess_target: float
    ess_source: float
    self_weight: float
    capped: float
    extra: dict[str, Any]


@dataclass(frozen=True, eq=False)
class FlowState:
    """Everything that a flow needs to go on, to the last bit.

    Args:
        particles: ``(n, d)``.
        k: Steps done.
        widths: The bandwidth of every step of the run.
        seed: Of the run.
        shape: The shape of one particle.
        memory: The optimiser's.
        learnt: The state of a drift that learns.
    """

    particles: Tensor
    k: int
    widths: tuple[float, ...]
    seed: int
    shape: tuple[int, ...]
    memory: tuple[Tensor, ...] = ()
    learnt: dict[str, Tensor] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether no step is left."""
        return self.k >= len(self.widths)

    def save(self, path: str | Path) -> None:
        """Write ``path`` (.safetensors) and a JSON sidecar, atomically."""
        tensors = {"particles": self.particles}
        tensors |= {f"memory.{i}": part for i, part in enumerate(self.memory)}
        tensors |= {f"{LEARNT}{name}": part for name, part in self.learnt.items()}
        write_pair(_checked(path), tensors, {
            "class": KIND, "k": self.k, "widths": list(self.widths), "seed": self.seed,
            "shape": list(self.shape), "memory": len(self.memory),
        })  # fmt: skip

    @classmethod
    def load(cls, path: str | Path) -> "FlowState":
        """What :meth:`save` wrote.

        Raises:
            InputError: If the files are not a flow's state, or damaged.
        """
        tensors, document = read_pair(_checked(path))
        require(document.get("class") == KIND, "the file must hold the state of a flow",
                got=repr(document.get("class")))  # fmt: skip
        try:
            memory = tuple(tensors[f"memory.{i}"] for i in range(document["memory"]))
            learnt = under(LEARNT, tensors)
            return cls(tensors["particles"], document["k"], tuple(document["widths"]),
                       document["seed"], tuple(document["shape"]), memory, learnt)  # fmt: skip
        except (KeyError, TypeError) as error:
            raise InputError(explain("the state of a flow must be whole", got=f"no {error}",
                                     do="start the flow again")) from None  # fmt: skip


def _checked(path: str | Path) -> Path:
    path = Path(path)
    require(path.suffix == ".safetensors", "a state's path must end in .safetensors",
            got=repr(path.name))  # fmt: skip
    return path


@dataclass(frozen=True, eq=False, repr=False)
class FlowRecord(Record):
    """The end of a flow.

    Args:
        particles: Where they are, ``(n, *shape)``, data units.
        history: One :class:`Info` per step.
        self_interaction: The rule used; empty for drifts that have none.
        notes: In sentences, why this rule and what the diagnostics warn of.
        status: "finished", or why it stopped.
        state: From which a longer run goes on.
    """

    particles: Tensor
    history: tuple[Info, ...]
    self_interaction: str
    notes: tuple[str, ...]
    status: str
    state: FlowState = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types, the particles left out; the history by columns."""
        columns = {name: [getattr(info, name) for info in self.history]
                   for name in Info._fields if name not in ("steps", "extra")}  # fmt: skip
        extra = [info.extra for info in self.history]
        out: dict[str, Any] = plain({
            "n": len(self.particles), "shape": self.state.shape, "seed": self.state.seed,
            "steps": self.state.k, "status": self.status, "notes": self.notes,
            "self_interaction": self.self_interaction, "history": columns,
        } | ({"measured": extra} if any(extra) else {}))  # fmt: skip
        return out

    def __repr__(self) -> str:
        lines = [f"{len(self.particles)} particles after {self.state.k} steps: {self.status}"]
        if self.history:
            last = self.history[-1]
            shown = [f"bandwidth {last.sigma:.3g}"]
            for name, value in (("Fisher divergence", last.fisher),
                                ("target points behind a pull", last.ess_target),
                                ("own weight", last.self_weight)):  # fmt: skip
                shown += [] if math.isnan(value) else [f"{name} {value:.3g}"]
            lines.append("last step: " + ", ".join(shown))
        return "\n".join([*lines, *self.notes])
