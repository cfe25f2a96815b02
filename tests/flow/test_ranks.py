"""A generator trained, or distilled, by two processes is that of one."""

import pytest
import torch
from tests.torchrun import kept_alike, torchrun

from wasserscore.core.errors import InputError
from wasserscore.flow import (
    Adversary,
    PrincipalComponents,
    distil_generator,
    identity,
    train_generator,
)
from wasserscore.network import MLP, LatentMLP, LogitMLP
from wasserscore.process import EDM
from wasserscore.score import NetworkScore

SETTINGS = {"steps": 30, "batch_size": 15, "checkpoint_every": 7, "seed": 3}
DATA = torch.randn(50, 3, generator=torch.Generator().manual_seed(9))
KINDS = {
    "score_difference": lambda: {"features": [identity, PrincipalComponents.fit(DATA, 2)]},
    "drifting": lambda: {"drift": "drifting"},
    "sinkhorn": lambda: {"drift": "sinkhorn"},
    "adversary": lambda: {"drift": Adversary(LogitMLP(3, 8, 1))},
}


def resumed(made, kind, out, other):
    """What ``made`` gives of a kind that was stopped at step 12; another refuses one point."""

    def interrupt(step, logs):
        if step == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(kind, out=out, callbacks=[interrupt])
    with pytest.raises(InputError, match="a point for each of 2 shares"):
        made(other, batch_size=1)
    return made(kind, out=out)


def like_one(zero, kind, law):
    """What two ranks have is what one has, up to rounding."""
    for name, value in law.network.state_dict().items():
        torch.testing.assert_close(zero[f"{kind}/{name}"], value, atol=1e-5, rtol=0)


def like_resumed(zero, kind):
    """And bit for bit what they have of a run that was stopped."""
    found = {name: value for name, value in zero.items() if name.startswith(f"{kind}/")}
    assert found
    for name, value in found.items():
        assert torch.equal(value, zero[name.replace(kind, "resumed", 1)])


SCRIPT = """
    from tests.flow.test_ranks import DATA, KINDS, SETTINGS, resumed
    from wasserscore.flow import train_generator
    from wasserscore.flow.generator import DriftTask
    from wasserscore.network import LatentMLP
    seen, passed = [], LatentMLP.forward

    def watched(self, z):
        seen.append(len(z))
        return passed(self, z)

    def trained(kind, **options):
        network = LatentMLP(2, 3, 8, 1, seed=1 + rank())  # the first one's weights count
        law = train_generator(network, DATA, **KINDS[kind](), **SETTINGS | options)
        return law.network.state_dict()

    steps = []
    found = {kind: trained(kind) for kind in KINDS}
    LatentMLP.forward = watched
    again = trained("sinkhorn", bandwidths=0.5, callbacks=[lambda k, logs: steps.append(k)])
    LatentMLP.forward = passed
    assert seen == [7 + rank()] * 30, seen
    assert steps == (list(range(1, 31)) if rank() == 0 else [])

    found["resumed"] = resumed(trained, "sinkhorn", folder / "run", "drifting")
    keep(**{f"{kind}/{k}": v for kind, law in found.items() for k, v in law.items()})
"""


@pytest.mark.slow
def test_two_ranks_train_a_generator_as_one(tmp_path):
    torchrun(SCRIPT, tmp_path)
    zero = kept_alike(tmp_path)
    for kind, options in KINDS.items():
        alone = train_generator(LatentMLP(2, 3, 8, 1, seed=1), DATA, **options(), **SETTINGS)
        like_one(zero, kind, alone)
    like_resumed(zero, "sinkhorn")


METHODS = {"dmd": {"turns": 2}, "sid": {"turns": 1}}
TEACHER = NetworkScore(MLP(3, 8, 1, seed=5), EDM(sigma_max=80.0), data_std=0.8)

DISTILLED = """
    from tests.flow.test_ranks import METHODS, SETTINGS, TEACHER, resumed
    from wasserscore.flow import distil_generator
    from wasserscore.network import LatentMLP
    seen, passed = [], LatentMLP.forward

    def watched(self, z):
        seen.append(len(z))
        return passed(self, z)

    def distilled(method, **options):
        network = LatentMLP(2, 3, 8, 1, seed=1 + rank())  # the first one's weights count
        law = distil_generator(network, TEACHER, method=method,
                               **SETTINGS | METHODS[method] | options)
        return law.network.state_dict()

    LatentMLP.forward = watched
    found = {method: distilled(method) for method in METHODS}
    assert seen == [7 + rank()] * (90 + 60), seen
    LatentMLP.forward = passed

    found["resumed"] = resumed(distilled, "sid", folder / "run", "dmd")
    keep(**{f"{kind}/{k}": v for kind, law in found.items() for k, v in law.items()})
"""


@pytest.mark.slow
def test_two_ranks_distil_a_generator_as_one(tmp_path):
    torchrun(DISTILLED, tmp_path)
    zero = kept_alike(tmp_path)
    for method, options in METHODS.items():
        alone = distil_generator(LatentMLP(2, 3, 8, 1, seed=1), TEACHER, method=method,
                                 **SETTINGS, **options)  # fmt: skip
        like_one(zero, method, alone)
    like_resumed(zero, "sid")
