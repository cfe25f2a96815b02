"""Training by two processes is the training of one."""

import copy

import pytest
import torch
from tests.torchrun import kept_alike, torchrun

from wasserscore.core.errors import InputError
from wasserscore.network import MLP
from wasserscore.process import EDM
from wasserscore.training import post_hoc, train_score
from wasserscore.training.sharded import shard

SETTINGS = {"steps": 30, "batch_size": 15, "checkpoint_every": 7, "seed": 3}
DATA = torch.randn(50, 3, generator=torch.Generator().manual_seed(9))


def weights(score):
    return score.network.state_dict()


@pytest.mark.parametrize(
    ("objective", "accumulate"), [("denoising", 2), ("denoising", 15), ("implicit_hutchinson", 7)]
)
def test_a_batch_in_parts_gives_the_same_update(objective, accumulate):
    logs = {1: [], accumulate: []}
    found = {
        parts: train_score(
            MLP(3, 8, 1, seed=1).double(), DATA, EDM(), **SETTINGS, objective=objective,
            accumulate=parts,
            callbacks=[lambda k, found, parts=parts: logs[parts].append(found["loss"])],
        )
        for parts in (1, accumulate)
    }  # fmt: skip
    whole, parts = weights(found[1]), weights(found[accumulate])
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, atol=1e-10, rtol=0)
    assert logs[accumulate] == pytest.approx(logs[1], rel=1e-10)
    assert not all(torch.equal(parts[name], value) for name, value in whole.items())


@pytest.mark.parametrize("accumulate", [0, 16])
def test_impossible_parts_are_refused(accumulate):
    with pytest.raises(InputError, match="accumulate must be an integer from 1 to"):
        train_score(MLP(3, 8, 1), DATA, EDM(), **SETTINGS, accumulate=accumulate)


SCRIPT = """
    import os, signal
    from wasserscore.core.errors import InputError
    from wasserscore.network import MLP
    from wasserscore.process import EDM
    from wasserscore.training import train_score
    data = torch.randn(50, 3, generator=torch.Generator().manual_seed(9))

    def trained(**options):
        network = MLP(3, 8, 1, seed=1 + rank())  # the first one's weights count
        settings = dict(steps=30, batch_size=15, checkpoint_every=7, seed=3) | options
        return train_score(network, data, EDM(), **settings).network.state_dict()

    steps = []
    whole = trained(callbacks=[lambda k, logs: steps.append(k)])
    assert steps == (list(range(1, 31)) if rank() == 0 else [])

    def stopped(**options):
        try:
            trained(out=folder / "run", **options)
        except KeyboardInterrupt:
            return
        raise AssertionError("not stopped")

    def interrupt(step, logs):
        if step == 5:
            raise KeyboardInterrupt

    class Struck:  # the other rank alone has a signal, in the middle of step 12 (or 7 from 5)
        calls = 0

        def __call__(self, network):
            Struck.calls += 1
            if rank() == 1 and Struck.calls == 8:  # once before the first step
                os.kill(os.getpid(), signal.SIGINT)

        def to_dict(self):
            return {}

    checkpoints = folder / "run" / "checkpoints"
    seen = lambda: sorted(int(p.name[5:]) for p in checkpoints.glob("step-*"))  # beside a claim
    stopped(callbacks=[interrupt])
    assert seen() == [5]
    stopped(regularise=Struck())
    assert seen() == [7, 12], seen()
    resumed = trained(out=folder / "run")
    try:
        trained(batch_size=1)
    except InputError as error:
        assert "a point for each of 2 shares" in str(error)
    else:
        raise AssertionError("one point cannot be shared")
    keep(**{f"whole/{k}": v for k, v in whole.items()},
         **{f"resumed/{k}": v for k, v in resumed.items()})
"""


