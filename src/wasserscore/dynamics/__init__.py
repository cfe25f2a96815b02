"""Movers of points: laws come in, steps carry them along a time grid; knows no process."""

from wasserscore.dynamics.adams import AdamsBashforth as AdamsBashforth
from wasserscore.dynamics.adams import log_adams_weights as log_adams_weights
from wasserscore.dynamics.affine import Affine as Affine
from wasserscore.dynamics.affine import Coefficients as Coefficients
from wasserscore.dynamics.embedded import DORMAND_PRINCE as DORMAND_PRINCE
from wasserscore.dynamics.embedded import Adaptive as Adaptive
from wasserscore.dynamics.embedded import Tableau as Tableau
from wasserscore.dynamics.euler import EulerMaruyama as EulerMaruyama
from wasserscore.dynamics.grid import TimeGrid as TimeGrid
from wasserscore.dynamics.heun import Heun as Heun
from wasserscore.dynamics.relaxation import RelaxationMidpoint as RelaxationMidpoint
from wasserscore.dynamics.relaxation import RelaxationMultistep as RelaxationMultistep
from wasserscore.dynamics.runge_kutta import RungeKutta4 as RungeKutta4
from wasserscore.dynamics.sde import SDE as SDE
from wasserscore.dynamics.sde import Step as Step
from wasserscore.dynamics.simulate import Info as Info
from wasserscore.dynamics.simulate import simulate as simulate
from wasserscore.dynamics.weighted import weighted_sum as weighted_sum
