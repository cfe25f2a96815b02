import pytest
import torch
from tests.training.toy_task import Sum

from wasserscore.core.errors import InputError
from wasserscore.training.checkpoint import Checkpoints


def task(value: float) -> Sum:
    out = Sum()
    out.total, out.count = torch.full((2,), value, dtype=torch.float64), int(value)
    return out


@pytest.fixture
def checkpoints(tmp_path):
    out = Checkpoints(tmp_path / "c", {"rate": 0.1, "steps": 9})
    for step in (1, 2, 3):
        out.write(task(step).state(), step)
    return out


def names(checkpoints):
    return sorted(p.name for p in checkpoints.folder.iterdir())


def test_the_last_two_stay(checkpoints):
    assert names(checkpoints) == ["step-00000002", "step-00000003"]
    found = Sum()
    assert checkpoints.restore(found)[0] == 3
    assert found.count == 3


def test_no_checkpoint_is_step_zero(tmp_path):
    assert Checkpoints(tmp_path / "none", {}).restore(Sum())[0] == 0


@pytest.mark.parametrize("half", ["state.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(checkpoints, half, damage):
    path = checkpoints.folder / "step-00000003" / half
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    else:
        path.unlink()
    found = Sum()
    assert checkpoints.restore(found)[0] == 2
    assert found.count == 2
    checkpoints.write(task(3).state(), 3)
    assert checkpoints.restore(found)[0] == 3


def test_when_none_can_be_read_it_says_so_instead_of_starting_over(checkpoints):
    for step in (2, 3):
        (checkpoints.folder / f"step-0000000{step}" / "state.json").write_text("{")
    for _ in range(2):
        with pytest.raises(InputError, match=r"none: .* not JSON .*; delete that folder to begin"):
            checkpoints.restore(Sum())


def test_a_checkpoint_of_another_name_is_none(checkpoints):
    """Step 3 as step 9, the last one, would be a training that ended after three."""
    (checkpoints.folder / "step-00000003").rename(checkpoints.folder / "step-00000009")
    assert checkpoints.restore(Sum())[0] == 2
    (checkpoints.folder / "step-00000002").rename(checkpoints.folder / "step-00000003")
    with pytest.raises(InputError, match=r"step-00000009 must be of step 9, got 3; delete"):
        checkpoints.restore(Sum())


def test_another_configuration_is_refused_with_the_difference(checkpoints):
    other = Checkpoints(checkpoints.folder, {"rate": 0.2, "seed": 1, "steps": 9})
    with pytest.raises(InputError) as caught:
        other.restore(Sum())
    message = str(caught.value)
    assert "rate was 0.1 and is now 0.2; seed was None and is now 1" in message
    assert "steps" not in message.split("got")[1]
    assert "use another out" in message
    assert names(checkpoints) == ["step-00000002", "step-00000003"]


def test_tensors_that_do_not_fit_are_refused(checkpoints):
    class Other(Sum):
        def load_state(self, tensors):
            raise KeyError("moment\nof inertia")

    with pytest.raises(InputError, match="does not fit, got 'moment") as caught:
        checkpoints.restore(Other())
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_the_old_checkpoints(checkpoints, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        checkpoints.write(task(4).state(), 4)
    monkeypatch.undo()
    assert names(checkpoints) == ["step-00000002", "step-00000003"]
    assert checkpoints.restore(Sum())[0] == 3


def test_leftovers_of_a_killed_writer_are_ignored_and_cleared(checkpoints):
    left = checkpoints.folder / ".unfinished"
    left.mkdir()
    (left / "state.safetensors").write_bytes(b"half")
    assert checkpoints.restore(Sum())[0] == 3
    checkpoints.write(task(4).state(), 4)
    assert names(checkpoints) == ["step-00000003", "step-00000004"]


def test_every_must_be_positive(tmp_path):
    with pytest.raises(InputError, match="checkpoint_every"):
        Checkpoints(tmp_path, {}, every=0)
