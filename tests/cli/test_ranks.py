"""The command line under torchrun: the files of one process, and one voice."""

import json

import numpy as np
import pytest
from tests.cli.test_main import SMALL, call
from tests.experiment import tiny
from tests.torchrun import launch


def started(*words, fails=False):
    """The command with two processes."""
    return launch("-m", "wasserscore", *words, fails=fails)


def printed(text):
    """The JSON in what was printed: PyTorch 2.8 greets before it."""
    return json.loads(text[text.index("{") :])


@pytest.mark.slow
def test_two_ranks_make_the_run_of_one(tmp_path):
    table = tiny.write_table(tmp_path / "table.csv")
    one, two = tmp_path / "one", tmp_path / "two"
    settings = ["--models", "empirical,network", "--set", "network.batch_size=16", *SMALL,
                "--set", "curve=[]"]  # fmt: skip
    assert call("run", table, "--out", one, *settings).exit_code == 0
    made = started("run", table, "--out", two, *settings)
    assert made.stdout.count("Report: ") == 1
    assert (two / "report.html").is_file()
    assert not (two / "stages").exists()
    kept, found = (json.loads((out / "results.json").read_text()) for out in (one, two))
    for name in ("floor", "baselines"):
        assert found[name] == kept[name]
    assert found["models"][0] == kept["models"][0]  # the empirical one, its certificate included
    w2 = [r["models"][1]["metrics"]["w2"]["value"] for r in (kept, found)]
    assert w2[1] == pytest.approx(w2[0], rel=1e-3)  # another rounding of the training

    again = started("run", table, "--out", two, *settings, fails=True)
    assert again.stderr.count("wasserscore: ") == 1
    assert "a finished one" in again.stderr

    drawn = ["--model", "network", "-n", "150", "--steps", "3"]
    assert call("sample", two, *drawn, "--out", tmp_path / "one.npy").exit_code == 0
    assert (
        started("sample", two, *drawn, "--out", tmp_path / "two.npy").stdout.count("150 rows") == 1
    )
    assert np.array_equal(np.load(tmp_path / "one.npy"), np.load(tmp_path / "two.npy"))

    asked = ["--model", "network", "-n", "16", "--steps", "3", "--json"]
    told = started("certify", two, *asked).stdout
    assert printed(told) == json.loads(call("certify", two, *asked).output)

    audited = ["audit", table, table, "--json"]
    assert printed(started(*audited).stdout) == json.loads(call(*audited).output)
