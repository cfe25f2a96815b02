"""One validated description of a run: everything that decides its numbers, and nothing else."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from wasserscore.core.errors import InputError, explain

ModelName = Literal["empirical", "proximal", "network", "one-step"]
Steps = Annotated[int, Field(ge=1, le=10_000)]


class Part(BaseModel):
    """Base of all parts: frozen, and an unknown key is an error instead of a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


C = TypeVar("C", bound=Part)


class NetworkConfig(Part):
    """The network and its training.

    Args:
        width: Units of a layer.
        depth: Residual blocks.
        steps: Training steps.
        batch_size: Rows per training step.
        learning_rate: Peak learning rate.
    """

    width: int = Field(default=256, ge=1, le=8192)
    depth: int = Field(default=4, ge=1, le=64)
    steps: int = Field(default=800, ge=1)
    batch_size: int = Field(default=256, ge=1)
    learning_rate: float = Field(default=3e-3, gt=0)


class ProximalConfig(Part):
    """The proximal kernel.

    Args:
        method: "auto", or one candidate of ``fit_proximal``.
        latent: How many principal axes to fit on, or the share of the variance they hold; None
            fits all columns.
        per: A column of a table; the rows of each of its values are fitted by themselves.
    """

    method: str = "auto"
    latent: Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)] | None = None
    per: str | None = None


class OneStepConfig(Part):
    """The one-step generator and its training.

    Args:
        drift: What it follows.
        bandwidth: Of the drift at all steps, model units; None anneals.
        latent: Coordinates of a latent.
        width: Units of a layer.
        depth: Residual blocks.
        steps: Training steps.
        batch_size: Rows per training step.
        learning_rate: Peak learning rate.
    """

    drift: Literal["score_difference", "drifting", "sinkhorn"] = "drifting"
    bandwidth: float | None = Field(default=None, gt=0)
    latent: int = Field(default=16, ge=1, le=8192)
    width: int = Field(default=256, ge=1, le=8192)
    depth: int = Field(default=4, ge=1, le=64)
    steps: int = Field(default=2000, ge=1)
    batch_size: int = Field(default=256, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)


class CertificateConfig(Part):
    """The bound on W2 to the smoothed training data.

    Args:
        n: Coupled pairs.
        bandwidth: Smoothing of the reference in model units; None takes half of the median
            nearest-neighbour distance of the training rows, per square root of the dimension.
        level: Confidence level.
        constant: "estimated" or "reference" draws the theorem over time beside the coupling: from
            an estimate of the model's one-sided constant, or the proved one of the reference.
    """

    n: int = Field(default=256, ge=16, le=100_000)
    bandwidth: float | None = Field(default=None, gt=0)
    level: float = Field(default=0.95, gt=0.5, lt=1)
    constant: Literal["estimated", "reference"] | None = None


class HoldoutConfig(Part):
    """Which rows are held out.

    Args:
        table_schema: A TOML or JSON file that says what the columns of a table are.
        group: A column of the table; rows of one value are on one side of the hold-out.
        order: A column of dates or numbers; the latest rows are held out.
        seed: Of the split, and of all that is drawn after it.
    """

    table_schema: str | None = None
    group: str | None = None
    order: str | None = None
    seed: int = Field(default=0, ge=0, lt=2**62)

    @model_validator(mode="after")
    def _one_split(self) -> "HoldoutConfig":
        if self.group is not None and self.order is not None:
            raise ValueError("the hold-out is split by group or by order, not by both")
        return self


class RunConfig(HoldoutConfig):
    """The whole journey; its seed is also that of the fits, the samples and every resplit.

    Args:
        source: An embedded data set or a path; see ``wasserscore.data.load``.
        models: Which models to fit.
        solver: Sampler of all models; rows of tables that have a closed form are drawn without.
        steps: Its steps.
        resplits: Resplits behind every error bar.
        curve: Step counts of the W2-versus-steps curve; empty skips curve and planner.
        target_w2: What the planner aims at, data units; None takes a tenth of the noise floor.
        proximal: The proximal kernel.
        network: The network.
        one_step: The one-step generator.
        certificate: The certificate; None skips it.
    """

    source: str
    models: tuple[ModelName, ...] = ("empirical", "proximal", "network")
    solver: str = "heun"
    steps: Steps = 18
    resplits: int = Field(default=10, ge=2, le=1000)
    curve: tuple[Steps, ...] = (3, 5, 8, 12, 18, 32)
    target_w2: float | None = Field(default=None, gt=0)
    proximal: ProximalConfig = ProximalConfig()
    network: NetworkConfig = NetworkConfig()
    one_step: OneStepConfig = OneStepConfig()
    certificate: CertificateConfig | None = CertificateConfig()

    @model_validator(mode="after")
    def _each_model_once(self) -> "RunConfig":
        if not self.models or len(set(self.models)) < len(self.models):
            raise ValueError("name at least one model, and each only once")
        return self


def validate(values: dict[str, Any], kind: type[C] = RunConfig) -> C:  # type: ignore[assignment]
    """A configuration from plain values.

    Args:
        values: By key.
        kind: Which configuration.

    Raises:
        InputError: One line that names every bad key, what is wrong with it and what came.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(_problem(e) for e in error.errors())
        raise InputError(f"the configuration cannot be used: {problems}") from None


def read_config(
    path: Path | None = None,
    overrides: tuple[str, ...] = (),
    kind: type[C] = RunConfig,  # type: ignore[assignment]
    **values: Any,
) -> C:
    """A configuration from a TOML file, ``key=value`` overrides and values, in rising order.

    Args:
        path: A TOML file with the keys of the configuration, or None.
        overrides: Such as ``"network.steps=500"``; values are TOML, bare words are strings.
        kind: Which configuration; a run's unless told.
        **values: Keys of the configuration; None means "not given".

    Raises:
        InputError: If the file or an override cannot be read or a value does not fit.
    """
    merged: dict[str, Any] = {}
    if path is not None:
        try:
            merged = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InputError(explain("the configuration file cannot be read", got=str(error),
                                     do="give a TOML file")) from None  # fmt: skip
    for override in overrides:
        _override(merged, override)
    merged |= {key: value for key, value in values.items() if value is not None}
    return validate(merged, kind)


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Every leaf in which two plain configurations differ, as ``key: old there, new here``."""
    found: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        there, here = old.get(key), new.get(key)
        if isinstance(there, dict) and isinstance(here, dict):
            found += differences(there, here, f"{prefix}{key}.")
        elif there != here:
            found.append(f"{prefix}{key}: {there!r} there, {here!r} here")
    return found


def _override(merged: dict[str, Any], override: str) -> None:
    key, mark, text = override.partition("=")
    if not mark or not all(part.isidentifier() for part in key.split(".")):
        raise InputError(explain("an override must read key=value", got=repr(override),
                                 do="for example --set network.steps=500"))  # fmt: skip
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = None if text in ("none", "None") else text
    *parents, leaf = key.split(".")
    for parent in parents:
        merged = merged.setdefault(parent, {})
        if not isinstance(merged, dict):
            raise InputError(explain("an override must name a setting", got=repr(override)))
    merged[leaf] = value


def _problem(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"]) or "configuration"
    if error["type"] == "extra_forbidden":
        return f"{key} is not a setting"
    message = error["msg"].removeprefix("Value error, ")
    return f"{key}: {message[0].lower()}{message[1:]}, got {str(error['input'])[:80]!r}"
