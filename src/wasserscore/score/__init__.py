"""Scores: s(x, t) = grad log p_t(x), one file each."""

from wasserscore.score.azula import from_azula as from_azula
from wasserscore.score.denoiser import DenoiserScore as DenoiserScore
from wasserscore.score.diffusers import from_diffusers as from_diffusers
from wasserscore.score.diffusers import to_diffusers as to_diffusers
from wasserscore.score.edm import from_edm as from_edm
from wasserscore.score.empirical import EmpiricalScore as EmpiricalScore
from wasserscore.score.gaussian import GaussianScore as GaussianScore
from wasserscore.score.grouped import GroupedScore as GroupedScore
from wasserscore.score.grouped import ProximalLaw as ProximalLaw
from wasserscore.score.latent import LatentScore as LatentScore
from wasserscore.score.mixture import MixtureScore as MixtureScore
from wasserscore.score.network import NetworkScore as NetworkScore
from wasserscore.score.proximal import ProximalScore as ProximalScore
from wasserscore.score.pushforward import Pushforward as Pushforward
from wasserscore.score.store import load as load
from wasserscore.score.store import save as save
