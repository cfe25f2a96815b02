"""What checkpoints say of a generator's run: the same words as ever, so that old runs continue."""

import pytest
from tests.flow.test_distillation import teacher
from tests.flow.test_generator import Y

from wasserscore.flow import distil_generator, train_generator
from wasserscore.flow.named import DRIFTS
from wasserscore.network import LatentMLP
from wasserscore.score.vault import read_pair

NETWORK = {"class": "LatentMLP", "latent": 3, "shape": [2], "width": 8, "depth": 1}
COMMON = {"batch_size": 16, "ema": 0.999, "gradient_clip": 1.0, "learning_rate": 0.001,
          "latent": 3, "network": NETWORK, "seed": 0, "steps": 2}  # fmt: skip
DRIFT = {
    "objective": "generator", "step": 1.0, "weight_decay": 0.01, "scaling": None,
    "features": ["identity"],
    "drift": repr(DRIFTS["score_difference"]),
}  # fmt: skip
DISTIL = {
    "objective": "distillation", "method": "dmd", "turns": 2, "critic_rate": 0.001,
    "critic": teacher().network.config(), "process": teacher().process.to_dict(),
}  # fmt: skip


@pytest.mark.parametrize(
    ("train", "of", "given", "own"),
    [
        (train_generator, Y, {}, DRIFT),
        (train_generator, Y, {"step": 0.5, "weight_decay": 0.0, "drift": "drifting"},
         {"step": 0.5, "weight_decay": 0.0,
          "drift": "Drifting(temperatures=(0.02, 0.05, 0.2), floor=0.0)"}),
        (distil_generator, teacher(), {}, DISTIL),
        (distil_generator, teacher(), {"method": "sid", "turns": 1},
         {"method": "sid", "turns": 1, "alpha": 1.2}),
    ],
)  # fmt: skip
def test_a_run_is_known_by_the_words_it_always_was(train, of, given, own, tmp_path):
    network = LatentMLP(3, 2, 8, 1)
    train(network, of, **given, steps=2, batch_size=16, out=tmp_path)
    _, document = read_pair(tmp_path / "checkpoints" / "step-00000002" / "state.safetensors")
    first = DRIFT if train is train_generator else DISTIL
    of_data = {"bandwidths_sha256", "data_sha256", "feature_units"}
    measured = {"initial_weights_sha256"} | (of_data if first is DRIFT else {"teacher_sha256"})
    found = document["config"]
    assert measured < found.keys()
    assert {k: x for k, x in found.items() if k not in measured} == COMMON | first | own
