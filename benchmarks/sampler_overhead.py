"""Microseconds of a step with a score that is nearly free: ours against the peers' own loops.

Each library is called as its users call it, from starting points to samples, 100 steps, float32,
one thread; the score is one multiplication. Rounds take the libraries in turn, so that the
machine's mood is shared; the figure is the median of five rounds after one to warm up, in
processor time, which other programs on the machine hardly change.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import diffusers
import torch
from azula import sample as azula_samplers
from azula.denoise import DiracPosterior
from azula.noise import VESchedule
from torch import Tensor

from benchmarks.peer_libraries import K_SAMPLING
from wasserscore.process import EDM
from wasserscore.sampling import sample

SHAPES = {"64 x 64": (64, 64), "64 x 3 x 32 x 32": (64, 3, 32, 32)}
STEPS, ROUNDS = 100, 5
Call = Callable[[Tensor], Tensor]


def ours(name: str) -> Call:
    process = EDM(sigma_max=80.0)

    def score(x: Tensor, t: Tensor) -> Tensor:
        return -1e-4 * x

    return lambda x: sample(score, len(x), solver=name, steps=STEPS, start=x, process=process)


def k_diffusion(name: str) -> Call:
    method = getattr(K_SAMPLING, f"sample_{name}")

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
        return 0.5 * x

    def run(x: Tensor) -> Tensor:
        sigmas = K_SAMPLING.get_sigmas_karras(STEPS, 0.002, 80.0)
        return method(denoiser, x, sigmas, disable=True)

    return run


class HalfDenoiser:
    """Half of the point, in azula's terms."""

    schedule = VESchedule(sigma_min=0.002, sigma_max=80.0)

    def __call__(self, x: Tensor, t: Tensor) -> DiracPosterior:
        """A posterior that is a point."""
        return DiracPosterior(0.5 * x)


def azula(name: str, **options: Any) -> Call:
    method = getattr(azula_samplers, f"{name}Sampler")
    return lambda x: method(HalfDenoiser(), steps=STEPS, silent=True, **options)(x)


@torch.no_grad()
def _pipeline(scheduler: Any, x: Tensor) -> Tensor:
    scheduler.set_timesteps(STEPS)
    for t in scheduler.timesteps:
        model_output = 1e-4 * scheduler.scale_model_input(x, t)
        x = scheduler.step(model_output, t, x).prev_sample
    return x


def scheduler(name: str) -> Call:
    made = getattr(diffusers, f"{name}Scheduler")()
    return lambda x: _pipeline(made, x)


RACES: dict[str, dict[str, Call]] = {
    "euler": {
        "ours": ours("euler"), "k-diffusion": k_diffusion("euler"), "azula": azula("Euler"),
        "diffusers": scheduler("EDMEuler"),
    },
    "heun": {
        "ours": ours("heun"), "k-diffusion": k_diffusion("heun"), "azula": azula("Heun"),
        "diffusers": scheduler("HeunDiscrete"),
    },
    "dpmpp_2m": {
        "ours": ours("dpmpp_2m"), "k-diffusion": k_diffusion("dpmpp_2m"),
        "azula": azula("xEAB", order=2), "diffusers": scheduler("EDMDPMSolverMultistep"),
    },
    "ancestral": {
        "ours": ours("ancestral"), "k-diffusion": k_diffusion("euler_ancestral"),
        "azula": azula("DDPM"), "diffusers": scheduler("EulerAncestralDiscrete"),
    },
}  # fmt: skip


def microseconds(calls: dict[str, Call], x: Tensor) -> dict[str, float]:
    """Median over the rounds, per step."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(1 + ROUNDS):
        for name, call in calls.items():
            start = time.process_time()
            call(x)
            seconds[name].append(time.process_time() - start)
    return {name: 1e6 * statistics.median(s[1:]) / STEPS for name, s in seconds.items()}


def overhead() -> list[dict[str, object]]:
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    for shape, size in SHAPES.items():
        x = 80 * torch.randn(size, generator=torch.Generator().manual_seed(0))
        for name, calls in RACES.items():
            cost = microseconds(calls, x)
            best = min(value for library, value in cost.items() if library != "ours")
            shown = {library: round(value) for library, value in cost.items()}
            rows.append({"solver": name, "batch": shape, **shown,
                         "ours / fastest peer": round(cost["ours"] / best, 2)})  # fmt: skip
    return rows
