"""Particles that flow from a source to a target along a score difference, and its relatives."""

from wasserscore.flow.annealing import Annealing as Annealing
from wasserscore.flow.baselines import MMD as MMD
from wasserscore.flow.baselines import SVGD as SVGD
from wasserscore.flow.baselines import SlicedTransport as SlicedTransport
from wasserscore.flow.baselines import langevin as langevin
from wasserscore.flow.difference import Drift as Drift
from wasserscore.flow.difference import ScoreDifference as ScoreDifference
from wasserscore.flow.flow import ScoreDifferenceFlow as ScoreDifferenceFlow
from wasserscore.flow.kernels import Gaussian as Gaussian
from wasserscore.flow.kernels import InverseMultiquadric as InverseMultiquadric
from wasserscore.flow.kernels import Laplace as Laplace
from wasserscore.flow.kernels import StudentT as StudentT
from wasserscore.flow.kernels import Widths as Widths
from wasserscore.flow.links import diffusion_step as diffusion_step
from wasserscore.flow.modes import ModeQuality as ModeQuality
from wasserscore.flow.modes import mode_quality as mode_quality
from wasserscore.flow.particles import ParticleFlow as ParticleFlow
from wasserscore.flow.sides import CloudSide as CloudSide
from wasserscore.flow.sides import PlainSide as PlainSide
from wasserscore.flow.sides import ScoreSide as ScoreSide
from wasserscore.flow.sides import normal_side as normal_side
from wasserscore.flow.sinkhorn import SinkhornDivergence as SinkhornDivergence
from wasserscore.flow.state import FlowRecord as FlowRecord
from wasserscore.flow.state import FlowState as FlowState
from wasserscore.flow.state import Info as Info
