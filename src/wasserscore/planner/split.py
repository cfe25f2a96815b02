r"""Where the distance of the samples comes from: the start, the steps, the score.

Errors of the start and of the steps carry signs and can cancel, so that a horizon exists at which
a coarse sampler looks perfect. They are therefore kept apart, per eigen-direction and with sign:

.. math:: \text{start}_i = \lim_{K \to \infty} \text{error}_i, \qquad
          \text{discretisation}_i = \text{error}_i - \text{start}_i.
"""

from dataclasses import dataclass

from wasserscore.core.results import Record
from wasserscore.core.typing import Vector
from wasserscore.dynamics import TimeGrid
from wasserscore.planner.recursion import gaussian_recursion
from wasserscore.planner.response import error_response
from wasserscore.planner.surrogate import Surrogate
from wasserscore.process import Process
from wasserscore.sampling import Solver


@dataclass(frozen=True)
class Split(Record):
    """A predicted W2 and its parts, in data units.

    Args:
        start: Norm of the error that infinitely many steps would leave (prior against p_T).
        discretisation: Norm of the difference the finite steps make.
        score: Bound on the shift that score errors of the stated size can cause.
        w2: W2 of start and steps together, plus ``score``. It is at most the sum of the three.
            Without the score exact for the surrogate, but for scales that differ by column: then
            an upper bound in the variances (:meth:`Surrogate.norm`).
    """

    start: float
    discretisation: float
    score: float
    w2: float

    @property
    def apart(self) -> float:
        """Start plus discretisation without the help of cancellation."""
        return self.start + self.discretisation


def start_error(surrogate: Surrogate, noise_to_signal: float, eta: float) -> tuple[Vector, Vector]:
    r"""Signed errors of mean and standard deviation that the prior leaves, without step errors.

    .. math:: -\mu_i\, r_i^{(1+\eta^2)/2}, \qquad
              \sqrt{l_i}\,\bigl(\sqrt{1 - r_i^{1+\eta^2}} - 1\bigr), \qquad r_i = l_i/(l_i + S_T)

    Assumes: the exact Gaussian score and the law with stochasticity ``eta``. For ``eta = 1`` it is
    :cite:p:`gao2025`, section 5; the general form is our derivation.
    """
    values = surrogate.eigenvalues
    left = (values / (values + noise_to_signal)) ** (1 + eta**2)
    return -surrogate.mean * left.sqrt(), values.sqrt() * ((1 - left).sqrt() - 1)


def split(
    surrogate: Surrogate,
    process: Process,
    solver: Solver,
    grid: TimeGrid,
    *,
    eta: float | None = None,
    score_error: float = 0.0,
) -> Split:
    """The W2 of a sampler on the surrogate, split into its causes.

    Args:
        surrogate: The Gaussian stand-in.
        process: The forward process.
        solver: The solver.
        grid: The times; the start is the prior at ``grid.start``.
        eta: Stochasticity; the solver's default if None.
        score_error: Bound on the L2 norm of the score's error at every evaluation, in the
            coordinates of the process.
    """
    mean, values = surrogate.mean, surrogate.eigenvalues
    stochasticity = solver.eta(eta)
    end_mean, end_variance = gaussian_recursion(
        process, solver, grid, mean, values, eta=stochasticity
    )
    mean_error, std_error = end_mean - mean, end_variance.sqrt() - values.sqrt()
    ratio = float(process.noise_to_signal(grid.start))
    mean_start, std_start = start_error(surrogate, ratio, stochasticity)
    shift = score_cost(surrogate, process, solver, grid, stochasticity, score_error)
    return Split(
        start=surrogate.norm(mean_start, std_start),
        discretisation=surrogate.norm(mean_error - mean_start, std_error - std_start),
        score=shift,
        w2=surrogate.norm(mean_error, std_error) + shift,
    )


def score_cost(
    surrogate: Surrogate,
    process: Process,
    solver: Solver,
    grid: TimeGrid,
    eta: float,
    error: float,
) -> float:
    r"""A bound on the shift, in data units, that score errors of this L2 norm can cause.

    .. math:: \epsilon \, \|D\| \sum_j \max_i |a_{ji}|

    with the response :math:`a_j` of evaluation j and scales D: every evaluation may err anew, in
    the direction that its step carries furthest. It is attained where that is one direction
    throughout, and no scale is larger than its own.
    """
    if error == 0:
        return 0.0
    response = error_response(process, solver, grid, surrogate.eigenvalues, eta)
    return error * surrogate.stretch * float(response.abs().amax(1).sum())
