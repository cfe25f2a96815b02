"""Fits of closed-form scores: proximal kernel mixtures, kernel densities, Gaussians."""

from wasserscore.proximal.backward import BackwardProximal as BackwardProximal
from wasserscore.proximal.classes import ClassMixtures as ClassMixtures
from wasserscore.proximal.classes import fit_classes as fit_classes
from wasserscore.proximal.correlated import fit_correlated as fit_correlated
from wasserscore.proximal.fit import fit_proximal as fit_proximal
from wasserscore.proximal.gaussian import fit_gaussian as fit_gaussian
from wasserscore.proximal.groups import fit_groups as fit_groups
from wasserscore.proximal.kernel_density import fit_kernel as fit_kernel
