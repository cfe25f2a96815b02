import json

import pytest
import torch
from tests.at_work import at_work

from wasserscore.core.errors import InputError
from wasserscore.experiment.folder import RunFolder, save_array

DESCRIPTION = {"config": {"seed": 0, "network": {"steps": 5}}, "data_sha256": "ab"}


def contents(path):
    return {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_a_stage_is_computed_once_and_comes_back_as_json(tmp_path):
    folder = RunFolder.create(tmp_path / "run", DESCRIPTION)
    calls = []
    first = folder.stage("one", lambda: calls.append(1) or {"x": (1, float("nan"))})
    again = RunFolder.create(tmp_path / "run", DESCRIPTION)
    assert first == again.stage("one", lambda: calls.append(1)) == {"x": [1, None]}
    assert calls == [1]
    assert folder.seconds == again.seconds


def test_an_interrupted_stage_leaves_nothing(tmp_path):
    folder = RunFolder.create(tmp_path / "run", DESCRIPTION)

    def stop():
        raise KeyboardInterrupt

    before = contents(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        folder.stage("one", stop)
    assert contents(tmp_path / "run") == before
    assert folder.stage("one", lambda: 3) == 3


def test_a_different_configuration_is_refused_and_shown(tmp_path):
    RunFolder.create(tmp_path / "run", DESCRIPTION).stage("one", lambda: 1)
    before = contents(tmp_path / "run")
    other = {"config": {"seed": 1, "network": {"steps": 9}}, "data_sha256": "ab"}
    with pytest.raises(InputError) as refusal:
        RunFolder.create(tmp_path / "run", other)
    assert "config.seed: 0 there, 1 here" in str(refusal.value)
    assert "config.network.steps: 5 there, 9 here" in str(refusal.value)
    assert contents(tmp_path / "run") == before


@pytest.mark.parametrize("kept", ["checkpoints/step-00000001/state.json", "models/a/model.json"])
def test_where_nothing_is_done_yet_another_run_may_begin(tmp_path, kept):
    """Data that were refused in the first stage, repaired, are other data: their run goes on."""
    RunFolder.create(tmp_path, DESCRIPTION)
    repaired = DESCRIPTION | {"data_sha256": "cd"}
    assert RunFolder.create(tmp_path, repaired).description == repaired
    (tmp_path / kept).parent.mkdir(parents=True)
    (tmp_path / kept).write_text("{}")
    with pytest.raises(InputError, match="'cd' there, 'ab' here"):
        RunFolder.create(tmp_path, DESCRIPTION)


def test_a_finished_run_is_refused_unless_forced(tmp_path):
    folder = RunFolder.create(tmp_path / "run", DESCRIPTION)
    folder.stage("one", lambda: 1)
    folder.finish({"schema_version": 1})
    assert folder.finished
    assert not (folder.path / "stages").exists()
    before = contents(tmp_path / "run")
    with pytest.raises(InputError, match=r"a finished one; open .*report.html, or --force"):
        RunFolder.create(tmp_path / "run", DESCRIPTION)
    assert contents(tmp_path / "run") == before
    (tmp_path / "run" / "mine.txt").write_text("keep")
    fresh = RunFolder.create(tmp_path / "run", DESCRIPTION, force=True)
    assert not fresh.finished
    assert set(contents(tmp_path / "run")) == {p.relative_to(tmp_path / "run") for p in (
        tmp_path / "run" / "mine.txt", tmp_path / "run" / "config.json",
        tmp_path / "run" / ".lock")}  # fmt: skip


def test_other_peoples_folders_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    for force in (False, True):
        with pytest.raises(InputError, match="must be new, empty or a run folder"):
            RunFolder.create(tmp_path, DESCRIPTION, force=force)
    with pytest.raises(InputError, match="must be a folder, got a file"):
        RunFolder.create(tmp_path / "thesis.tex", DESCRIPTION)
    with pytest.raises(InputError, match="must be a run folder"):
        RunFolder.open(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_that_another_process_makes_is_left_alone_until_it_is_gone(tmp_path):
    path = tmp_path / "run"
    RunFolder.create(path, DESCRIPTION)
    with at_work(path) as other:
        before = contents(path)
        for force in (False, True):
            with pytest.raises(InputError, match=r"run must be free of other processes"):
                RunFolder.create(path, DESCRIPTION, force=force)
        assert contents(path) == before
        assert RunFolder.open(path).description == DESCRIPTION
        other.kill()
    assert RunFolder.create(path, DESCRIPTION).stage("one", lambda: 1) == 1


def test_who_makes_a_run_has_its_folder_until_it_is_finished(tmp_path):
    folder = RunFolder.create(tmp_path / "run", DESCRIPTION)
    assert (folder.path / ".lock").exists()
    folder.finish({"schema_version": 1})
    assert not (folder.path / ".lock").exists()
    with at_work(folder.path):
        pass


def test_a_kill_before_the_first_file_leaves_a_folder_that_is_free(tmp_path):
    with at_work(tmp_path / "run") as other:
        other.kill()
    RunFolder.create(tmp_path / "run", DESCRIPTION)


def test_damaged_files_are_named(tmp_path):
    folder = RunFolder.create(tmp_path / "run", DESCRIPTION)
    (folder.path / "results.json").write_text('{"a": ')
    with pytest.raises(InputError, match=r"results.json cannot be read"):
        folder.read("results.json")
    with pytest.raises(InputError, match="the samples of network cannot be read"):
        folder.samples("network")
    (folder.path / "config.json").write_text("[]")
    with pytest.raises(InputError, match="another configuration"):
        RunFolder.create(tmp_path / "run", DESCRIPTION)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("spoilt", ["stages/fit.json", "models/a/model.json"])
@pytest.mark.parametrize("damage", [None, "[1]", '{"half": '])
def test_a_stage_whose_files_are_not_as_it_left_them_is_computed_again(tmp_path, spoilt, damage):
    """So are samples and models that were lost, cut off or another model's."""

    def stage(value):
        def compute():
            write(tmp_path / "models/a/model.json", "model")
            return value

        return RunFolder.create(tmp_path, DESCRIPTION).stage("fit", compute, makes="models/a")

    assert stage(1) == 1
    write(tmp_path / "models/a/notes.txt", "of the user")
    assert stage(2) == 1
    (tmp_path / spoilt).unlink()
    if damage is not None:
        write(tmp_path / spoilt, damage)
    assert stage(3) == 3
    assert (tmp_path / "models/a/model.json").read_text() == "model"
    assert stage(4) == 3


def test_of_several_ranks_one_looks_at_what_a_stage_left(tmp_path, monkeypatch):
    run = RunFolder.create(tmp_path, {})
    run.stage("fit", lambda: 1, together=True)
    place = "wasserscore.experiment.folder"
    monkeypatch.setattr(f"{place}.rank", lambda: 1)
    monkeypatch.setattr(f"{place}.publish", lambda _: {"there": torch.tensor(True)})
    monkeypatch.setattr(f"{place}.RunFolder._complete", lambda *_: pytest.fail("second look"))
    assert run.stage("fit", lambda: 2, together=True) == 1


def test_samples_round_trip(tmp_path):
    folder = RunFolder.create(tmp_path / "run", DESCRIPTION)
    x = torch.arange(6.0).reshape(3, 2).double()
    save_array(folder.path / "samples" / "a.npy", x)
    assert torch.equal(folder.samples("a"), x)
    assert json.loads((folder.path / "config.json").read_text()) == DESCRIPTION
