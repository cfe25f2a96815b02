"""Does a wrong coefficient in a solver turn a test red? Plant each in turn and see.

Every mutant of :mod:`benchmarks.solver_mutants` is planted in a temporary copy of the sources and
the tests of sampling and dynamics are run on it until one fails. Tests that fail without any
mutant are left out and named. Results are saved after every mutant; run again, the command goes
on where it stopped, and starts over when sources, tests or mutants have changed. A few minutes
on one core; set OMP_NUM_THREADS=1 where others compute too.
"""

import hashlib
import json
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
import scipy.integrate
import scipy.stats  # noqa: F401 - the tests need both, and a fork then has them already

sys.path.insert(0, str(Path(__file__).parent.parent))  # `python benchmarks/mutate_solvers.py`

from benchmarks.machine import RESULTS, ROOT, save, table
from benchmarks.solver_mutants import MUTANTS, Mutant
from wasserscore.sampling import solvers

Row = dict[str, object]
NAME = "mutate_solvers"
ROOMS = ("tests/sampling", "tests/dynamics")
PYTEST = ("-q", "-p", "no:cacheprovider", "-m", "not slow and not accept and not gpu")
FORK = multiprocessing.get_context("fork")


def test_files() -> list[str]:
    found = (file for room in ROOMS for file in sorted((ROOT / room).glob("test_*.py")))
    return [str(file.relative_to(ROOT)) for file in found]


def failures(source: Path, *arguments: str) -> list[str]:
    """Tests that fail on the package below ``source``; in a fork, so imports are paid for once."""
    with tempfile.TemporaryFile("w+") as log:
        child = FORK.Process(target=_pytest, args=(source, arguments, log.fileno()))
        child.start()
        child.join()
        log.seek(0)
        output = log.read()
    names = re.findall(r"^(?:FAILED|ERROR) (\S+)", output, flags=re.MULTILINE)
    assert child.exitcode in (0, 1, 2), output
    assert bool(names) == bool(child.exitcode), output
    return names


def _pytest(source: Path, arguments: tuple[str, ...], log: int) -> None:
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(ROOT)
    for name in list(sys.modules):  # imported again: the copy, and what pytest rewrites
        if name.partition(".")[0] in ("wasserscore", "jaxtyping"):
            del sys.modules[name]
    sys.path[:0] = [str(source), str(ROOT)]
    sys.dont_write_bytecode = True
    code = pytest.main([*PYTEST, *arguments])
    package = Path(sys.modules["wasserscore"].__file__ or "")
    assert package.is_relative_to(source), f"tested {package}, not the copy"
    sys.stdout.flush()
    os._exit(int(code))


def planted(text: str, mutant: Mutant) -> str:
    """The file's text with the mistake in it; refuses a mutant that no longer fits."""
    count = text.count(mutant.old)
    assert count == 1, f"{mutant.file}: {count} times, not once: {mutant.old!r}"
    assert mutant.new != mutant.old, f"{mutant.file}: nothing changes in {mutant.old!r}"
    return text.replace(mutant.old, mutant.new)


def trial(source: Path, mutant: Mutant, unsound: dict[str, list[str]]) -> str:
    """The first test that notices the mutant, or the empty string.

    ``unsound`` grows by the tests of each file used that fail without any mutant.
    """
    file = source / "wasserscore" / mutant.file
    text = file.read_text()
    for name in [mutant.first, *(name for name in test_files() if name != mutant.first)]:
        if name not in unsound:
            unsound[name] = failures(source, name)
        file.write_text(planted(text, mutant))
        left_out = [f"--deselect={test}" for test in unsound[name]]
        noticed = failures(source, "-x", *left_out, name)
        file.write_text(text)
        if noticed:
            return noticed[0]
    return ""


def fingerprint() -> str:
    """Changes with the sources, the tests and the mutants."""
    digest = hashlib.sha256(repr(MUTANTS).encode())
    for folder in ("src/wasserscore", *ROOMS, "tests/problems"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def resumed(state: str) -> list[Row]:
    """What an interrupted run of the same state has already found."""
    path = RESULTS / f"{NAME}.json"
    rows: list[Row] = json.loads(path.read_text())["rows"] if path.exists() else []
    return rows if rows and rows[0].get("state") == state else []


def main() -> list[Row]:
    every = {entry.name for entry in solvers()} | {"adaptive"}
    for name in every:
        assert sum(mutant.solver == name for mutant in MUTANTS) >= 2, f"two mutants for {name}"
    state = fingerprint()
    unsound: dict[str, list[str]] = {}
    rows = resumed(state) or [{"state": state, "unsound": unsound}]
    unsound.update(rows[0]["unsound"])
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        for mutant in MUTANTS:
            planted((source / "wasserscore" / mutant.file).read_text(), mutant)
        for mutant in MUTANTS[len(rows) - 1 :]:
            test = trial(source, mutant, unsound)
            result = "red" if test else "green"
            rows.append({**mutant._asdict(), "result": result, "test": test})
            rows[0]["unsound"] = unsound
            save(NAME, rows)
            print(f"{len(rows) - 1} of {len(MUTANTS)}: {mutant.solver} {result}", file=sys.stderr)
    return rows


def shown(row: Row) -> Row:
    """A row for the eye: what changed, on one line."""
    old, new = (" ".join(str(row[key]).split()) for key in ("old", "new"))
    test = str(row["test"]).removeprefix("tests/")
    return {"solver": row["solver"], "file": row["file"], "mutation": f"`{old}` -> `{new}`",
            "result": row["result"], "test": test}  # fmt: skip


if __name__ == "__main__":
    head, *found = main()
    print(table([shown(row) for row in found]))
    red = sum(row["result"] == "red" for row in found)
    print(f"\n{red} of {len(found)} red. Left out, red without a mutant: {head['unsound']}")
    sys.exit(red < len(found))
