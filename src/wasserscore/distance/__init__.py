"""Distances: two clouds (or their parameters) in, an ``Estimate`` with units out."""

from wasserscore.distance.energy import energy as energy
from wasserscore.distance.exact import w2 as w2
from wasserscore.distance.exact import w2_squared_and_plan as w2_squared_and_plan
from wasserscore.distance.floor import FlooredDistance as FlooredDistance
from wasserscore.distance.floor import NoiseFloor as NoiseFloor
from wasserscore.distance.floor import noise_floor as noise_floor
from wasserscore.distance.floor import with_floor as with_floor
from wasserscore.distance.gaussian import frechet as frechet
from wasserscore.distance.gaussian import gelbrich as gelbrich
from wasserscore.distance.gaussian import w2_gaussian as w2_gaussian
from wasserscore.distance.mmd import median_bandwidth as median_bandwidth
from wasserscore.distance.mmd import mmd as mmd
from wasserscore.distance.prdc import PRDC as PRDC
from wasserscore.distance.prdc import prdc as prdc
from wasserscore.distance.sinkhorn import SinkhornEstimate as SinkhornEstimate
from wasserscore.distance.sinkhorn import sinkhorn_divergence as sinkhorn_divergence
from wasserscore.distance.sliced import sliced_w2 as sliced_w2
from wasserscore.distance.stein import ksd as ksd
