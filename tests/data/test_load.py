"""Every door: what goes in comes out; what cannot go in is refused in one line."""

import gzip
import io
import json
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from PIL import Image

from wasserscore.core.errors import InputError
from wasserscore.data import Layout, Overrides, load

X = np.array([[0.5, 2.0, 1.0], [1.25, -3.0, 1.5], [9.0, 1e-9, 1.75], [0.1, 0.2, 0.3]])


def write(folder, kind):
    path = folder / f"table.{kind}"
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    if kind == "npy":
        np.save(path, X)
    elif kind == "npz":
        np.savez(path, only=X)
    elif kind == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if kind.startswith("tsv") else ",")
    return path


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "csv.gz", "tsv", "tsv.gz", "parquet"])
def test_round_trip(tmp_path, kind):
    data = load(write(tmp_path, kind))
    assert np.array_equal(data.points.numpy(), X)
    assert data.name == "table"
    named = not kind.startswith("np")
    assert data.kind == ("table" if named else "vectors")
    assert data.columns == (("a", "b", "c") if named else ("column_0", "column_1", "column_2"))
    assert data.source == f"file table.{kind}"


def test_csv_without_a_header_and_with_a_byte_order_mark(tmp_path):
    bare = tmp_path / "bare.csv"
    bare.write_text("1,2\n3,4\n5,7\n")
    assert load(bare).points.tolist() == [[1, 2], [3, 4], [5, 7]]
    assert load(bare).columns == ("column_0", "column_1")
    marked = tmp_path / "marked.csv"
    marked.write_bytes(b"\xef\xbb\xbfa,b\r\n1,2\r\n3,4\r\n")
    assert load(marked).columns == ("a", "b")


def test_named_array_of_an_archive(tmp_path):
    np.savez(tmp_path / "two.npz", train=X, test=2 * X)
    assert np.array_equal(load(f"{tmp_path}/two.npz:test").points.numpy(), 2 * X)
    with pytest.raises(InputError, match=r"several arrays, got train, test; say which"):
        load(tmp_path / "two.npz")
    with pytest.raises(InputError, match="no array of that name, got 'val'; choose one of train"):
        load(f"{tmp_path}/two.npz:val")


def test_arrays_tensors_and_frames():
    assert load(X).kind == "vectors"
    assert load(torch.from_numpy(X).float()).points.dtype == torch.float64
    frame = load(pd.DataFrame(X, columns=["a", "b", "c"]))
    assert (frame.kind, frame.columns) == ("table", ("a", "b", "c"))
    assert load(np.random.default_rng(0).random((5, 3, 2))).shape == (3, 2)


def test_tables_of_other_libraries():
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(d=list("uvuv"))
    table = load(pa.Table.from_pandas(frame))
    assert table.columns == load(frame).columns
    assert torch.equal(table.points, load(frame).points)


MIXED = "age,city,income\n30,Bonn,1.5\n31,Ulm,\n40,Bonn,2.5\n"


def test_text_and_gaps_go_through_a_codec(tmp_path):
    (tmp_path / "t.csv").write_text(MIXED)
    data = load(tmp_path / "t.csv")
    assert (data.kind, data.name, data.n) == ("mixed", "t", 3)
    assert data.columns == ("age", "city is Ulm", "income", "income is missing")
    assert data.units == "units of the table's metric"
    frame = data.frame(data.points)
    assert frame.columns.tolist() == ["age", "city", "income"]
    assert frame["city"].tolist() == ["Bonn", "Ulm", "Bonn"]
    assert frame["income"].isna().tolist() == [False, True, False]
    pd.testing.assert_frame_equal(load(frame).frame(data.points), frame)
    assert Layout.from_dict(json.loads(json.dumps(data.layout.to_dict()))).codec == data.codec
    shaken = data.points + 0.1
    assert torch.equal(data.snap(shaken), data.points)
    assert torch.equal(load(X).snap(shaken), shaken)


def test_a_schema_decides(tmp_path):
    (tmp_path / "t.csv").write_text(MIXED)
    (tmp_path / "s.toml").write_text("[columns.age]\nkind = 'identifier'\n")
    data = load(tmp_path / "t.csv", schema=tmp_path / "s.toml")
    assert data.columns == ("city is Ulm", "income", "income is missing")
    assert data.frame(data.points)["age"].tolist() == [1, 2, 3]
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(InputError, match=r"a schema speaks of a table, got 'x.npy'"):
        load(tmp_path / "x.npy", schema=tmp_path / "s.toml")