@pytest.mark.slow
def test_two_ranks_train_as_one_stop_together_and_resume(tmp_path):
    torchrun(SCRIPT, tmp_path)
    zero = kept_alike(tmp_path)
    alone = weights(train_score(MLP(3, 8, 1, seed=1), DATA, EDM(), **SETTINGS))
    for name, value in alone.items():
        torch.testing.assert_close(zero[f"whole/{name}"], value, atol=1e-5, rtol=0)
        assert torch.equal(zero[f"whole/{name}"], zero[f"resumed/{name}"])


IN_PARTS = """
    from torch.distributed.tensor import DTensor
    from wasserscore.network import UNet
    from wasserscore.process import EDM
    from wasserscore.training import Augmentation, train_score
    from wasserscore.training.averaged import Averaged
    data = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(9))
    logs, held, begin = {}, [], Averaged.begin

    def counted(self, *given, **options):  # numbers that this rank holds, of all there are
        done = begin(self, *given, **options)
        states = [*self.weights.values()]
        states += [x for average in self.averages.values() for x in average.parameters()]
        states += [m for s in self.optimizer.state.values() for m in s.values() if m.ndim]
        mine = sum((x.to_local() if isinstance(x, DTensor) else x).numel() for x in states)
        held.append(mine / sum(x.numel() for x in states))
        return done

    Averaged.begin = counted

    def trained(name, **options):
        # the first one's weights count
        network = UNet((1, 8, 8), 8, (1, 2), 1, (4,), seed=1 + rank(), classes=3,
                       condition=1)
        block = network.down[1]
        block.second.weight = block.first.weight  # inside a block they may be one
        settings = dict(steps=8, batch_size=6, checkpoint_every=3, seed=3, accumulate=2,
                        labels=torch.arange(20) % 3, holdout=data[:5], measure_every=4,
                        ema=(0.5, 0.9), augment=Augmentation(("flip",), 1.0),
                        callbacks=[lambda k, found: logs.setdefault(name, []).append(found)])
        return train_score(network, data, EDM(), **settings | options).network.state_dict()

    whole, parts = trained("whole"), trained("parts", shard=True)
    assert held[0] == 1.0
    assert abs(held[-1] - 0.5) < 0.02, held  # weights, their average and both moments
    if rank() == 0:
        for one, other in zip(logs["whole"], logs["parts"], strict=True):
            assert one.keys() == other.keys()
            for key in one:
                assert abs(one[key] - other[key]) <= 1e-4 * abs(one[key]), (key, one, other)

    def interrupt(step, found):
        if step == 4:
            raise KeyboardInterrupt

    try:
        trained("stopped", shard=True, out=folder / "run", callbacks=[interrupt])
    except KeyboardInterrupt:
        pass
    again = trained("again", shard=True, out=folder / "run")
    try:
        trained("stopped", out=folder / "other", callbacks=[interrupt])
    except KeyboardInterrupt:
        pass
    mixed = trained("mixed", shard=True, out=folder / "other")  # a checkpoint knows no parts
    assert rank() > 0 or len(logs["again"]) == len(logs["mixed"]) == 4
    keep(**{f"{name}/{k}": v.clone() for name, found in (("whole", whole), ("parts", parts),
            ("again", again), ("mixed", mixed)) for k, v in found.items()})
"""


@pytest.mark.slow
def test_weights_in_parts_train_as_whole_ones_and_resume(tmp_path):
    torchrun(IN_PARTS, tmp_path)
    zero = kept_alike(tmp_path)
    names = [name.removeprefix("whole/") for name in zero if name.startswith("whole/")]
    for name in names:
        for other in ("parts", "again", "mixed"):
            torch.testing.assert_close(
                zero[f"{other}/{name}"], zero[f"whole/{name}"], atol=1e-5, rtol=0
            )
        assert torch.equal(zero[f"parts/{name}"], zero[f"again/{name}"])


@pytest.mark.parametrize(
    "given", [{"compile": True}, {"regularise": "clip"}, {"objective": "implicit"}]
)
def test_weights_in_parts_are_trained_by_denoising_alone(given):
    with pytest.raises(InputError, match=f"denoising alone, got shard with {next(iter(given))}"):
        train_score(MLP(3, 8, 1), DATA, EDM(), **SETTINGS, shard=True, **given)


