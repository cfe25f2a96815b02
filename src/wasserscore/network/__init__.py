"""Plain modules for scores and generators; they know no process."""

from wasserscore.network.dit import DiT as DiT
from wasserscore.network.latent import LatentMLP as LatentMLP
from wasserscore.network.logit import LogitMLP as LogitMLP
from wasserscore.network.mlp import MLP as MLP
from wasserscore.network.perceptron import Perceptron as Perceptron
from wasserscore.network.registry import built as built
from wasserscore.network.registry import describe as describe
from wasserscore.network.registry import filled as filled
from wasserscore.network.registry import rebuild as rebuild
from wasserscore.network.registry import register as register
from wasserscore.network.unet import UNet as UNet
