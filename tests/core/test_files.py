import json
import os

import pytest

from wasserscore.core.errors import InputError
from wasserscore.core.files import require_folder, write_atomically, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "a.json"
    write_atomically(path, b"old")
    monkeypatch.setattr("os.fsync", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


def test_a_file_where_a_folder_should_go_is_said(tmp_path):
    (tmp_path / "mine").write_text("x")
    require_folder(tmp_path / "new" / "folder")
    with pytest.raises(InputError, match="mine must be a folder, got a file; choose another"):
        require_folder(tmp_path / "mine")
    with pytest.raises(InputError, match="a path through the file"):
        require_folder(tmp_path / "mine" / "folder")


def test_a_folder_that_may_not_be_written_in_is_said(tmp_path, monkeypatch):
    locked = tmp_path / "locked"
    locked.mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: path != locked or not mode & os.W_OK)
    require_folder(tmp_path / "mine")
    for path in (locked, locked / "mine" / "page"):
        with pytest.raises(InputError, match=r"to write in, got no permission in .*locked;"):
            require_folder(path)


def test_bytes_of_a_name_that_are_no_letters_are_kept_in_json_and_marked_in_text(tmp_path):
    write_json(tmp_path / "a.json", {"x": "t\udce4b é"})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"x": "t\udce4b é"}
    write_text(tmp_path / "a.html", "t\udce4b é")
    assert (tmp_path / "a.html").read_bytes() == b"t?b \xc3\xa9"


def test_json_is_strict(tmp_path):
    write_json(tmp_path / "a.json", {"x": float("nan"), "y": "é"})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": None, "y": "é"}
