import numpy as np
import pandas as pd

from wasserscore.data import load
from wasserscore.experiment.write import write_rows


def test_csv_and_npy_come_back_as_they_were(tmp_path):
    data = load("wine")
    write_rows(tmp_path / "out.csv", data.points, data.layout)
    again = load(tmp_path / "out.csv")
    assert np.array_equal(again.points, data.points)
    assert again.columns == data.columns
    digits = load("digits")
    write_rows(tmp_path / "out.npy", digits.points[:5], digits.layout)
    assert np.load(tmp_path / "out.npy").shape == (5, 8, 8)


def test_headers_cannot_smuggle_formulas_into_a_spreadsheet(tmp_path):
    frame = pd.DataFrame({"=cmd()": [1.0, 2.0], "+b": [1.0, 3.0], "plain": [0.0, 1.0]})
    data = load(frame)
    write_rows(tmp_path / "out.csv", data.points, data.layout)
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "'=cmd(),'+b,plain"