def test_blocks_in_parts_that_share_a_weight_are_refused():
    network = MLP(3, 8, 2)
    one, other = network.blocks
    other.into.weight = one.into.weight
    with pytest.raises(InputError, match="must not share them with others, got one that does, a "
                       "ResidualBlock; leave out shard="):  # fmt: skip
        shard(network)


def test_alone_parts_are_the_whole():
    alone = train_score(MLP(3, 8, 1, seed=1), DATA, EDM(), **SETTINGS)
    other = train_score(MLP(3, 8, 1, seed=1), DATA, EDM(), **SETTINGS, shard=True)
    assert all(torch.equal(weights(other)[name], value) for name, value in weights(alone).items())


MEASURED = """
    from wasserscore.network import MLP
    from wasserscore.process import EDM
    from wasserscore.sampling import sample
    from wasserscore.training import post_hoc, train_score
    data = torch.randn(50, 3, generator=torch.Generator().manual_seed(9))

    def trained(name, **options):
        asked, logs = [], []

        def measure(score):
            weights = score.network.state_dict()
            asked.append({name: x.clone() for name, x in weights.items()})
            x = sample(score, 70, steps=3)  # ranks share it
            return {"spread": float(x.std()), "own": 0.5 if rank() == 0 else float("nan")}

        network = MLP(3, 8, 1, seed=1 + rank())
        score = train_score(network, data, EDM(), steps=8, batch_size=15, seed=3, holdout=data[:9],
                            ema=(0.9, 0.2), learning_rate=0.1, decay="constant", measure=measure,
                            measure_every=3, callbacks=[lambda k, found: logs.append(found)],
                            out=folder / name, ema_widths=(0.1,), **options)
        assert len(asked) == 3
        assert not asked[-1]["last.weight"].equal(asked[0]["last.weight"])
        last = score.network.state_dict()
        assert all(x.equal(last[name]) for name, x in asked[-1].items())  # what comes out is asked
        assert (rank(), len(logs)) in ((0, 8), (1, 0))
        if rank() == 0:
            assert [k + 1 for k, found in enumerate(logs) if "own" in found] == [3, 6, 8]
            assert all(found.get("own", 0.5) == 0.5 for found in logs)
        numbers = [found["spread"] for found in logs if "spread" in found]
        asked.append(post_hoc(score, folder / name, width=0.1).network.state_dict())
        return {f"{k}/{name}": x for k, w in enumerate(asked) for name, x in w.items()}, numbers

    (whole, numbers), (parts, others) = trained("whole"), trained("parts", shard=True)
    for one, other in zip(numbers, others, strict=True):
        assert abs(one - other) < 1e-4
    keep(**{f"{name}/{k}": x for name, found in (("whole", whole), ("parts", parts))
            for k, x in found.items()})
"""


@pytest.mark.slow
def test_the_whole_average_of_weights_in_parts_is_measured(tmp_path):
    torchrun(MEASURED, tmp_path)
    zero = kept_alike(tmp_path)
    asked = []
    alone = train_score(
        MLP(3, 8, 1, seed=1), DATA, EDM(), steps=8, batch_size=15, seed=3, holdout=DATA[:9],
        ema=(0.9, 0.2), learning_rate=0.1, decay="constant", measure_every=3,
        measure=lambda score: asked.append(copy.deepcopy(score.network.state_dict())) or {},
        out=tmp_path / "alone", ema_widths=(0.1,),
    )  # fmt: skip
    asked.append(weights(post_hoc(alone, tmp_path / "alone", width=0.1)))
    assert alone.ema == 0.2  # neither the first average nor the weights in training
    for k, one in enumerate(asked):
        for name, value in one.items():
            for kept in ("whole", "parts"):
                found = zero[f"{kept}/{k}/{name}"]
                torch.testing.assert_close(found, value, atol=1e-5, rtol=0)
