"""Limits on memory: the least of them counts, and a run beyond it is refused in one sentence."""

import subprocess
import sys

import pytest

from wasserscore.core import memory
from wasserscore.core.errors import InputError


def test_the_least_limit_counts(monkeypatch, tmp_path):
    files = {"/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   5000 kB\n"}
    limit, used = tmp_path / "max", tmp_path / "current"
    limit.write_text("3000000\n")
    used.write_text("1000000\n")
    read = memory._lines
    monkeypatch.setattr(memory, "_lines", lambda p: files.get(p, "").splitlines() or read(p))
    monkeypatch.setattr(memory, "CGROUPS", ())
    assert memory.available_bytes() == 5000 * 1024
    monkeypatch.setattr(memory, "CGROUPS", ((str(limit), str(used)),))
    assert memory.available_bytes() == 2000000
    limit.write_text("max\n")
    assert memory.available_bytes() == 5000 * 1024
    limit.write_text("500\n")
    assert memory.available_bytes() == 0


def test_a_machine_that_says_nothing_refuses_nothing(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    memory.require_memory(10**18, "a fit", do="wait")


def test_the_refusal_says_what_and_why(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 2 * 10**9)
    memory.require_memory(2 * 10**9, "a fit", do="wait")
    text = r"a fit needs about 2\.5 GB of memory, got 2\.0 GB available; take fewer rows"
    with pytest.raises(InputError, match=text):
        memory.require_memory(25 * 10**8, "a fit", do="take fewer rows")


@pytest.mark.skipif(sys.platform != "linux", reason="address space limits are read on Linux")
def test_the_limit_of_the_process_counts():
    code = """
import resource
from wasserscore.core.memory import available_bytes
resource.setrlimit(resource.RLIMIT_AS, (3 * 10**8, resource.RLIM_INFINITY))
print(available_bytes())
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 10**8 < int(run.stdout) < 3 * 10**8
