"""Saved pipelines named with ``--model``, beside ``--data``."""

import json
import re

import numpy as np
import pytest
import torch
from tests.experiment.test_pipelines import call, pipeline

from wasserscore.experiment.pipelines import Pipeline, pipeline_model

pytest.importorskip("diffusers")
HOW = ("--solver", "ddim", "--steps", 2)


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A pipeline of three classes of 1 x 4 x 4 images, and two files of grey levels."""
    folder = tmp_path_factory.mktemp("there")
    pipeline(1, num_class_embeds=3).save_pretrained(folder / "ddpm")
    grey = np.random.default_rng(0).integers(0, 256, (80, 4, 4)).astype(float)
    np.save(folder / "grey.npy", grey[:40])
    np.save(folder / "unseen.npy", grey[40:])
    return folder


def named(there):
    return "--model", f"diffusers:{there / 'ddpm'}", "--data", there / "grey.npy", "--label", 1


def test_a_pipeline_may_be_certified_by_option(there):
    found = call("certify", *named(there), *HOW, "-n", 16, "--json")
    known = call("certify", named(there)[1], *named(there)[2:], *HOW, "-n", 16, "--json")
    assert found.exit_code == 0, found.output
    assert found.stdout == known.stdout


def test_a_plan_finds_its_data_behind_the_option(there, monkeypatch):
    asked = []
    monkeypatch.setattr("wasserscore.experiment.planning.plan_steps",
                        lambda *given, **options: asked.append((given, options)))  # fmt: skip
    call("plan", *named(there), "--target-w2", 5)
    ((given, options),) = asked
    assert given == (str(there / "grey.npy"), 5.0)
    assert options["model"] == named(there)[1]
    assert options["label"] == 1


def test_an_audit_draws_its_rows_and_keeps_them_beside_the_page(there):
    words = (
        "audit",
        *named(there),
        *HOW,
        "-n",
        30,
        "--holdout",
        there / "unseen.npy",
        "--seed",
        3,
    )
    found = call(*words, "--out", there / "page", "--json")
    assert found.exit_code == 0, found.output
    rows = torch.from_numpy(np.load(there / "page" / "generated.npy"))
    model, _ = pipeline_model(named(there)[1], str(there / "grey.npy"), label=1)
    drawn = model.sample(30, seed=3, solver="ddim", steps=2)
    assert torch.equal(rows.flatten(1), drawn)
    assert "<h1>ddpm, label 1 (ddim, 2 steps)" in (there / "page" / "audit.html").read_text()
    files = ("audit", there / "grey.npy", there / "page" / "generated.npy")
    same = call(*files, "--holdout", there / "unseen.npy", "--seed", 3, "--json")
    assert json.loads(found.stdout) == json.loads(same.stdout)
    before = set(there.iterdir())
    assert call(*words).exit_code == 0
    assert set(there.iterdir()) == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--holdout", "missing.npy"), "no such file, folder or embedded data set"),
        (("--holdout", "digits"), "must have the 16 columns of grey, got 64"),
        (("--schema", "missing.toml"), "the schema missing.toml cannot be read"),
        (("--holdout", "unseen", "--target", "a"), "a target needs a table in memory, got grey"),
    ],
)
def test_an_audit_draws_nothing_before_all_else_is_read(there, monkeypatch, more, message):
    """Rows of a large model take hours."""
    drawn = []
    monkeypatch.setattr(Pipeline, "sample", lambda *given, **how: drawn.append(given))
    words = [there / "unseen.npy" if word == "unseen" else word for word in more]
    refused = call("audit", *named(there), *HOW, *words, "--out", there / "refused")
    assert refused.exit_code == 2
    assert re.search(message, refused.stderr)
    assert not drawn
    assert not (there / "refused").exists()


REFUSED = [
    (("plan", "--target-w2", 1), "SOURCE must be given once, got none"),
    (("plan", "a.npy", "--data", "b.npy", "--target-w2", 1), "give it as SOURCE"),
    (("plan", "a", "-m", "diffusers:p", "--data", "b", "--target-w2", 1), "SOURCE a and --data b"),
    (("certify",), "a run folder or a pipeline must be named"),
    (("certify", "runs/a", "-m", "diffusers:p"), "leave one of them out"),
    (("audit",), "REAL must be given once"),
    (("audit", "a.npy"), "FAKE must be given"),
    (("certify", "-m", "network"), "got --model network without RUN"),
    (("audit", "a.npy", "b.npy", "--steps", 2), "rows of files are not drawn, got --steps"),
    (("audit", "a.npy", "b.npy", "--n", 9, "--solver", "heun"), "got --n, --solver"),
    (("audit", "a.npy", "b.npy", "--label", 2), "only a pipeline needs data or a label"),
    (("audit", "a.npy", "b.npy", "-m", "diffusers:p"), "got b.npy and diffusers:p"),
    (("audit", "a.npy", "-m", "network"), "a model to audit is a saved pipeline"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_what_is_missing_or_twice_is_said(words, message):
    refused = call(*words)
    assert refused.exit_code == 2
    assert message in refused.stderr
