"""The benchmark book: its list, and whether what it runs quickly still runs."""

import importlib
import re
import subprocess
import sys

import pytest
from benchmarks import book
from benchmarks.accept import check
from benchmarks.machine import ROOT


def test_every_benchmark_on_the_page_is_there_and_is_run_or_listed():
    table = book.PAGE.read_text().split(book.HEAD)[1].split("\n\n")[0].splitlines()[2:]
    named = re.findall(r"benchmarks\.(\w+)", "\n".join(table))
    assert [name for name in named if not (ROOT / "benchmarks" / f"{name}.py").exists()] == []
    assert set(book.LIGHT) <= set(named)
    assert len(book.campaigns()) == len(table) - len(book.LIGHT)


PEERS = {"azula", "diffusers", "k_diffusion", "pykeops"}
"""Libraries that only benchmarks need; a script may ask for them when it is imported."""


SCRIPTS = sorted((ROOT / "benchmarks").rglob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_every_script_imports_what_is_there(path):
    try:
        importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    except ModuleNotFoundError as error:
        if error.name not in PEERS:
            raise


@pytest.mark.slow
def test_the_quick_form_runs_and_leaves_no_results():
    results = ROOT / "benchmarks" / "results"
    before = {path: path.stat().st_mtime for path in results.iterdir()}
    call = [sys.executable, "-m", "benchmarks.book", "--quick"]
    run = subprocess.run(call, cwd=ROOT, check=True, capture_output=True, text=True)
    assert {path: path.stat().st_mtime for path in results.iterdir()} == before
    assert all(f"## {command}" in run.stdout for command in book.QUICK)
    assert run.stdout.count("| --- |") >= len(book.QUICK)


def test_a_check_that_was_not_made_in_full_is_made_again_and_others_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(check, "RESULTS", tmp_path)
    monkeypatch.chdir(tmp_path)
    seen = []

    def whole(scratch):
        seen.append(scratch.is_dir())
        return check.Outcome("3", passed=True)

    def images(data):
        seen.append(data)
        return check.counted("4", True, [{}] * (1 if data is None else 2), 2)

    checks = [check.Check("whole", "3", whole), check.Check("images", "4", images, data=True)]
    run = lambda data, again=False: check.run("z", checks, again=again, only="", data=data)
    verdicts = lambda rows: [(row["measured"], row["passed"]) for row in rows]
    assert verdicts(run(None)) == [("3", True), ("1 of 2 rows: 4", False)]
    assert verdicts(run(tmp_path)) == verdicts(run(None)) == [("3", True), ("4", True)]
    assert seen == [True, None, tmp_path]
    run(tmp_path, again=True)
    assert seen[3:] == [True, tmp_path]


def test_saved_rows_are_read_and_missing_ones_are_run_where_all_words_are_known(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(check, "RESULTS", tmp_path)
    calls = []
    monkeypatch.setattr(check.subprocess, "run", lambda call, **options: calls.append(call[2:]))
    (tmp_path / "known.json").write_text('{"rows": [{"n": 1}, {"n": 2}]}')
    assert check.saved("known", "known", like={"n": 2}) == [{"n": 2}]
    assert check.saved("known", "known", "--data", None, like={"n": 3}) == []
    assert check.saved("known") == [{"n": 1}, {"n": 2}]
    assert calls == []
    assert check.saved("known", "known", "--rows", 3, like={"n": 3}) == []
    assert calls == [["benchmarks.known", "--rows", "3"]]


def test_a_long_campaign_is_begun_and_then_left_to_its_script(tmp_path, monkeypatch):
    monkeypatch.setattr(check.resumable, "RESULTS", tmp_path)
    case = lambda n: (str(n), lambda: {"n": n})
    assert check.campaign("few", [case(1)], long=True)[0] == [{"key": "1", "n": 1}]
    assert check.campaign("few", [case(1), case(2)], long=True) == ([{"key": "1", "n": 1}], 2)
    assert len(check.campaign("few", [case(1), case(2)])[0]) == 2
    assert check.campaign("few", [case(2)]) == ([{"key": "2", "n": 2}], 1)
