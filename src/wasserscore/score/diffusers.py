r"""Denoisers of the diffusers library as scores of ours, and back.

A model there is asked as ``model(x, timestep)``; what its scheduler's settings say of betas and of
what the model predicts makes it a :class:`NetworkScore`:

* chains (DDPM, DDIM, DPM-Solver, Euler, Heun, ...): :meth:`VP.chain` of the scheduler's betas,
  with timestep k at time k + 1; in between, where no model was trained, timesteps are fractions,
  and before time 1 they are 0: the least noise that the model has seen;
* EDM schedulers: the process :class:`EDM` with EDM preconditioning. Their "epsilon" is minus our
  velocity, in our notation :math:`F = -(s z - r x_0 / s) / \sqrt{r^2 + s^2}`.

DDIMScheduler and EulerDiscreteScheduler take the steps of "ddim", HeunDiscreteScheduler those of
"heun_churn" with eta 0, DPMSolverMultistepScheduler those of "dpmpp_2m", DDPMScheduler those of
"ancestral" (its "fixed_small" variance).

Points are what the model sees: images in [-1, 1], latents where a pipeline decodes them. Samplers
of that library clip what they take for the clean image to [-1, 1] unless told not to; ours do not.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from wasserscore.core.errors import require
from wasserscore.core.files import require_folder
from wasserscore.core.integers import as_integer, is_integer
from wasserscore.core.tensors import not_finite
from wasserscore.core.typing import PerPoint, Points
from wasserscore.network import register
from wasserscore.process import EDM, VP
from wasserscore.process.base import Process
from wasserscore.score.network import NetworkScore
from wasserscore.score.pipeline import PARTS, diffusers_library, read_pipeline

PREDICTS = {"epsilon": "noise", "v_prediction": "velocity", "sample": "data"}
CONSISTENCY = ("LCMScheduler", "TCDScheduler")
"""On a chain, for models that were distilled to leap."""


@register
class DiffusersNetwork(nn.Module):
    """A model of diffusers as ``F(x, label)``.

    Args:
        model: Its class.
        settings: What that is built with.
        edm: Asked with EDM's noise label, and of the opposite sign where ``flip``; otherwise with
            the timestep, which is time less one and never negative.
        flip: Whether the output changes sign.
        label: The class that is asked for, where the model knows classes.
    """

    def __init__(
        self, model: str, settings: dict[str, Any], edm: bool = False, flip: bool = False,
        label: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        require(model in PARTS, f"the model must be one of {', '.join(PARTS)}", got=repr(model))
        self.model_class, self.edm, self.flip = model, edm, flip
        self.label = None if label is None else as_integer(label, "label", least=0)
        self.model = _model(model, settings)
        for module in self.model.modules():  # tables that are not saved could not be rebuilt
            module._non_persistent_buffers_set.clear()

    def config(self) -> dict[str, Any]:
        """What rebuilds this network, as JSON types; the weights come beside it."""
        return {"class": "DiffusersNetwork", "model": self.model_class,
                "settings": _settings(self.model), "edm": self.edm, "flip": self.flip,
                "label": self.label}  # fmt: skip

    @property
    def asked_with(self) -> str:
        """The preconditioning of :class:`NetworkScore` under which it sees what it knows."""
        return "edm" if self.edm else "none"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one point: channels, height, width."""
        size = self.model.config["sample_size"]
        sides = [size, size] if isinstance(size, int) else size
        good = isinstance(sides, list | tuple) and [type(side) for side in sides] == [int, int]
        require(good, "the model's sample_size must be a number or two", got=repr(size))
        return int(self.model.config["in_channels"]), *map(int, sides)

    def forward(self, x: Points, c_noise: PerPoint) -> Points:
        """Points ``(b, *shape)`` and times (or EDM's noise labels) ``(b,)`` to outputs like x."""
        asked: dict[str, Tensor] = {}
        if self.label is not None:
            asked["class_labels"] = torch.full((len(x),), self.label, device=x.device)
        step = c_noise if self.edm else (c_noise - 1).clamp_min(0)
        out: Tensor = self.model(x, step, return_dict=False, **asked)[0][:, : x.shape[1]]
        return -out if self.flip else out


