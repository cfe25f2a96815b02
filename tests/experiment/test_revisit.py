import json
import shutil

import pytest
from tests.experiment import tiny

from wasserscore.core.errors import InputError
from wasserscore.experiment import planning, revisit


def test_fitted_models_by_name_and_by_default(finished):
    out, _ = finished
    assert revisit.fitted(out, None)[0] == "network"
    assert revisit.fitted(out, "proximal")[1].has_density
    with pytest.raises(InputError, match="has the fitted models empirical, proximal, network"):
        revisit.fitted(out, "gan")
    with pytest.raises(InputError, match="must be a run folder"):
        revisit.fitted(out / "models", None)


def test_what_is_not_there_yet_is_said(finished, tmp_path):
    out, _ = finished
    (tmp_path / "begun").mkdir()
    shutil.copy(out / "config.json", tmp_path / "begun")
    with pytest.raises(InputError, match=r"must have a fitted model, got none; continue it"):
        revisit.fitted(tmp_path / "begun", None)
    with pytest.raises(InputError, match=r"a saved model is .* got no .*none/model.json"):
        revisit.certify_model(tmp_path / "none", None)


def test_rows_do_not_depend_on_how_many_are_drawn(finished):
    import torch

    out, _ = finished
    for name in ("empirical", "proximal", "network"):
        _, model = revisit.fitted(out, name)
        many, few = (model.sample(n, seed=3, steps=3) for n in (9, 4))
        assert torch.equal(many[:4], few)
        assert not torch.equal(few, model.sample(4, seed=4, steps=3))


@pytest.mark.slow
def test_the_certificate_of_the_run_can_be_made_again(finished):
    out, results = finished
    again = revisit.certify_model(
        out, "proximal", solver="heun", steps=4, n=16, seed=0, level=0.95
    )
    kept = results["models"][1]["certificate"]
    assert again.upper.value == pytest.approx(kept["upper"]["value"], rel=1e-12)
    wide = revisit.certify_model(out, "proximal", steps=4, n=16, bandwidth=1.0)
    assert wide.upper.value != again.upper.value


def test_no_smoothing_is_a_bandwidth(finished):
    out, _ = finished
    train = revisit.training_rows(out, seed=0)
    score = revisit.scored(out, "proximal")[1].score
    law = lambda width: revisit.reference_law(train, "smoothed", score, width)
    assert law(0.0).bandwidth == 0.0
    assert law(None).bandwidth > 0.0


def test_plan_for_data_and_for_a_run(finished, table):
    out, _ = finished
    looser, tighter = (planning.plan_steps(str(out), target) for target in (2.0, 1.0))
    assert looser.evaluations <= tighter.evaluations
    assert planning.plan_steps(str(table), 2.0).steps >= 1


def test_the_page_can_be_written_again(finished, tmp_path):
    out, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    page = (copy / "report.html").read_bytes()
    (copy / "report.html").unlink()
    shutil.rmtree(copy / "figures")
    assert revisit.rewrite_report(copy).read_bytes() == page
    (copy / "results.json").unlink()
    with pytest.raises(InputError, match="must be a finished run"):
        revisit.rewrite_report(copy)


def test_data_that_changed_since_the_run_are_refused(tmp_path):
    from wasserscore.experiment.run import start

    source = tiny.write_table(tmp_path / "table.csv")
    start(tiny.config(source), tmp_path / "run")
    source.write_text(source.read_text().replace("\n", "\n1,100,7,1\n", 1))
    with pytest.raises(InputError, match="must be what the run was made with"):
        revisit.journey(tmp_path / "run")


@pytest.mark.parametrize("lost", ["table.csv", "schema.toml"])
def test_a_run_seen_from_elsewhere_says_where_its_files_are(tmp_path, monkeypatch, lost):
    from wasserscore.experiment.run import start

    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path)
    tiny.write_table(tmp_path / "table.csv")
    (tmp_path / "schema.toml").write_text("")
    start(tiny.config("table.csv", table_schema="schema.toml"), "run")
    assert revisit.journey("run").config.source == "table.csv"
    monkeypatch.chdir(tmp_path / "away")
    kept = "schema.toml" if lost == "table.csv" else "table.csv"
    shutil.copy(tmp_path / kept, kept)
    with pytest.raises(
        InputError, match=f"run was made of '{lost}', .* no such file .* from here"
    ):
        revisit.journey("../run")


def test_a_config_that_describes_nothing(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"config": 3}))
    with pytest.raises(InputError, match="must describe a run"):
        revisit.journey(tmp_path)
