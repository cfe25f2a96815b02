"""Planner: which process, solver, grid and how many steps for a target W2."""

from wasserscore.planner.plan import plan as plan
from wasserscore.planner.recursion import gaussian_recursion as gaussian_recursion
from wasserscore.planner.result import Option as Option
from wasserscore.planner.result import Plan as Plan
from wasserscore.planner.split import Split as Split
from wasserscore.planner.surrogate import Surrogate as Surrogate
