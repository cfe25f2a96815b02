r"""How far an error of the score carries: from every evaluation to the end of a run.

On Gaussian data a run is affine in all that enters it, so an error :math:`e_j` of evaluation j
shifts the end by :math:`V \operatorname{diag}(a_j) V^T e_j` with eigenvectors V. Directions do not
mix: one pass backward through the solver's own steps gives :math:`a_j` for every evaluation.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.modes import gradients
from wasserscore.core.typing import Vector
from wasserscore.dynamics import TimeGrid
from wasserscore.process import Process
from wasserscore.sampling import Law, Solver


def error_response(
    process: Process, solver: Solver, grid: TimeGrid, eigenvalues: Vector, eta: float
) -> Float[Tensor, "evaluations d"]:
    """What one unit of error in each evaluation of the score adds to the end, per direction.

    Args:
        process: The forward process.
        solver: The solver.
        grid: The times.
        eigenvalues: Variances of the data, ``(d,)``.
        eta: Stochasticity.
    """
    values, errors = eigenvalues.to(torch.float64), list[Tensor]()

    def score(x: Tensor, t: float) -> Tensor:
        errors.append(torch.zeros_like(values, requires_grad=True))
        variance = process.alpha(t) ** 2 * values + process.variance(t)
        out: Tensor = errors[-1] - x / variance
        return out

    step = solver.start(Law(score, process, eta, grid))
    x = torch.zeros(1, values.numel(), dtype=torch.float64)
    calm = torch.zeros(*((solver.noises,) if solver.noises > 1 else ()), *x.shape, dtype=x.dtype)
    noisy = eta > 0 or solver.noises > 1  # a corrector draws at any stochasticity
    with gradients("a plan for a score with an error"):
        for _, t, s in grid.pairs():
            x = step(x, t, s, calm if noisy else None)
        found = torch.autograd.grad(x.sum(), errors, allow_unused=True, materialize_grads=True)
    return torch.stack(found)
