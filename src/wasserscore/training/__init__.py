"""Training: one loop for every objective, checkpoints that survive anything."""

from wasserscore.training.augmentation import Augmentation as Augmentation
from wasserscore.training.bound import Bound as Bound
from wasserscore.training.bound import Tabulated as Tabulated
from wasserscore.training.fit import train_score as train_score
from wasserscore.training.importance import Importance as Importance
from wasserscore.training.jsonl import JsonLines as JsonLines
from wasserscore.training.loop import DivergedError as DivergedError
from wasserscore.training.posthoc import post_hoc as post_hoc
from wasserscore.training.regularise import SpectralCap as SpectralCap
from wasserscore.training.regularise import WeightClip as WeightClip
from wasserscore.training.tensorboard import TensorBoard as TensorBoard
from wasserscore.training.weighting import LogNormal as LogNormal
from wasserscore.training.weighting import MinSNR as MinSNR
from wasserscore.training.weighting import ScoreMatching as ScoreMatching
