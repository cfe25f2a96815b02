"""Our samplers against k-diffusion, azula and diffusers: W2 at equal evaluations, then speed.

The peers live in an environment of their own, which ``make bench-peers`` makes before it runs this
(by hand: a venv that sees the project's packages, then ``pip install --no-deps -r
benchmarks/peers.txt`` and ``python -m benchmarks.sampler_peers`` in it). About a minute.

Everybody gets the same float64 denoiser, the same sigma grid from 80 down to zero (Karras) and the
same noise, and evaluations are counted where they happen. Three targets: N(.3, diag(.05, .25,
1.5)), where the law of the samples is exact (every sampler is affine there, so it follows from one
run from 0, one from 1 and one per unit of noise); two modes in one dimension, carried from the
prior's quantiles; and the same modes with a small fixed network added to the score.
"""

import logging
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.machine import save, table
from benchmarks.peer_libraries import (
    PEER_PACKAGES,
    Denoiser,
    Noise,
    Run,
    azula,
    diffusers_scheduler,
    k_diffusion,
)
from benchmarks.peer_targets import GaussianTarget, ModesTarget, Target
from benchmarks.sampler_overhead import overhead
from wasserscore.dynamics import TimeGrid
from wasserscore.process import EDM
from wasserscore.sampling import Sampler, time_grid

Row = dict[str, object]
PROCESS = EDM(sigma_max=80.0)
EVALUATIONS = (16, 64)


def ours(name: str, eta: float | None = None) -> Run:
    """Our solver in the peers' terms."""

    def run(denoiser: Denoiser, y: Tensor, sigmas: Tensor, noise: Noise) -> Tensor:
        def score(x: Tensor, t: Tensor) -> Tensor:
            return (denoiser(x, t) - x) / t**2

        return Sampler(score, PROCESS, name, TimeGrid(sigmas), eta).run(y, noise)

    return run


EDM_SOLVER = "EDMDPMSolverMultistep"
CONTESTS: dict[str, dict[str, Run]] = {
    "euler": {
        "k-diffusion": k_diffusion("euler"), "azula": azula("Euler"),
        "diffusers": diffusers_scheduler("EDMEuler"),
    },
    "ddim": {
        "k-diffusion": k_diffusion("euler_ancestral", eta=0.0), "azula": azula("DDIM"),
        "diffusers": diffusers_scheduler("EulerDiscrete"),
    },
    "dpmpp_1s": {"diffusers": diffusers_scheduler(EDM_SOLVER, solver_order=1)},
    "heun": {
        "k-diffusion": k_diffusion("heun"), "azula": azula("Heun"),
        "diffusers": diffusers_scheduler("HeunDiscrete"),
    },
    "dpmpp_2s": {
        "k-diffusion": k_diffusion("dpmpp_2s_ancestral", eta=0.0),
        "diffusers": diffusers_scheduler("DPMSolverSinglestep", prediction_type="sample"),
    },
    "dpmpp_2m": {
        "k-diffusion": k_diffusion("dpmpp_2m"), "azula": azula("xEAB", order=2),
        "diffusers": diffusers_scheduler(EDM_SOLVER),
    },
    "deis": {
        "k-diffusion": k_diffusion("lms", order=3), "azula": azula("zEAB", order=3),
        "diffusers": diffusers_scheduler("DEISMultistep", zero=False, solver_order=3),
    },
    "dpmpp_2m_sde": {
        "k-diffusion": k_diffusion("dpmpp_2m_sde", noisy=True),
        "diffusers": diffusers_scheduler(EDM_SOLVER, algorithm_type="sde-dpmsolver++"),
    },
    "ancestral": {
        "k-diffusion": k_diffusion("euler_ancestral", noisy=True), "azula": azula("DDPM"),
        "diffusers": diffusers_scheduler("EulerAncestralDiscrete"),
    },
    "dpm_1s": {"azula": azula("Ito")},
    "UniPC": {"diffusers": diffusers_scheduler("UniPCMultistep", zero=False)},
}  # fmt: skip
"""By our name; UniPC has no counterpart here and stands for what a user could have instead."""
LIBRARIES = ("ours", "k-diffusion", "azula", "diffusers")


@dataclass
class Counted:
    """A denoiser that counts its evaluations; ours come in tiles, parts of an evaluation."""

    denoiser: Denoiser
    rows: int
    parts: float = 0.0

    def __call__(self, y: Tensor, sigma: Tensor) -> Tensor:
        """The denoiser, counted."""
        self.parts += min(1.0, len(y) / self.rows)
        return self.denoiser(y, sigma)

    @property
    def evaluations(self) -> int:
        """How many so far."""
        return round(self.parts)


def grid(name: str, library: str, evaluations: int) -> Tensor:
    """Sigmas for this number of evaluations (or one less: two per step, one in the last).

    The scheduler of single steps in diffusers evaluates at every second of its own sigmas: 2K - 1
    of them on the Karras grid hold the K of the others.
    """
    two = name in ("heun", "dpmpp_2s")
    steps = evaluations // 2 if two else evaluations
    if name == "dpmpp_2s" and library == "diffusers":
        steps = 2 * steps - 1
    return time_grid(PROCESS, steps).times


def row(target: Target, name: str, evaluations: int) -> Row:
    error: dict[str, float] = {}
    made: dict[str, int] = {}
    for library in LIBRARIES:
        run = ours(name) if library == "ours" and name != "UniPC" else CONTESTS[name].get(library)
        if run is not None:
            sigmas = grid(name, library, evaluations)
            counted = Counted(target.denoiser, target.rows(sigmas))
            error[library] = target.w2(run, counted, sigmas)
            made[library] = counted.evaluations
    fewest = min(made.values())
    more = "".join(f", {lib} {count}" for lib, count in made.items() if count > fewest)
    assert made.get("ours", fewest) == fewest, f"{name}: unequal evaluations {made}"
    shown = {library: f"{error[library]:.4g}" if library in error else "" for library in LIBRARIES}
    return {"target": target.name, "solver": name, "evaluations": f"{fewest}{more}", **shown,
            "ours against the best": _verdict(error)}  # fmt: skip


def _verdict(error: dict[str, float]) -> str:
    """Equal means to a tenth of a per cent: some peers compute in float32."""
    if "ours" not in error:
        return "not here"
    ratio = error["ours"] / min(value for library, value in error.items() if library != "ours")
    if abs(ratio - 1) < 1e-3:
        return "equal"
    return f"{'smaller' if ratio < 1 else 'larger'} by {100 * abs(ratio - 1):.2g} %"


def accuracy() -> list[Row]:
    torch.set_default_dtype(torch.float64)
    targets = (GaussianTarget(), ModesTarget("two modes"),
               ModesTarget("two modes, network", share=0.05))  # fmt: skip
    rows = [row(target, name, n) for target in targets for n in EVALUATIONS for name in CONTESTS]
    torch.set_default_dtype(torch.float32)
    return rows


def main() -> None:
    warnings.simplefilter("ignore")  # the peers' own
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    rows = accuracy()
    print(table(rows), "\n")
    speed = overhead()
    print(table(speed))
    save("sampler_peers", rows, PEER_PACKAGES)
    save("sampler_overhead", speed, PEER_PACKAGES)


if __name__ == "__main__":
    main()
