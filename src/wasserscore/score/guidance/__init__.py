"""Guidance: scores that lean, towards a class, away from a worse model, or to a measurement."""

from wasserscore.score.guidance.closed_form import exact_posterior as exact_posterior
from wasserscore.score.guidance.extrapolated import ClassifierFree as ClassifierFree
from wasserscore.score.guidance.extrapolated import Guided as Guided
from wasserscore.score.guidance.operators import LinearMap as LinearMap
from wasserscore.score.guidance.operators import Mask as Mask
from wasserscore.score.guidance.operators import MatrixMap as MatrixMap
from wasserscore.score.guidance.operators import Operator as Operator
from wasserscore.score.guidance.operators import Separable as Separable
from wasserscore.score.guidance.posterior import Posterior as Posterior
