"""k-diffusion, azula and diffusers behind one call, ``run(denoiser, y, sigmas, noise)``.

Points are ``y = x0 + sigma z``, ``denoiser(y, sigma)`` is E[x0 | y], ``sigmas`` fall to zero and
``noise(k)`` is what step k adds. Install the peers beside the project with ``make bench-peers``.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from types import ModuleType
from typing import Any
from unittest.mock import patch

import diffusers
import torch
from azula import sample as azula_samplers
from azula.denoise import DiracPosterior
from torch import Tensor

Denoiser = Callable[[Tensor, Tensor], Tensor]
Noise = Callable[[int], Tensor]
Run = Callable[[Denoiser, Tensor, Tensor, Noise], Tensor]
PEER_PACKAGES = ("k-diffusion", "azula", "diffusers")
NEARLY_ZERO = 1e-8
"""The last sigma of methods that divide by it."""


def _k_diffusion_samplers() -> ModuleType:
    """``k_diffusion.sampling`` without the rest: its training code wants far more packages."""
    package = ModuleType("k_diffusion")
    spec = find_spec("k_diffusion")
    assert spec is not None
    package.__path__ = list(spec.submodule_search_locations or ())
    pictures = {name: ModuleType(name) for name in ("torchvision", "torchvision.transforms")}
    pictures["torchvision.transforms"].functional = None  # type: ignore[attr-defined]
    with patch.dict(sys.modules, {"k_diffusion": package, **pictures}):
        import k_diffusion.sampling

        return k_diffusion.sampling


K_SAMPLING = _k_diffusion_samplers()


def k_diffusion(name: str, *, noisy: bool = False, **options: Any) -> Run:
    """``k_diffusion.sampling.sample_NAME``."""
    method = getattr(K_SAMPLING, f"sample_{name}")

    def run(denoiser: Denoiser, y: Tensor, sigmas: Tensor, noise: Noise) -> Tensor:
        step = count()
        drawn = {"noise_sampler": lambda *_: noise(next(step))} if noisy else {}
        return method(denoiser, y, sigmas, disable=True, **drawn, **options)

    return run


class AzulaDenoiser:
    """The schedule that has ``sigmas`` at equally spaced times, and the denoiser."""

    def __init__(self, denoiser: Denoiser, sigmas: Tensor) -> None:
        self.denoiser, self.sigmas = denoiser, sigmas

    def schedule(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Signal and noise at ``t`` in [0, 1]."""
        index = ((1 - t) * (len(self.sigmas) - 1)).round().long()
        return torch.ones_like(t), self.sigmas[index]

    def __call__(self, y: Tensor, t: Tensor) -> DiracPosterior:
        """The denoiser in azula's terms."""
        return DiracPosterior(self.denoiser(y, self.schedule(t)[1]))


def azula(name: str, **options: Any) -> Run:
    """``azula.sample.NAMESampler``; its schedules never reach zero, so the last sigma is 1e-8."""

    def run(denoiser: Denoiser, y: Tensor, sigmas: Tensor, noise: Noise) -> Tensor:
        step, sigmas = count(), sigmas.clamp_min(NEARLY_ZERO)
        method = getattr(azula_samplers, f"{name}Sampler")(
            AzulaDenoiser(denoiser, sigmas), steps=len(sigmas) - 1, silent=True,
            dtype=sigmas.dtype, **options)  # fmt: skip
        with patch("torch.randn_like", lambda _: noise(next(step))):
            return method(y)

    return run


@contextmanager
def _drawn(scheduler: object, noise: Noise) -> Iterator[None]:
    """The scheduler's module with our noise."""
    step, module = count(), sys.modules[type(scheduler).__module__]
    if not hasattr(module, "randn_tensor"):
        yield
        return
    with patch.object(module, "randn_tensor", lambda *_, **__: noise(next(step))):
        yield


def diffusers_scheduler(name: str, *, zero: bool = True, **options: Any) -> Run:
    """``diffusers.NAMEScheduler`` with these sigmas put in place of those of its training steps.

    What the model returns is made from the denoiser by inverting the scheduler's own formula.
    """

    def run(denoiser: Denoiser, y: Tensor, sigmas: Tensor, noise: Noise) -> Tensor:
        scheduler = getattr(diffusers, f"{name}Scheduler")(**options)
        scheduler.set_timesteps(len(sigmas) - 1)
        ours = sigmas if zero else sigmas.clamp_min(NEARLY_ZERO)
        if "Heun" in name:
            ours = torch.cat([ours[:1], ours[1:-1].repeat_interleave(2), ours[-1:]])
        scheduler.sigmas = ours
        scheduler.set_begin_index(0)
        scaled = hasattr(scheduler, "_sigma_to_alpha_sigma_t") and "EDM" not in name
        alpha = (1 + ours**2).rsqrt() if scaled else torch.ones_like(ours)
        x = alpha[0] * y
        with _drawn(scheduler, noise):
            for k, t in enumerate(scheduler.timesteps):
                scheduler.scale_model_input(x, t)
                x = x.to(y.dtype)
                sigma, point = ours[k], x / alpha[k]
                data = denoiser(point, sigma)
                x = scheduler.step(_model_output(scheduler, data, point, sigma), t, x).prev_sample
        return x / alpha[-1]

    return run


def _model_output(scheduler: Any, data: Tensor, point: Tensor, sigma: Tensor) -> Tensor:
    if scheduler.config.prediction_type == "sample":
        return data
    if "EDM" not in type(scheduler).__name__:
        return (point - data) / sigma
    width = scheduler.config.sigma_data
    norm = sigma**2 + width**2
    return (data - width**2 / norm * point) * norm.sqrt() / (sigma * width)
