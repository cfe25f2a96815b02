"""The whole journey from one validated description, and estimators in scikit-learn's manner."""

from wasserscore.experiment.compare import compare as compare
from wasserscore.experiment.compare_config import CompareConfig as CompareConfig
from wasserscore.experiment.compare_records import Cell as Cell
from wasserscore.experiment.compare_records import Mean as Mean
from wasserscore.experiment.compare_records import Yardstick as Yardstick
from wasserscore.experiment.compare_result import Comparison as Comparison
from wasserscore.experiment.config import RunConfig as RunConfig
from wasserscore.experiment.config import read_config as read_config
from wasserscore.experiment.estimators import KernelGenerator as KernelGenerator
from wasserscore.experiment.estimators import NetworkGenerator as NetworkGenerator
from wasserscore.experiment.estimators import OneStepGenerator as OneStepGenerator
from wasserscore.experiment.estimators import ProximalGenerator as ProximalGenerator
from wasserscore.experiment.run import run as run
