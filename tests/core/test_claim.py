"""One process at a time in a folder, seen by real processes."""

import threading

import pytest
from tests.at_work import at_work

from wasserscore.core.claim import LOCK, Claim
from wasserscore.core.errors import InputError


def test_a_file_is_no_folder_to_work_in(tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(InputError, match="must be a folder, got a file"):
        Claim(tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "x"


def test_a_second_process_is_told_which_folder_and_what_to_do(tmp_path):
    folder = tmp_path / "deep" / "run"
    with at_work(folder) as other, pytest.raises(InputError) as refusal:
        Claim(folder)
    assert str(refusal.value) == (
        f"{folder} must be free of other processes, got one that is at work in it; "
        "wait until it ends, stop it, or choose another folder"
    )
    assert other.returncode == 0
    assert list(folder.iterdir()) == []
    Claim(folder)


def test_a_killed_process_stops_nobody(tmp_path):
    with at_work(tmp_path) as other:
        other.kill()
    assert (tmp_path / LOCK).exists()
    with Claim(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_one_process_may_claim_twice_and_has_it_until_both_let_go(tmp_path):
    outer = Claim(tmp_path)
    with Claim(tmp_path / ".." / tmp_path.name):
        pass
    there = []
    thread = threading.Thread(target=lambda: there.append(Claim(tmp_path)))
    thread.start()
    thread.join()
    del outer
    assert (tmp_path / LOCK).exists()
    there[0].release()
    there[0].release()
    assert list(tmp_path.iterdir()) == []
    with at_work(tmp_path):
        pass