def from_diffusers(source: Any, *, label: int | None = None) -> NetworkScore:
    """The score of a diffusers pipeline.

    Args:
        source: A folder that ``pipeline.save_pretrained`` wrote, or a pipeline.
        label: The class to ask for, where the model knows classes.

    Raises:
        InputError: If the folder, its model or its scheduler is not one that can be read.
    """
    if isinstance(source, str | Path):
        model, scheduler = read_pipeline(Path(source))
    else:
        model = next((getattr(source, p) for p in PARTS.values() if hasattr(source, p)), None)
        scheduler = getattr(source, "scheduler", None)
        require(type(model).__name__ in PARTS and scheduler is not None,
                "a pipeline needs a scheduler and a model that is known",
                got=f"{type(source).__name__} with {type(model).__name__}",
                do=f"known are {', '.join(PARTS)}")  # fmt: skip
    name, settings = type(model).__name__, _settings(model)
    embedding = settings.get("class_embed_type")
    require(embedding is None, "class_embed_type must be None: classes are asked for by number",
            got=repr(embedding))  # fmt: skip
    # A DiT has one label more than classes: of none.
    last = settings.get("num_embeds_ada_norm") or (settings.get("num_class_embeds") or 0) - 1
    advice = f"choose one of 0 to {last}" if last >= 0 else "leave it out"
    good = label is None if last < 0 else is_integer(label) and label in range(last + 1)
    require(good, "label must be given for a model of classes, only", got=repr(label), do=advice)
    edm = type(scheduler).__name__.startswith("EDM")
    kind = _prediction(scheduler, edm)
    network = DiffusersNetwork(name, settings, edm, edm and kind == "epsilon", label)
    _fill(network.model, model.state_dict())
    broken = not_finite(network.model.state_dict())
    require(not broken, "weights of the model must be finite",
            got=f"NaN or infinity in {broken[:1]}")  # fmt: skip
    network.eval().requires_grad_(False)
    _require_sizes(network)
    process = _process(scheduler, edm)
    if edm:
        std = float(scheduler.config["sigma_data"])
        return NetworkScore(network, process, "velocity", "edm", std, network.shape)
    return NetworkScore(network, process, PREDICTS[kind], "none", shape=network.shape)


def to_diffusers(score: NetworkScore, path: str | Path) -> Path:
    """Write a score whose network came from diffusers as a pipeline there; returns the folder.

    All of it is written elsewhere first: where the disk is full, no folder is there.

    The label is asked for again when the pipeline is read: pipelines have none of their own. That
    of a transformer has no decoder: points are what the model sees. A U-Net that predicts
    variances, too, is taken to say where in their range they lie ("learned_range").

    Raises:
        InputError: For another network, a process that is no chain, or a folder that is not new.
    """
    network: Any = getattr(score, "network", None)
    process = score.process
    betas = process.parameters.get("betas") or []
    require(isinstance(network, DiffusersNetwork) and bool(betas),
            "only a network of diffusers on a chain can go back",
            got=f"{type(network or score).__name__} under {process!r}")  # fmt: skip
    target = Path(path)
    require(not target.exists(), f"{target} must be a new folder", got="one that is there")
    library, kinds = diffusers_library(), {ours: theirs for theirs, ours in PREDICTS.items()}
    unet = network.model_class == "UNet2DModel"  # the other pipeline drops variances by itself
    learned = unet and network.model.config["out_channels"] != network.shape[0]
    scheduler = library.DDPMScheduler(
        num_train_timesteps=len(betas), trained_betas=betas, clip_sample=False,
        prediction_type=kinds[score.prediction],
        variance_type="learned_range" if learned else "fixed_small",
    )  # fmt: skip
    # a fresh one, without the tables that ours keeps and theirs does not read
    model = _model(network.model_class, _settings(network.model)).to(network.model.dtype)
    model.load_state_dict(network.model.state_dict(), strict=False)
    pipeline = (library.DDPMPipeline(model, scheduler) if unet
                else library.DiTPipeline(model, None, scheduler))  # fmt: skip
    require_folder(target.parent)
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"{target.name}.", suffix=".part", dir=target.parent) as part:
        pipeline.save_pretrained(Path(part) / "whole", safe_serialization=True)
        (Path(part) / "whole").rename(target)
    return target


