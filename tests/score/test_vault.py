import hashlib
import json
import pickle
import random
import struct
import time
from contextlib import suppress

import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.score.vault import LARGEST_HEADER, read_pair, write_pair


@pytest.fixture
def pair(tmp_path):
    path = tmp_path / "model.safetensors"
    tensors = {"w": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3), "e": torch.empty(0, 2)}
    write_pair(path, tensors, {"class": "X", "config": {"a": [1, 2]}})
    return path


def forge(path, data: bytes) -> None:
    """Put foreign bytes in place, with the checksum that an attacker would write beside them."""
    path.write_bytes(data)
    sidecar = path.with_suffix(".json")
    document = json.loads(sidecar.read_text())
    document["sha256"] = hashlib.sha256(data).hexdigest()
    sidecar.write_text(json.dumps(document))


def safetensors_bytes(header: dict, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def refusal(path) -> str:
    with pytest.raises(InputError) as caught:
        read_pair(path)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 600
    return line


def test_what_is_written_is_read(pair):
    tensors, document = read_pair(pair)
    assert document == {"class": "X", "config": {"a": [1, 2]}}
    assert torch.equal(tensors["w"], torch.arange(6.0).reshape(2, 3))
    assert tensors["n"].item() == 3
    assert tensors["e"].shape == (0, 2)


def test_shared_and_strided_tensors_are_written_whole(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    write_pair(tmp_path / "a.safetensors", {"t": base.T, "row": base[1], "same": base[1]}, {})
    tensors, _ = read_pair(tmp_path / "a.safetensors")
    assert torch.equal(tensors["t"], base.T)
    assert torch.equal(tensors["row"], tensors["same"])


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


def test_a_pickle_under_another_name_is_not_run(pair):
    for protocol in (2, pickle.HIGHEST_PROTOCOL):
        forge(pair, pickle.dumps(Bomb(), protocol=protocol))
        assert "looks like a pickle" in refusal(pair)
    torch.save({"w": torch.zeros(2)}, pair)
    forge(pair, pair.read_bytes())
    assert "looks like a pickle" in refusal(pair)
    forge(pair, pickle.dumps(Bomb(), protocol=0))
    assert "not a safetensors file" in refusal(pair)


@pytest.mark.parametrize("keep", [0, 7, 8, 60, -1])
def test_a_truncated_file_is_refused_with_and_without_a_matching_checksum(pair, keep):
    data = pair.read_bytes()[:keep]
    pair.write_bytes(data)
    assert any(word in refusal(pair) for word in ("truncated", "sha256"))
    forge(pair, data)
    assert any(word in refusal(pair) for word in ("truncated", "not a valid safetensors"))


def test_altered_numbers_are_noticed(pair):
    data = bytearray(pair.read_bytes())
    data[-1] ^= 1
    pair.write_bytes(bytes(data))
    assert "altered or half written" in refusal(pair)


def test_a_giant_header_is_refused_before_it_is_parsed(pair):
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    bomb = safetensors_bytes({f"tensor{i:06}": entry for i in range(100_000)})
    assert len(bomb) > LARGEST_HEADER
    forge(pair, bomb)
    start = time.perf_counter()
    assert "has a header of" in refusal(pair)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]},
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 2**63]},
        {"dtype": "PICKLE", "shape": [2], "data_offsets": [0, 8]},
        "not an entry",
    ],
)
def test_impossible_entries_are_refused(pair, entry):
    forge(pair, safetensors_bytes({"w": entry}, b"\0" * 8))
    assert "not a valid safetensors" in refusal(pair)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused_by_name(pair, bad):
    write_pair(pair, {"w": torch.tensor([1.0, bad])}, {})
    assert "not finite, in 'w'" in refusal(pair)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[1, 2]", "not a JSON object"),
        ("[" * 100_000, "not JSON"),
        ('{"schema_version": 2}', "schema_version 1"),
        ('{"schema_version": NaN}', "NaN is not JSON"),
        ("{}", "schema_version 1"),
        (b"\xff\xfe\x00".decode("latin1"), "not JSON"),
    ],
)
def test_foreign_sidecars_are_refused(pair, text, message):
    pair.with_suffix(".json").write_bytes(text.encode("latin1"))
    assert message in refusal(pair)


def test_missing_halves_are_named(pair):
    data = pair.read_bytes()
    pair.unlink()
    assert f"no {pair}" in refusal(pair)
    pair.write_bytes(data)
    pair.with_suffix(".json").unlink()
    assert f"no {pair.with_suffix('.json')}" in refusal(pair)


def test_a_failed_write_leaves_the_old_pair(pair, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_pair(pair, {"w": torch.zeros(1)}, {})
    monkeypatch.undo()
    assert read_pair(pair)[0]["w"].shape == (2, 3)
    assert sorted(p.name for p in pair.parent.iterdir()) == ["model.json", "model.safetensors"]


def test_fuzzed_files_never_do_more_than_refuse(pair):
    good, dice, survived = pair.read_bytes(), random.Random(0), 0
    for _ in range(300):
        data = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        forge(pair, bytes(data[: dice.choice([len(data), dice.randrange(len(data))])]))
        with suppress(InputError):
            tensors, _ = read_pair(pair)
            survived += 1
            assert all(tensor.numel() <= len(good) for tensor in tensors.values())
    assert survived < 100
