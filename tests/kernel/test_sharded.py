"""Kernel sums over keys that two ranks hold, beside those over all keys."""

import pytest
import torch
from safetensors.torch import load_file
from tests.torchrun import torchrun

from wasserscore.core.errors import InputError
from wasserscore.kernel import Keys, sharded_mean

CASES = {
    # name: (dtype, sigma, shift of the cloud, distance of the queries from it, tolerance)
    "float64": ("float64", 0.7, 0.0, 0.0, 1e-10),
    "exact": ("float64", 1e-4, 10.0, 0.0, 1e-10),
    "float32": ("float32", 4.0, 0.0, 0.0, 1e-6),
    "far": ("float32", 141.0, 0.0, 2e4, 3e-6),  # log sums near -10,000, 1e-3 apart in float32
}
SCRIPT = """
    from tests.kernel.test_sharded import CASES
    from wasserscore.core.distributed import total
    from wasserscore.core.errors import InputError
    from wasserscore.kernel import sharded_mean, softmax_mean

    generator = torch.Generator().manual_seed(5)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    N, OWN = 700, (slice(0, 250), slice(250, 700))
    kept = {}

    def derived(found, x):
        weights = torch.linspace(0.5, 2, found.mean.numel(), dtype=x.dtype)
        goal = (found.mean * weights.view_as(found.mean)).sum() + found.log_sum.square().mean()
        return torch.autograd.grad(goal, x)[0]

    for name, (dtype, sigma, shift, away, _) in CASES.items():
        dtype = getattr(torch, dtype)
        y = (draw(N, 5) + shift).to(dtype)
        x = (y[::7] + sigma * draw(100, 5) + away * torch.eye(5)[0]).to(dtype)
        widths = sigma * torch.linspace(0.9, 1.1, 100, dtype=torch.float64)
        values, logits = draw(N, 3).to(dtype), draw(N).to(dtype)
        logits[::3] = -torch.inf
        for kind, queries, keywords in (
            ("plain", x, {}),
            ("weighted", x, {"values": values, "log_weights": logits}),
            ("one_out", y.clone(), {"log_weights": logits}),
        ):
            mine = {k: v[OWN[rank()]] for k, v in keywords.items()}
            options = {"leave_one_out": kind == "one_out"}
            width = float(widths[0]) if kind == "one_out" else widths
            one, two = (queries.clone().requires_grad_() for _ in range(2))
            found = sharded_mean(one, y[OWN[rank()]], width, **mine, **options)
            truth = softmax_mean(two, y, width, **keywords, **options)
            for part, a in (("mean", found.mean), ("log_sum", found.log_sum), ("ess", found.ess)):
                kept[f"{name}/{kind}/{part}"] = a
            for part, a in (("mean", truth.mean), ("log_sum", truth.log_sum)):
                kept[f"{name}/{kind}/{part}/truth"] = a
            apart = (queries.double()[:, None] - y.double()).square().sum(2)
            logit = -apart / 2 / torch.as_tensor(width, dtype=torch.float64).reshape(-1, 1) ** 2
            logit += keywords.get("log_weights", torch.zeros(N)).double()
            if kind == "one_out":
                logit.fill_diagonal_(-torch.inf)
            w = torch.softmax(logit, 1)
            kept[f"{name}/{kind}/ess/truth"] = 1 / w.square().sum(1)
            kept[f"{name}/{kind}/slope"] = derived(found, one)
            kept[f"{name}/{kind}/slope/truth"] = derived(truth, two)

    for queries, keys in ((torch.zeros(5, 2), torch.ones(4 - rank(), 2)), (torch.zeros(4, 2),
                          torch.ones(1 + 2 * rank(), 2))):
        try:
            sharded_mean(queries, keys, 1.0, leave_one_out=True)
        except InputError as error:
            assert "as many queries as all ranks" in str(error) or "on every rank" in str(error)
        else:
            raise AssertionError("refused on every rank")
    keep(**kept)
"""


@pytest.mark.slow
def test_two_shards_give_the_sums_of_all_keys(tmp_path):
    torchrun(SCRIPT, tmp_path)
    zero, one = (load_file(tmp_path / f"{r}.safetensors") for r in (0, 1))
    for name, (*_, tolerance) in CASES.items():
        for kind in ("plain", "weighted", "one_out"):
            for part in ("mean", "log_sum", "ess", "slope"):
                key = f"{name}/{kind}/{part}"
                assert torch.equal(zero[key], one[key]), key
                truth = zero[f"{key}/truth"].to(zero[key])
                size = truth.abs().amax().clamp_min(1)
                error = float((zero[key] - truth).abs().max() / size)
                allowed = tolerance if part in ("mean", "log_sum") else 10 * tolerance
                assert error < allowed, (key, error)


def test_one_process_holds_the_only_shard():
    y = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    w = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64) * (-y[:, 0].square() / 2).exp()
    found = sharded_mean(y[:1], Keys(y, torch.tensor([1.0, 2.0, 5.0]).log()), 1.0)
    torch.testing.assert_close(found.mean[0], (w @ y) / w.sum())
    torch.testing.assert_close(found.log_sum[0], w.sum().log())
    torch.testing.assert_close(found.ess[0], w.sum() ** 2 / w.square().sum())
    with pytest.raises(InputError, match="as many queries as all ranks have keys, got 2 queries"):
        sharded_mean(y[:2], y, 1.0, leave_one_out=True)
    with pytest.raises(InputError, match="one row per key"):
        sharded_mean(y, y, 1.0, values=y[:2])
