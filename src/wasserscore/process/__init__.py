"""Forward processes: from data to noise, with closed-form kernels."""

from wasserscore.process.base import Process as Process
from wasserscore.process.edm import EDM as EDM
from wasserscore.process.families import from_dict as from_dict
from wasserscore.process.linear_sde import LinearSDE as LinearSDE
from wasserscore.process.ou import OU as OU
from wasserscore.process.prior import Prior as Prior
from wasserscore.process.spelling import PRESETS as PRESETS
from wasserscore.process.spelling import from_text as from_text
from wasserscore.process.sub_vp import SubVP as SubVP
from wasserscore.process.ve import VE as VE
from wasserscore.process.vp import VP as VP
