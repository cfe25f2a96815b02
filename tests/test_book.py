"""The benchmark book: its list, and whether what it runs quickly still runs."""

import importlib
import re
import subprocess
import sys

import pytest
from benchmarks import book
from benchmarks.machine import ROOT


def test_every_benchmark_on_the_page_is_there_and_is_run_or_listed():
    table = book.PAGE.read_text().split(book.HEAD)[1].split("\n\n")[0].splitlines()[2:]
    named = re.findall(r"benchmarks\.(\w+)", "\n".join(table))
    assert [name for name in named if not (ROOT / "benchmarks" / f"{name}.py").exists()] == []
    assert set(book.LIGHT) <= set(named)
    assert len(book.campaigns()) == len(table) - len(book.LIGHT)


PEERS = {"azula", "diffusers", "k_diffusion", "pykeops"}
"""Libraries that only benchmarks need; a script may ask for them when it is imported."""


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda p: p.stem)
def test_every_script_imports_what_is_there(path):
    try:
        importlib.import_module(f"benchmarks.{path.stem}")
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
