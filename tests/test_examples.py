"""Every example runs as it stands, without a warning, and shows what it says it shows."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name, *words):
    command = [sys.executable, "-W", "error", EXAMPLES / f"{name}.py", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_every_example_is_listed_and_tested():
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == {"small_data", "impute", "inverse", "audit_foreign"}
    listed = (EXAMPLES / "README.md").read_text()
    assert all(f"python examples/{name}.py" in listed for name in names)


@pytest.mark.slow
def test_small_data():
    found = run("small_data")
    assert "held-out log-likelihood: proximal" in found
    assert "No sign of copying" in found
    assert "gap to fresh data" in found


@pytest.mark.slow
def test_impute():
    found = run("impute")
    numbers = [float(part.split()[-1]) for part in found.split("\n")[1].split(",")[:3]]
    assert numbers[0] < numbers[2]  # proximal below column means
    assert "90 % intervals" in found


@pytest.mark.slow
def test_inverse(tmp_path):
    found = run("inverse", tmp_path / "figure.png").split("\n")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    for distances, errors in zip(found[0:6:2], found[1:6:2], strict=True):
        floor, ours, prior = (float(part.split()[-1]) for part in distances.split(",")[-3:])
        assert floor < ours < 1.35 * floor < 0.7 * prior
        exact, ours, prior = (float(part.split()[-1]) for part in errors.split(","))
        assert exact < ours < 1.1 * exact < prior / 2


@pytest.mark.slow
def test_audit_foreign(tmp_path):
    found = run("audit_foreign", tmp_path)
    mixture, narrow = found.split("narrow.csv", 1)
    assert "No sign of copying" in mixture
    assert "exit code 0" in mixture
    assert "Memorized" in narrow
    assert "exit code 1" in narrow
    assert (tmp_path / "narrow" / "audit.html").is_file()
