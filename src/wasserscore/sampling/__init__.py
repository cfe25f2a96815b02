"""Samplers: reverse-time laws, solvers, time grids."""

from wasserscore.sampling.adaptive import adaptive as adaptive
from wasserscore.sampling.churn import heun_churn as heun_churn
from wasserscore.sampling.corrector import predictor_corrector as predictor_corrector
from wasserscore.sampling.grids import time_grid as time_grid
from wasserscore.sampling.law import Law as Law
from wasserscore.sampling.likelihood import Likelihood as Likelihood
from wasserscore.sampling.likelihood import log_likelihood as log_likelihood
from wasserscore.sampling.run import RowNoise as RowNoise
from wasserscore.sampling.run import sample as sample
from wasserscore.sampling.sampler import Sampler as Sampler
from wasserscore.sampling.solver import Solver as Solver
from wasserscore.sampling.table import solver as solver
from wasserscore.sampling.table import solvers as solvers
