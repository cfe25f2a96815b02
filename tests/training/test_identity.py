"""What checkpoints say of their run: the same words as ever, so that old runs continue."""

import numpy as np
import pytest
import torch
from tests.training.test_fit import data, network
from tests.training.test_pictures import images, unet

from wasserscore.network import MLP
from wasserscore.process import EDM
from wasserscore.score.vault import read_pair
from wasserscore.training import train_score

ALWAYS = {
    "objective": "denoising", "weighting": "edm", "mean": -0.5, "std": 1.2,
    "steps": 2, "batch_size": 8, "learning_rate": 3e-3, "ema": 0.999, "weight_decay": 0.01,
    "gradient_clip": 1.0, "prediction": "velocity", "data_std": 1.0, "seed": 0, "scaling": None,
    "process": EDM().to_dict(), "network": {"class": "MLP", "dim": 3, "width": 8, "depth": 1},
}  # fmt: skip
EMAS = (0.5, 0.9)
DIGESTS = {"initial_weights_sha256", "data_sha256"}


@pytest.mark.parametrize(
    ("given", "more", "digests"),
    [
        ({}, {}, set()),
        ({"warmup": 0, "decay": "cosine", "accumulate": 4, "keep": 1, "measure_every": 1}, {},
         set()),
        ({"warmup": 1, "decay": "linear", "precision": "bfloat16"},
         {"warmup": 1, "decay": "linear", "precision": "bfloat16"}, set()),
        ({"ema": [0.5]}, {"ema": 0.5}, set()),
        ({"ema": EMAS, "holdout": data(5)}, {"ema": list(EMAS)}, set()),
        ({"ema_widths": (0.05, 0.1)}, {"ema_widths": [0.05, 0.1]}, set()),
        ({"ema_widths": 0.1}, {"ema_widths": [0.1]}, set()),
        ({"ema": np.array(EMAS), "holdout": data(5)}, {"ema": list(EMAS)}, set()),
        ({"regularise": "clip"}, {"regularise": "clip", "bound": 0.1}, set()),
        ({"network": MLP(3, 8, 1, classes=2, condition=3), "labels": torch.arange(50) % 2,
          "conditions": data()},
         {"label_dropout": 0.1, "network": MLP(3, 8, 1, classes=2, condition=3).config()},
         {"labels_sha256", "conditions_sha256"}),
        ({"network": unet(condition=1), "data": images(), "augment": "flip"},
         {"augment": ["flip"], "augment_probability": 0.12,
          "network": unet(condition=1).config()}, set()),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("unchecked")
def test_a_run_is_known_by_the_words_it_always_was(given, more, digests, tmp_path):
    settings = {"network": network(), "data": data(), "process": EDM(), "data_std": 1.0,
                "steps": 2, "batch_size": 8}  # fmt: skip
    train_score(**settings | given, out=tmp_path)
    _, document = read_pair(tmp_path / "checkpoints" / "step-00000002" / "state.safetensors")
    config = document["config"]
    assert {name for name in config if name.endswith("sha256")} == DIGESTS | digests
    assert {name: x for name, x in config.items() if "sha256" not in name} == ALWAYS | more