def test_a_table_of_numbers_is_taken_as_it_is(tmp_path):
    """Only a schema, a gap, text, row names, or zeros and values that come again bring it in."""
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    assert load(frame).kind == "table"
    whole = pd.DataFrame({"n": np.arange(4) ** 2, "x": X[:, 0].astype(np.float32)})
    data = load(whole)
    pd.testing.assert_frame_equal(data.frame(data.points + 0.4 * torch.tensor([1, 0])), whole)
    assert Layout.from_dict(data.layout.to_dict()).dtypes == ("int64", "float32")
    assert load(frame, schema=Overrides()).kind == "mixed"
    assert load(frame.assign(b=[1.0, None, 2.0, 3.0])).kind == "mixed"
    numbered = pd.DataFrame({"x": np.arange(60) ** 2, "id": np.arange(60)})
    assert load(numbered).codec.named("identifier") == ("id",)
    days = pd.DataFrame({"x": np.arange(60) ** 2, "day": np.tile([1, 7, 28], 20)})
    assert load(days).codec.named("few-valued") == ("day",)
    zeros = days.assign(day=np.where(np.arange(60) % 2, 0, np.arange(60) ** 3))
    assert load(zeros).codec.named("inflated") == ("day",)


def test_image_stacks_and_folders(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 5), dtype=np.uint8)
    np.save(tmp_path / "stack.npy", pixels)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{i}.png")
    (folder / "notes.txt").write_text("not an image")
    for data in (load(tmp_path / "stack.npy"), load(folder)):
        assert (data.kind, data.shape, data.n) == ("image", (4, 5), 6)
        assert np.array_equal(data.points.reshape(6, 4, 5).numpy(), pixels)
        assert data.columns[:2] == ("pixel_0_0", "pixel_0_1")


def test_colour_images_keep_their_channels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{i}.PNG")
    assert load(tmp_path).shape == (4, 5, 3)
    assert np.array_equal(load(tmp_path).points.reshape(3, 4, 5, 3).numpy(), pixels)


