"""The whole journey on sixty rows: complete, repeatable, interruptible."""

import json
import math

import numpy as np
import pytest
import torch
from tests.experiment import tiny

from wasserscore.core.errors import InputError
from wasserscore.experiment import run, verdict
from wasserscore.experiment.run import start

NAMES = ("empirical", "proximal", "network")
"""What a run fits unless told otherwise."""


def read(out):
    return json.loads((out / "results.json").read_text(), parse_constant=pytest.fail)


def without_timings(results):
    return {key: value for key, value in results.items() if key != "timings"}


def numbers(value):
    if isinstance(value, dict):
        return [n for v in value.values() for n in numbers(v)]
    if isinstance(value, list):
        return [n for v in value for n in numbers(v)]
    return [value] if isinstance(value, float) else []


def test_everything_is_there(finished):
    out, results = finished
    assert read(out) == json.loads(json.dumps(results))
    assert results["schema_version"] == 1
    assert [m["name"] for m in results["models"]] == list(NAMES)
    assert results["data"]["n_train"] == results["data"]["n_holdout"] == 30
    assert results["data"]["constant_columns"] == ["planet"]
    assert all(math.isfinite(n) for n in numbers(results))
    for name in NAMES:
        assert (out / "models" / name / "model.safetensors").is_file()
        assert np.load(out / "samples" / f"{name}.npy").shape == (30, 4)
    columns = results["models"][1]["table"]["columns"]  # of plain numbers, too
    assert [c["name"] for c in columns] == ["height", "weight", "width"]
    page = (out / "report.html").read_text()
    assert "Column by column" in page
    assert "planet" in page
    assert results["data"]["split"] == "Split at random, row by row."
    assert results["data"]["split"] in page
    assert all(sentence.split(":")[0] in page for sentence in results["verdict"])
    known = (results["models"], results["floor"]["w2"], results["baselines"])
    assert results["verdict"] == verdict.overall(*known)
    left = {p.name for p in out.iterdir()}
    assert left == {"config.json", "data.json", "split.json", "models", "samples", "figures",
                    "results.json", "report.html"}  # fmt: skip


def test_samples_speak_the_language_of_the_data(finished, table):
    from wasserscore.data import load

    out, _ = finished
    split = json.loads((out / "split.json").read_text())
    train = load(table).points[split["train"]]
    assert sorted(split["train"] + split["holdout"]) == list(range(60))
    for name in NAMES:
        rows = torch.from_numpy(np.load(out / "samples" / f"{name}.npy"))
        assert bool((rows[:, 2] == 7.0).all())
        assert bool((rows >= train.amin(0)).all() and (rows <= train.amax(0)).all())


def test_the_empirical_score_is_caught_and_has_no_density(finished):
    _, results = finished
    empirical, proximal, _ = results["models"]
    assert empirical["audit"]["verdict"] == "memorized"
    assert empirical["metrics"]["copy_rate"]["value"] >= 0.99
    assert empirical["metrics"]["log_likelihood"] is None
    assert math.isfinite(proximal["metrics"]["log_likelihood"]["value"])
    assert max(empirical["neighbours"]["distances"]) < 1e-3


def test_the_gaussian_baseline_agrees_with_scipy(finished, table):
    """Held-out log-likelihood of the fitted Gaussian, recomputed from the split."""
    from scipy.stats import multivariate_normal

    from wasserscore.data import load

    out, results = finished
    split = json.loads((out / "split.json").read_text())
    points = load(table).varying.numpy()
    train, holdout = points[split["train"]], points[split["holdout"]]
    fitted = results["baselines"][1]
    assert fitted["name"] == "gaussian"
    truth = multivariate_normal(train.mean(0), np.cov(train.T)).logpdf(holdout).mean()
    # 30 rows for 3 columns: the fit shrinks the covariance or divides by n, no more than that.
    assert fitted["metrics"]["log_likelihood"]["value"] == pytest.approx(truth, abs=0.3)


@pytest.mark.slow
def test_same_seed_same_numbers(finished, table, tmp_path):
    again = run(tiny.config(table), tmp_path / "again")
    assert without_timings(again) == without_timings(finished[1])


@pytest.mark.slow
def test_another_seed_gives_other_numbers(finished, table, tmp_path):
    _, results = finished
    config = tiny.config(table, seed=1, models=("empirical",), certificate=None, curve=())
    other = run(config, tmp_path / "other")
    assert other["floor"] != results["floor"]
    assert other["models"][0]["certificate"] is None
    assert other["steps"] is None
    assert "--seed 1" in other["provenance"]["command"]


LATE = ("fit proximal", "sample network", "certify proximal", "steps")


@pytest.mark.parametrize(
    "stage", ["floor", *(pytest.param(name, marks=pytest.mark.slow) for name in LATE)]
)
def test_an_interrupted_run_continues_to_the_same_numbers(finished, table, tmp_path, stage):
    _, results = finished
    seen = []

    def interrupt(name, done, total):
        seen.append(name)
        if name == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny.config(table), tmp_path / "run", progress=interrupt)
    assert not (tmp_path / "run" / "results.json").exists()
    assert not list((tmp_path / "run").rglob("*.part"))
    for file in (*tmp_path.glob("run/samples/*"), *tmp_path.glob("run/models/*/*.json")):
        file.write_text("")  # a failing disk
    continued = run(tiny.config(table), tmp_path / "run")
    assert without_timings(continued) == without_timings(results)


@pytest.mark.slow
def test_an_interruption_while_training_resumes_from_the_checkpoint(finished, table, tmp_path):
    _, results = finished

    def interrupt(name, done, total):
        if name == "fit network" and done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny.config(table), tmp_path / "run", progress=interrupt)
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000007"]
    trained = []
    continued = run(
        tiny.config(table), tmp_path / "run",
        progress=lambda name, done, total: trained.append(done) if name == "fit network" else None,
    )  # fmt: skip
    assert [done for done in trained if total_steps(done)] == [8, 9, 10, 11, 12]
    assert without_timings(continued) == without_timings(results)


def total_steps(done):
    """Training steps, without the 0 and 1 that open and close the stage."""
    return done > 1


def test_nothing_is_written_for_input_that_cannot_be_used(table, tmp_path):
    small = tmp_path / "small.csv"
    small.write_text("a,b\n" + "\n".join(f"{i},{i * i}" for i in range(20)))
    with pytest.raises(InputError, match="at least 24 rows, got 20"):
        start(tiny.config(small), tmp_path / "run")
    with pytest.raises(InputError, match="no such file"):
        start(tiny.config(tmp_path / "missing.csv"), tmp_path / "run")
    with pytest.raises(InputError, match="solver"):
        start(tiny.config(table, solver="magic"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("columns", [1, 2])
def test_two_different_rows_are_refused_before_the_folder(tmp_path, columns):
    flags = np.random.default_rng(0).integers(0, 2, 60)
    lines = [",".join([str(flag)] * columns) for flag in flags]
    path, out = tmp_path / "flags.csv", tmp_path / "out"
    path.write_text("\n".join([",".join("ab"[:columns]), *lines]) + "\n")
    with pytest.raises(
        InputError, match="at least 3 different training rows, got 2; give more col"
    ):
        start(tiny.config(path), out)
    assert not out.exists()


def test_changed_data_are_noticed(tmp_path):
    source = tiny.write_table(tmp_path / "table.csv")
    start(tiny.config(source), tmp_path / "run").folder.stage("one", lambda: 1)
    source.write_text(source.read_text().replace("\n", "\n1,100,7,1\n", 1))
    with pytest.raises(InputError, match="data_sha256"):
        start(tiny.config(source), tmp_path / "run")