def _fill(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Give a new model the weights of another one; tables that this one did not save stay."""
    told = model.load_state_dict(weights, strict=False)
    own = dict(model.named_parameters())
    strange = [*told.unexpected_keys, *(name for name in told.missing_keys if name in own)]
    require(not strange, "weights of the model must be those that its settings make",
            got=strange[:2], do="merge or remove what was added to its layers")  # fmt: skip


def _require_sizes(network: DiffusersNetwork) -> None:
    """Images that the model takes apart must fit together again, with as many channels.

    So must times: ours lie between timesteps, too.
    """
    settings, sides = network.model.config, network.shape[1:]
    unet = network.model_class == "UNet2DModel"
    unit = 2 ** (len(settings["block_out_channels"]) - 1) if unet else settings["patch_size"]
    require(all(side % unit == 0 for side in sides), f"sample_size must be a multiple of {unit}, "
            f"which the model's {'levels' if unet else 'patches'} ask for", got=sides)  # fmt: skip
    channels = network.shape[0]
    out = settings["out_channels"] or channels
    require(out in (channels, 2 * channels),
            f"the model must predict {channels} channels, as many as it sees, or their variances, "
            "too", got=out)  # fmt: skip
    embedding = settings.get("time_embedding_type", "positional")
    require(embedding == "positional", "the model must know times between timesteps, and time 0",
            got={"learned": "a learned table of timesteps",
                 "fourier": "logarithms of noise levels"}.get(embedding, embedding))  # fmt: skip


def _prediction(scheduler: Any, edm: bool) -> str:
    """What the model of a scheduler predicts, in the library's words.

    Raises:
        InputError: If its model is asked in a way that is not ours.
    """
    name, told = type(scheduler).__name__, scheduler.config
    require(edm or hasattr(scheduler, "alphas_cumprod"),
            "the scheduler must be a chain of betas, or EDM's", got=name)  # fmt: skip
    require(name not in CONSISTENCY, "the model must predict means, as a score does",
            got=f"{name}, whose models predict where a flow ends")  # fmt: skip
    kind: str = told.get("prediction_type")
    require(kind in PREDICTS, f"prediction_type must be one of {', '.join(PREDICTS)}", got=kind)
    require(not edm or kind != "sample", "an EDM scheduler predicts epsilon or v", got=kind)
    flow = bool(told.get("use_flow_sigmas"))  # of another process than the betas say
    logarithm = told.get("timestep_type") == "continuous" and kind == "v_prediction"
    require(not (flow or logarithm), "a model on a chain must be asked with its timesteps",
            got=name + (" of a flow" if flow else " with continuous timesteps"))  # fmt: skip
    return kind


def _process(scheduler: Any, edm: bool) -> Process:
    """The forward process that a scheduler's settings describe."""
    if edm:
        return EDM(sigma_max=float(scheduler.config["sigma_max"]))
    # some schedulers put a little signal where a chain rescaled to end in pure noise has none
    kept: Tensor = scheduler.alphas_cumprod.double().masked_fill(scheduler.betas == 1, 0)
    falls = bool((kept >= 0).all() and (kept.diff() <= 0).all())
    require(falls, "betas of the scheduler must lie between 0 and 1",
            got=[beta for beta in scheduler.betas.tolist() if not 0 <= beta <= 1][:3])  # fmt: skip
    kept = kept[kept > 0]  # there is no score of pure noise
    before = torch.cat([kept.new_ones(1), kept[:-1]])
    return VP.chain(betas=(1 - kept / before).tolist())


def _model(name: str, settings: dict[str, Any]) -> Any:
    """A model of the library; it draws its first weights from the global state."""
    with torch.random.fork_rng(devices=[]):
        return getattr(diffusers_library(), name)(**settings)


def _settings(model: Any) -> dict[str, Any]:
    """What a model was built with."""
    return {key: value for key, value in model.config.items() if not key.startswith("_")}