class Bomb:
    """Writes a file when unpickled: the proof that nothing here unpickles."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def bad(folder):
    """name -> (source, what the message must say)."""
    f = folder
    rng = np.random.default_rng(0)
    objects = np.array([Bomb(f / "owned"), 1], dtype=object)

    np.save(f / "object.npy", objects, allow_pickle=True)
    (f / "raw.npy").write_bytes(pickle.dumps(Bomb(f / "owned")))
    np.savez(f / "object.npz", a=objects)
    with zipfile.ZipFile(f / "raw.npz", "w") as archive:
        archive.writestr("a.npy", pickle.dumps(Bomb(f / "owned")))
    (f / "broken.npz").write_bytes(b"PK\x03\x04 not an archive")
    with zipfile.ZipFile(f / "none.npz", "w"):
        pass
    huge = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        huge, {"descr": "<f8", "fortran_order": False, "shape": (2**40, 8)}
    )
    (f / "huge.npy").write_bytes(huge.getvalue() + b"\0" * 64)
    np.savez(f / "archive_as.npz", X)
    (f / "archive_as.npz").rename(f / "archive.npy")
    np.save(f / "flat.npy", X[0])
    np.save(f / "one.npy", X[:1])
    np.save(f / "same.npy", np.ones((5, 3)))
    np.save(f / "complex.npy", X + 1j)
    np.save(f / "text.npy", np.array([["a", "b"], ["c", "d"]]))
    np.save(f / "infinite.npy", np.where(X == 9.0, np.inf, X))
    np.save(f / "ids.npy", np.array([[2**60, 1], [5, 2]]))
    (f / "infinite.csv").write_text("age,income\n30,1.5\n31,inf\n40,2.5\n,3\n")
    (f / "twice.csv").write_text("a,a\n30,Bonn\n31,Ulm\n")
    (f / "names.csv").write_text("site\n" + "Bonn\n" * 5)
    (f / "late.csv").write_text("age,size\n30,1\n31,2\n32,tall\n")
    (f / "wide.csv").write_text("a,b\n1,2\n3,4,5\n")
    (f / "wider.csv").write_text("a,b\n1,2,9\n3,4,9\n")
    (f / "empty.csv").write_text("")
    (f / "header.csv").write_text("a,b\n")
    (f / "latin.csv").write_bytes("größe,b\n1,2\n3,4\n".encode("latin-1"))
    (f / "gzip.csv.gz").write_bytes(b"not gzip at all")
    (f / "cut.csv.gz").write_bytes(gzip.compress(rng.bytes(5000).hex().encode())[:900])
    (f / "table.parquet").write_bytes(b"PAR1 broken")
    pd.DataFrame({"a": [1.0, np.inf], "b": ["x", "y"]}).to_parquet(f / "infinite.parquet")
    pd.DataFrame({"a": [b"1", b"2"], "b": [1.0, 2.0]}).to_parquet(f / "bytes.parquet")
    (f / "table.xlsx").write_text("x")
    for name in ("sizes", "none", "alpha", "fake"):
        (f / name).mkdir()
    for i, size in enumerate([(4, 4), (4, 5)]):
        Image.new("L", size).save(f / "sizes" / f"{i}.png")
    Image.new("RGBA", (2, 2)).save(f / "alpha" / "0.png")
    (f / "fake" / "0.png").write_text("not a picture")
    return {
        "object.npy": "object.npy cannot be read, got 'pickled Python objects, which",
        "raw.npy": "raw.npy cannot be read, got 'pickled Python objects, which are never loaded'",
        "object.npz": "object.npz cannot be read, got 'pickled Python objects",
        "raw.npz": "raw.npz must hold numeric arrays, got other bytes",
        "broken.npz": "broken.npz cannot be read",
        "none.npz": "must hold an array",
        "huge.npy": "huge.npy cannot be read",
        "archive.npy": "must hold one array.*name it .npz",
        "flat.npy": r"flat must be 2-D.*got a 1-D array of shape \(3,\); reshape",
        "one.npy": "one needs at least 2 rows, got 1 row",
        "same.npy": "must vary in at least one column, got 5 identical rows",
        "complex.npy": "must hold numbers, got dtype complex128",
        "text.npy": "must hold numbers, got dtype <U1",
        "infinite.npy": "got inf at row 2 .*, column 'column_0'",
        "ids.npy": "integers in ids.npy must fit a double",
        "infinite.csv": "must not mix numbers and text, got .*'inf' at row 1",
        "twice.csv": "column names must differ, got 'a' twice",
        "names.csv": "must vary in at least one column, got only constants",
        "late.csv": "text in column 'size', for example 'tall' at row 2",
        "wide.csv": "wide.csv must have 2 cells in every row.* got 3 in line 3",
        "wider.csv": "wider.csv must have 2 cells in every row.* got 3 in line 2",
        "empty.csv": "must hold a table, got an empty 'empty.csv'",
        "header.csv": "needs at least 2 rows, got 0 rows",
        "latin.csv": "latin.csv must be written in UTF-8.*utf-8.*encoding = 'cp1252'",
        "gzip.csv.gz": "gzip.csv.gz cannot be read",
        "cut.csv.gz": "cut.csv.gz cannot be read",
        "table.parquet": "table.parquet cannot be read",
        "infinite.parquet": "column 'a' must be finite in every cell, got inf at row 1",
        "bytes.parquet": "column 'b?a?' must hold numbers, text, .* got Arrow type binary",
        "table.xlsx": "file type is not known, got 'table.xlsx'; use one of .npy, .npz, -ubyte",
        "sizes": "must have the size of 0.png, 4 x 4, got 5 x 4 in 1.png",
        "none": "must hold PNG or JPEG images, or folders of them, got none in 'none'",
        "alpha": "0.png must be grey or RGB, got RGBA",
        "fake": "0.png cannot be read",
        "missing.csv": "no such file, folder or embedded data set",
        "no-such-name": "no such file, folder or embedded data set",
    }


def test_what_cannot_be_used_is_refused_in_one_line(tmp_path):
    for name, message in bad(tmp_path).items():
        with pytest.raises(InputError, match=message) as refusal:
            load(tmp_path / name)
        assert "\n" not in str(refusal.value), name
        assert len(str(refusal.value)) < 400, name
    assert not (tmp_path / "owned").exists(), "a pickle was executed"


def test_a_misspelt_name_gets_a_hint():
    with pytest.raises(InputError, match="did you mean 'digits'"):
        load("digist")
    with pytest.raises(InputError, match="embedded: digits, wine"):
        load("xyz")


def test_unpacked_size_is_looked_at_before_unpacking(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros((1000, 1000)))
    monkeypatch.setattr("wasserscore.data.files.MAX_BYTES", 2**20)
    with pytest.raises(InputError, match="must unpack to at most"):
        load(tmp_path / "bomb.npz")


def test_a_score_is_imported_without_the_library_of_tables():
    """pandas takes a second to load, and every room above this one imports it."""
    found = subprocess.run(
        [sys.executable, "-c", "import sys, wasserscore.score; print('pandas' in sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.strip() == "False"
