"""Distances: two clouds (or their parameters) in, an ``Estimate`` with units out.

=======================  =====================================  =================================
name                     value                                  time, memory for n points a side
=======================  =====================================  =================================
``w2``                   W2, exact                              about n^2.5; 41 bytes a pair
``sinkhorn_divergence``  W2 *squared*, blurred and debiased     n^2 an iteration; the clouds
``sliced_w2``            W2 of projections, root mean square    n log n a direction; the clouds
``mmd``                  *squared*, of a Gaussian kernel        n^2; the clouds
``energy``               root of the energy distance squared    n^2; the clouds
``ksd``                  *squared*; a cloud and a score         n^2; the cloud
``w2_gaussian``          W2 of two Gaussians                    d^3
``gelbrich``             the same of two clouds' moments:       n d^2
                         a lower bound of W2
``frechet``              its square                             n d^2
``prdc``                 precision, recall, density, coverage   n^2; the clouds
=======================  =====================================  =================================

Between finite samples none of them is zero: ``with_floor`` prints beside a value what fresh data
would give.
"""

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
