"""What we want to sample: data sets, analytic targets, files, scaling, lattices."""

from wasserscore.data import targets as targets
from wasserscore.data.dataset import Dataset as Dataset
from wasserscore.data.dataset import split as split
from wasserscore.data.lattice import dequantise as dequantise
from wasserscore.data.lattice import lattice_step as lattice_step
from wasserscore.data.layout import Layout as Layout
from wasserscore.data.load import EMBEDDED as EMBEDDED
from wasserscore.data.load import load as load
from wasserscore.data.scaling import Scaling as Scaling
from wasserscore.data.tables import Codec as Codec
from wasserscore.data.tables import Overrides as Overrides
from wasserscore.data.tables import read_frame as read_frame
from wasserscore.data.tables import read_overrides as read_overrides
from wasserscore.data.tables import write_frame as write_frame
